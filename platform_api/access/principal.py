"""Who calls: a user with a token, a key, or the platform itself."""

from dataclasses import dataclass
from datetime import datetime
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
class Credential:
    """What a caller was known by: the id of their session or of their key. Proves nothing by itself."""

    via: Via
    id: UUID
    user_id: UUID | None
    tenant_id: UUID


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
    """Calls a minute that a key may make, fewer than the platform's own limit; None means that one."""
    key_expires_at: datetime | None = None

    @property
    def manages_tenant(self) -> bool:
        """Whether the caller reads and changes what other members own."""
        return self.tenant_role in (TenantRole.OWNER, TenantRole.ADMIN)

    @property
    def credential(self) -> Credential:
        """What they can be known by again."""
        known_by = self.session_id if self.via is Via.TOKEN else self.key_id
        assert known_by is not None
        return Credential(via=self.via, id=known_by, user_id=self.user_id, tenant_id=self.tenant_id)
