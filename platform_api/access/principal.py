"""Who calls: a user with a token, a key, or the platform itself."""

from dataclasses import dataclass
from enum import StrEnum
from uuid import UUID

from platform_api.db.enums import PlatformRole, TenantRole

__all__ = ["PlatformRole", "Principal", "TenantRole", "Via"]


class Via(StrEnum):
    """How the caller proved who they are."""

    TOKEN = "TOKEN"  # noqa: S105  # the way in, not a token
    USER_KEY = "USER_KEY"
    PROJECT_KEY = "PROJECT_KEY"


@dataclass(frozen=True, kw_only=True)
class Principal:
    """The caller of one request, always inside exactly one tenant. `user_id` is None for a project's key."""

    tenant_id: UUID
    user_id: UUID | None
    platform_role: PlatformRole
    tenant_role: TenantRole | None
    via: Via
    session_id: UUID | None = None
    project_id: UUID | None = None
    key_id: UUID | None = None
    key_scopes: frozenset[str] | None = None
    """What a key is limited to (`resource:action`); None means no limit beside the role."""
    key_limit_per_minute: int | None = None
    """Calls a minute that a key may make; None means the platform's own limit."""

    @property
    def manages_tenant(self) -> bool:
        """Whether the caller reads and changes what other members own."""
        return self.tenant_role in (TenantRole.OWNER, TenantRole.ADMIN)
