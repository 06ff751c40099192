"""What a tenant's settings say of its runs, as a worker asks for it."""

from collections.abc import Sequence
from uuid import UUID

from platform_api.access.scope import tenant_scope
from platform_api.db.engine import Sessions
from platform_api.resources.tenants.repository import TenantRepository
from platform_api.resources.tenants.schemas import CODE_EGRESS


async def code_egress(sessions: Sessions, tenant_id: UUID) -> Sequence[str]:
    """The hosts that programs of CODE agents may reach; as of now, so that what is taken away holds at once."""
    async with tenant_scope(sessions, tenant_id) as scope:
        tenant = await TenantRepository(scope.session).get(tenant_id)
    return tuple(tenant.settings.get(CODE_EGRESS, ()))
