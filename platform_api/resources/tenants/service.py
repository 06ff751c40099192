"""Making tenants, and changing one's own."""

import re
import secrets
import unicodedata
from uuid import UUID

from platform_api.access.principal import TenantRole
from platform_api.access.scope import SystemScope, TenantScope
from platform_api.db.changes import differing, write
from platform_api.db.models import Tenant
from platform_api.db.repository import check_version
from platform_api.resources.audit_log.service import AuditLog
from platform_api.resources.tenants.repository import TenantRepository
from platform_api.resources.tenants.schemas import TenantPatch

MAX_SLUG = 40


class Tenants:
    """Tenants before anybody is inside one: registration, login, seed."""

    def __init__(self, scope: SystemScope) -> None:
        self._scope = scope
        self._tenants = TenantRepository(scope.session)

    async def create(self, name: str, *, owner_id: UUID) -> Tenant:
        """A new tenant with its first OWNER; the slug is made from the name and made unique."""
        tenant = await self._tenants.add(Tenant(name=name.strip(), slug=await self._free_slug(name)))
        await self._tenants.add_member(tenant.id, owner_id, TenantRole.OWNER)
        audit = AuditLog(self._scope, tenant_id=tenant.id, user_id=owner_id)
        await audit.record("tenant.create", "tenant", tenant.id, after={"name": tenant.name, "slug": tenant.slug})
        return tenant

    async def get(self, tenant_id: UUID) -> Tenant:
        """The living tenant; raises `NotFound`."""
        return await self._tenants.get(tenant_id)

    async def hold(self, tenant_id: UUID) -> Tenant:
        """The same, held until the transaction ends: changes of who belongs to it take turns."""
        return await self._tenants.get(tenant_id, lock=True)

    async def add_member(self, tenant_id: UUID, user_id: UUID, role: TenantRole) -> None:
        """Adds a membership."""
        await self._tenants.add_member(tenant_id, user_id, role)

    async def role_of(self, user_id: UUID, tenant_id: UUID) -> TenantRole | None:
        """The user's role in a tenant; None when they are no member."""
        return next((role for tenant, role in await self.of_user(user_id) if tenant.id == tenant_id), None)

    async def of_user(self, user_id: UUID) -> list[tuple[Tenant, TenantRole]]:
        """Where a user belongs, oldest membership first."""
        return await self._tenants.of_user(user_id)

    async def _free_slug(self, name: str) -> str:
        wanted = slug_of(name)
        await self._tenants.lock_slug(wanted)
        if await self._tenants.find_by_slug(wanted) is None:
            return wanted
        return f"{wanted}-{secrets.token_hex(4)}"


class CurrentTenant:
    """The caller's own tenant."""

    def __init__(self, scope: TenantScope) -> None:
        self._scope = scope
        self._tenants = TenantRepository(scope.session)

    async def get(self) -> Tenant:
        """The tenant."""
        return await self._tenants.get(self._scope.tenant_id)

    async def update(self, patch: TenantPatch, *, expected: int | None) -> Tenant:
        """Changes what the patch names; raises `VersionConflict`."""
        tenant = await self._tenants.get(self._scope.tenant_id, lock=True)
        check_version(tenant.version, expected)
        changes = differing(tenant, patch.model_dump(exclude_unset=True, exclude_none=True, exclude={"version"}))
        if not changes:
            return tenant
        before = write(tenant, changes)
        tenant.version += 1
        await AuditLog(self._scope).record("tenant.update", "tenant", tenant.id, before=before, after=changes)
        return await self._tenants.save(tenant)


def slug_of(name: str) -> str:
    """Lower-case ASCII letters, digits and single hyphens; never empty."""
    ascii_only = unicodedata.normalize("NFKD", name).encode("ascii", "ignore").decode().lower()
    return re.sub(r"[^a-z0-9]+", "-", ascii_only).strip("-")[:MAX_SLUG].strip("-") or "tenant"
