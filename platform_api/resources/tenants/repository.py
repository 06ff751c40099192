"""Tenants and memberships."""

from uuid import UUID

from sqlalchemy import func, select
from sqlalchemy.ext.asyncio import AsyncSession
from sqlmodel import col

from platform_api.access.principal import TenantRole
from platform_api.db.models import Membership, Tenant
from platform_api.errors import NotFound


class TenantRepository:
    """Tenants; in a tenant's scope the database shows its own row alone."""

    def __init__(self, session: AsyncSession) -> None:
        self._session = session

    async def get(self, tenant_id: UUID, *, lock: bool = False) -> Tenant:
        """The living tenant; raises `NotFound`."""
        statement = select(Tenant).where(col(Tenant.id) == tenant_id, col(Tenant.deleted_at).is_(None))
        if lock:
            statement = statement.with_for_update()
        tenant = (await self._session.execute(statement)).scalar_one_or_none()
        if tenant is None:
            raise NotFound(f"There is no tenant {tenant_id}")
        return tenant

    async def find_by_slug(self, slug: str) -> Tenant | None:
        """The living tenant of that slug."""
        statement = select(Tenant).where(col(Tenant.slug) == slug, col(Tenant.deleted_at).is_(None))
        return (await self._session.execute(statement)).scalar_one_or_none()

    async def lock_slug(self, slug: str) -> None:
        """Lets nobody else ask for the same slug until the transaction ends."""
        await self._session.execute(select(func.pg_advisory_xact_lock(func.hashtextextended(f"slug:{slug}", 0))))

    async def add(self, tenant: Tenant) -> Tenant:
        """Stores a new tenant."""
        self._session.add(tenant)
        await self._session.flush()
        return tenant

    async def save(self, tenant: Tenant) -> Tenant:
        """Writes the changes out."""
        await self._session.flush()
        await self._session.refresh(tenant)
        return tenant

    async def add_member(self, tenant_id: UUID, user_id: UUID, role: TenantRole) -> Membership:
        """Adds a membership."""
        membership = Membership(tenant_id=tenant_id, user_id=user_id, role=role)
        self._session.add(membership)
        await self._session.flush()
        return membership

    async def of_user(self, user_id: UUID) -> list[tuple[Tenant, TenantRole]]:
        """Every living tenant that the user belongs to, oldest membership first."""
        statement = (
            select(Tenant, col(Membership.role))
            .join(Membership, col(Membership.tenant_id) == col(Tenant.id))
            .where(
                col(Membership.user_id) == user_id,
                col(Membership.deleted_at).is_(None),
                col(Tenant.deleted_at).is_(None),
            )
            .order_by(col(Membership.id))
        )
        return [(tenant, role) for tenant, role in (await self._session.execute(statement)).all()]
