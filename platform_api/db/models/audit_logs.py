"""Who did what."""

from typing import Any, ClassVar
from uuid import UUID

from sqlalchemy import Index
from sqlmodel import Field

from platform_api.db.enums import ActorKind
from platform_api.db.models.base import Row
from platform_api.db.models.columns import choice, json_value, reference


class AuditLog(Row, table=True):
    """One line of the audit log, written once: the database refuses UPDATE, DELETE and TRUNCATE, to its owner too.

    `tenant_id` is NULL for what happened outside every tenant (a failed login); no tenant's scope sees that.
    """

    __tablename__ = "audit_logs"
    __table_args__: ClassVar[Any] = (
        Index(None, "resource_type", "resource_id"),
        Index(None, "created_at"),
        Index(None, "tenant_id", "created_at"),
    )

    tenant_id: UUID | None = reference("tenants.id", "RESTRICT", index=False)
    user_id: UUID | None = reference("users.id", "RESTRICT")
    actor: ActorKind = choice(ActorKind, "actor_kind")
    action: str = Field(index=True)
    resource_type: str
    resource_id: UUID | None = None
    before: dict[str, Any] | None = json_value()
    after: dict[str, Any] | None = json_value()
    ip_address: str | None = None
    user_agent: str | None = None
    request_id: str | None = None
