"""Where LLM agents get their answers."""

from typing import Any, ClassVar

from sqlalchemy import Index

from agents.providers.provider import ProviderKind
from platform_api.db.models.base import Changeable, TenantRow
from platform_api.db.models.columns import LIVING, choice, count, flag, json_list, json_object


class LlmProvider(Changeable, TenantRow, table=True):
    """A provider of a tenant. `credentials` is encrypted (key version, nonce and ciphertext in one), `models` are those
    that it offers, with the tenant's own prices, and `script` is what a FAKE one answers."""

    __tablename__ = "llm_providers"
    __table_args__: ClassVar[Any] = (
        Index("uq_llm_providers_tenant_id_name", "tenant_id", "name", unique=True, postgresql_where=LIVING),
    )

    name: str
    kind: ProviderKind = choice(ProviderKind, "provider_kind")
    base_url: str | None = None
    credentials: bytes | None = None
    models: list[Any] = json_list()
    script: dict[str, Any] = json_object()
    priority: int = count(100)
    is_active: bool = flag(True)
