"""The permission table: who may do what. The only place where roles meet permissions.

A person is allowed what their role in the tenant is granted. The platform's ADMIN is allowed everything, inside the
tenant that they are in. A machine (platform role AGENT, or a project's key) is allowed only what `machine` says, and
still no more than its role in the tenant where it has one. A key narrows all of that to its scopes.

The two role enumerations share names, and a `StrEnum` member equals its text, so they never go into one set.
"""

from collections.abc import Mapping
from dataclasses import dataclass

from platform_api.access.permissions import Permission
from platform_api.access.principal import PlatformRole, Principal, TenantRole


@dataclass(frozen=True, kw_only=True)
class Grant:
    """Roles in the tenant that have a permission, and whether machines may have it at all."""

    roles: frozenset[TenantRole]
    machine: bool = False


_EVERYBODY = frozenset(TenantRole)
_EDITORS = frozenset({TenantRole.OWNER, TenantRole.ADMIN, TenantRole.EDITOR})
_MANAGERS = frozenset({TenantRole.OWNER, TenantRole.ADMIN})
_NOBODY: frozenset[TenantRole] = frozenset()  # the platform's ADMIN alone

GRANTS: Mapping[Permission, Grant] = {
    Permission.AGENTS_CREATE: Grant(roles=_EDITORS),
    Permission.AGENTS_DELETE: Grant(roles=_EDITORS),
    Permission.AGENTS_EXECUTE: Grant(roles=_EDITORS, machine=True),
    Permission.AGENTS_READ: Grant(roles=_EVERYBODY, machine=True),
    Permission.AGENTS_UPDATE: Grant(roles=_EDITORS),
    Permission.API_KEYS_CREATE: Grant(roles=_EVERYBODY),
    Permission.API_KEYS_DELETE: Grant(roles=_EVERYBODY),
    Permission.API_KEYS_READ: Grant(roles=_EVERYBODY),
    Permission.API_KEYS_UPDATE: Grant(roles=_EVERYBODY),
    Permission.AUDIT_LOGS_READ: Grant(roles=_MANAGERS),
    Permission.EVENTS_CREATE: Grant(roles=_EDITORS, machine=True),
    Permission.EXECUTIONS_CANCEL: Grant(roles=_EDITORS, machine=True),
    Permission.EXECUTIONS_EXECUTE: Grant(roles=_EDITORS, machine=True),
    Permission.EXECUTIONS_READ: Grant(roles=_EVERYBODY, machine=True),
    Permission.EXECUTIONS_RESUME: Grant(roles=_EVERYBODY, machine=True),  # `executions.answering` says who answers what
    Permission.INVITATIONS_DELETE: Grant(roles=_MANAGERS),
    Permission.INVITATIONS_READ: Grant(roles=_MANAGERS),
    Permission.LLM_PROVIDERS_CREATE: Grant(roles=_MANAGERS),
    Permission.LLM_PROVIDERS_DELETE: Grant(roles=_MANAGERS),
    Permission.LLM_PROVIDERS_EXECUTE: Grant(roles=_MANAGERS),
    Permission.LLM_PROVIDERS_READ: Grant(roles=_EVERYBODY),
    Permission.LLM_PROVIDERS_UPDATE: Grant(roles=_MANAGERS),
    Permission.MEMBERS_CREATE: Grant(roles=_MANAGERS),
    Permission.MEMBERS_DELETE: Grant(roles=_EVERYBODY),  # to leave; `members.rules` says who removes others
    Permission.MEMBERS_READ: Grant(roles=_EVERYBODY),
    Permission.MEMBERS_UPDATE: Grant(roles=_MANAGERS),
    Permission.PROFILE_READ: Grant(roles=_EVERYBODY),
    Permission.PROFILE_UPDATE: Grant(roles=_EVERYBODY),
    Permission.PROJECTS_CREATE: Grant(roles=_EDITORS),
    Permission.PROJECTS_DELETE: Grant(roles=_EDITORS),
    Permission.PROJECTS_READ: Grant(roles=_EVERYBODY, machine=True),
    Permission.PROJECTS_UPDATE: Grant(roles=_EDITORS),
    Permission.SECRETS_DELETE: Grant(roles=_EDITORS),
    Permission.SECRETS_READ: Grant(roles=_EDITORS),
    Permission.SECRETS_UPDATE: Grant(roles=_EDITORS),
    Permission.SESSIONS_DELETE: Grant(roles=_EVERYBODY, machine=True),
    Permission.SESSIONS_READ: Grant(roles=_EVERYBODY, machine=True),
    Permission.SESSIONS_SWITCH: Grant(roles=_EVERYBODY),
    Permission.TEMPLATES_CREATE: Grant(roles=_EDITORS),
    Permission.TEMPLATES_DELETE: Grant(roles=_EDITORS),
    Permission.TEMPLATES_EXECUTE: Grant(roles=_EDITORS),
    Permission.TEMPLATES_READ: Grant(roles=_EVERYBODY, machine=True),
    Permission.TEMPLATES_UPDATE: Grant(roles=_EDITORS),
    Permission.TENANTS_READ: Grant(roles=_EVERYBODY, machine=True),
    Permission.TENANTS_UPDATE: Grant(roles=_MANAGERS),
    Permission.USERS_READ: Grant(roles=_NOBODY),
    Permission.USERS_UPDATE: Grant(roles=_NOBODY),
    Permission.WORKFLOWS_CREATE: Grant(roles=_EDITORS),
    Permission.WORKFLOWS_DELETE: Grant(roles=_EDITORS),
    Permission.WORKFLOWS_EXECUTE: Grant(roles=_EDITORS, machine=True),
    Permission.WORKFLOWS_READ: Grant(roles=_EVERYBODY, machine=True),
    Permission.WORKFLOWS_UPDATE: Grant(roles=_EDITORS),
}


def allows(principal: Principal, permission: Permission) -> bool:
    """Whether `principal` has `permission`, by role and by key."""
    if principal.key_scopes is not None and permission.value not in principal.key_scopes:
        return False
    return is_granted(principal, permission)


def is_granted(principal: Principal, permission: Permission) -> bool:
    """Whether the person or machine has `permission` by role, whatever the key at hand is for."""
    grant = GRANTS[permission]
    if principal.platform_role is PlatformRole.ADMIN:
        return True
    if principal.platform_role is PlatformRole.AGENT:
        return grant.machine and (principal.tenant_role is None or principal.tenant_role in grant.roles)
    return principal.tenant_role in grant.roles
