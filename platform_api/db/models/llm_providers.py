"""Where LLM agents get their answers."""

from typing import Any, ClassVar

from sqlalchemy import Index

from platform_api.db.enums import ProviderKind
from platform_api.db.models.base import Changeable, TenantRow
from platform_api.db.models.columns import LIVING, choice, count, flag, json_object


class LlmProvider(Changeable, TenantRow, table=True):
    """A provider of a tenant. `credentials` is encrypted; `models` holds names and prices."""

    __tablename__ = "llm_providers"
    __table_args__: ClassVar[Any] = (
        Index("uq_llm_providers_tenant_id_name", "tenant_id", "name", unique=True, postgresql_where=LIVING),
    )

    name: str
    kind: ProviderKind = choice(ProviderKind, "provider_kind")
    base_url: str | None = None
    credentials: bytes | None = None
    models: dict[str, Any] = json_object()
    priority: int = count()
    is_active: bool = flag(True)
