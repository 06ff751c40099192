"""The audit log in the contract."""

from typing import Any
from uuid import UUID

from platform_api.db.enums import ActorKind
from platform_api.kit.schemas import UtcTime, View


class AuditEntry(View):
    """One thing that happened."""

    id: UUID
    created_at: UtcTime
    user_id: UUID | None
    actor: ActorKind
    action: str
    resource_type: str
    resource_id: UUID | None
    before: dict[str, Any] | None
    after: dict[str, Any] | None
    ip_address: str | None
    user_agent: str | None
    request_id: str | None
