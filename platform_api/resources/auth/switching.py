"""Going over to another tenant: a session of its own there; the one that asked stays open."""

from uuid import UUID

from platform_api.access.principal import PlatformRole
from platform_api.access.repository import CredentialRepository
from platform_api.access.scope import AccountScope
from platform_api.access.tokens import Tokens
from platform_api.errors import Forbidden, NotFound, Unauthenticated
from platform_api.resources.audit_log.service import AuditLog
from platform_api.resources.auth.service import SignedIn
from platform_api.resources.sessions.login import LoginSessions
from platform_api.resources.tenants.service import Tenants
from platform_api.resources.users.service import Users


async def switch_tenant(scope: AccountScope, tokens: Tokens, tenant_id: UUID) -> SignedIn:
    """Tokens for a tenant of the caller's, or for any when they are the platform's ADMIN.

    Raises `NotFound` for every other tenant, and `Forbidden` for keys: tokens would be worth more than their scopes.
    The entry is written where the caller goes, so that a tenant sees who of the platform came in.
    """
    principal = scope.principal
    if principal.user_id is None or principal.session_id is None:
        raise Forbidden("A key stays in its tenant; log in to switch")
    role = await Tenants(scope).role_of(principal.user_id, tenant_id)
    if role is None and principal.platform_role is not PlatformRole.ADMIN:
        raise NotFound(f"There is no tenant {tenant_id}")
    tenant = await Tenants(scope).get(tenant_id)
    user = await Users(scope).get(principal.user_id, lock=True)
    # Who ends all of a user's sessions holds the user: a session that is opened after that would outlive them.
    if await CredentialRepository(scope.session).open_session(principal.session_id, user.id) is None:
        raise Unauthenticated("The session has ended; log in again")
    issued = await LoginSessions(scope, tokens).open(user_id=user.id, tenant_id=tenant.id)
    audit = AuditLog(scope, tenant_id=tenant.id)
    after = {"fromTenantId": principal.tenant_id, "role": role, "platformRole": principal.platform_role}
    await audit.record("auth.switch_tenant", "tenant", tenant.id, after=after)
    return SignedIn(user=user, tenant=tenant, tokens=issued)
