"""What authentication reads before a tenant is known: a session, and a key; and what ends a user's keys."""

import hmac
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any
from uuid import UUID

from sqlalchemy import ColumnElement, Select, and_, bindparam, func, or_, select, update
from sqlalchemy.ext.asyncio import AsyncSession
from sqlmodel import col

from platform_api.access.principal import PlatformRole, TenantRole
from platform_api.db.models import ApiKey, Membership, Project, Tenant, User, UserSession
from platform_api.kit import clock


@dataclass(frozen=True, kw_only=True)
class SessionHolder:
    """An open session with its user as they are now."""

    tenant_id: UUID
    platform_role: PlatformRole
    tenant_role: TenantRole | None


@dataclass(frozen=True, kw_only=True)
class KeyHolder:
    """A valid key with its owner as they are now."""

    key_id: UUID
    tenant_id: UUID
    project_id: UUID | None
    scopes: frozenset[str] | None
    rate_limit_per_minute: int | None
    expires_at: datetime | None
    user_id: UUID
    platform_role: PlatformRole
    tenant_role: TenantRole | None


class CredentialRepository:
    """Reads credentials with the owner's rights; never commits."""

    def __init__(self, session: AsyncSession) -> None:
        self.session = session

    async def open_session(self, session_id: UUID, user_id: UUID) -> SessionHolder | None:
        """The session when it is neither ended nor expired and its user and tenant are there."""
        statement = (
            select(col(UserSession.tenant_id), col(User.role), col(Membership.role))
            .join(User, col(User.id) == col(UserSession.user_id))
            .join(Tenant, col(Tenant.id) == col(UserSession.tenant_id))
            .outerjoin(Membership, _membership(col(UserSession.tenant_id)))
            .where(
                col(UserSession.id) == session_id,
                col(UserSession.user_id) == user_id,
                col(UserSession.revoked_at).is_(None),
                col(UserSession.expires_at) > clock.now(),
                col(User.is_active).is_(True),
                col(User.deleted_at).is_(None),
                col(Tenant.deleted_at).is_(None),
            )
        )
        row = (await self.session.execute(statement)).one_or_none()
        if row is None:
            return None
        return SessionHolder(tenant_id=row[0], platform_role=row[1], tenant_role=row[2])

    async def find_key(self, prefix: str, key_hash: str) -> KeyHolder | None:
        """The key when it, its owner, its project and its tenant are there. Hashes are compared in constant time."""
        statement = _good_keys().where(col(ApiKey.key_prefix) == prefix)
        found: KeyHolder | None = None
        for key, platform_role, tenant_role in (await self.session.execute(statement)).all():
            if hmac.compare_digest(key.key_hash, key_hash):
                found = _holder(key, platform_role, tenant_role)
        return found

    async def revoke_keys_of(self, user_id: UUID) -> None:
        """Every key that a user has made, in whichever tenant, is refused from now on."""
        mine = update(ApiKey).where(col(ApiKey.user_id) == user_id, col(ApiKey.revoked_at).is_(None))
        await self.session.execute(mine.values(revoked_at=clock.now()))

    async def find_key_by_id(self, key_id: UUID) -> KeyHolder | None:
        """The same for a key whose text has been seen before."""
        row = (await self.session.execute(_good_keys().where(col(ApiKey.id) == key_id))).one_or_none()
        return None if row is None else _holder(*row)

    async def count_uses(self, uses: Mapping[UUID, tuple[int, datetime]]) -> None:
        """Adds to each key how often it was used and when last; in the order of ids, so that writers do not clash."""
        table: Any = ApiKey
        statement = (
            update(table.__table__)
            .where(table.__table__.c.id == bindparam("key_id"))
            .values(
                usage_count=table.__table__.c.usage_count + bindparam("count"),
                last_used_at=func.greatest(table.__table__.c.last_used_at, bindparam("last")),
            )
        )
        rows = [{"key_id": key_id, "count": count, "last": last} for key_id, (count, last) in sorted(uses.items())]
        await self.session.execute(statement, rows)


def _good_keys() -> Select[tuple[ApiKey, PlatformRole, TenantRole]]:
    return (
        select(ApiKey, col(User.role), col(Membership.role))
        .join(User, col(User.id) == col(ApiKey.user_id))
        .join(Tenant, col(Tenant.id) == col(ApiKey.tenant_id))
        .outerjoin(Membership, _membership(col(ApiKey.tenant_id)))
        .outerjoin(Project, col(Project.id) == col(ApiKey.project_id))
        .where(
            col(ApiKey.revoked_at).is_(None),
            col(ApiKey.deleted_at).is_(None),
            or_(col(ApiKey.expires_at).is_(None), col(ApiKey.expires_at) > clock.now()),
            col(User.is_active).is_(True),
            col(User.deleted_at).is_(None),
            col(Tenant.deleted_at).is_(None),
            col(Project.deleted_at).is_(None),
        )
    )


def _holder(key: ApiKey, platform_role: PlatformRole, tenant_role: TenantRole | None) -> KeyHolder:
    return KeyHolder(
        key_id=key.id,
        tenant_id=key.tenant_id,
        project_id=key.project_id,
        scopes=None if key.scopes is None else frozenset(key.scopes),
        rate_limit_per_minute=key.rate_limit_per_minute,
        expires_at=key.expires_at,
        user_id=key.user_id,
        platform_role=platform_role,
        tenant_role=tenant_role,
    )


def _membership(tenant_id: Any) -> ColumnElement[bool]:
    return and_(
        col(Membership.tenant_id) == tenant_id,
        col(Membership.user_id) == col(User.id),
        col(Membership.deleted_at).is_(None),
    )
