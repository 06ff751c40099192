"""Who may do what to whom inside a tenant, beyond the permission: an ADMIN cannot touch OWNERs."""

from agents.errors import Problem
from platform_api.access.principal import PlatformRole, Principal, TenantRole
from platform_api.errors import Conflict, Forbidden


def check_grantable(caller: Principal, role: TenantRole) -> None:
    """Raises `Forbidden` where the caller may not give `role` to anybody."""
    if role is TenantRole.OWNER and not _acts_as_owner(caller):
        raise Forbidden("Only an OWNER makes somebody an OWNER")


def check_touchable(caller: Principal, role: TenantRole) -> None:
    """Raises `Forbidden` where the caller may not change or remove a member of `role`."""
    if role is TenantRole.OWNER and not _acts_as_owner(caller):
        raise Forbidden("Only an OWNER changes or removes an OWNER")


def check_manages(caller: Principal) -> None:
    """Raises `Forbidden` for those who may only leave by themselves."""
    if not (caller.manages_tenant or caller.platform_role is PlatformRole.ADMIN):
        raise Forbidden("Only an OWNER or ADMIN removes other members")


def last_owner() -> Conflict:
    """A tenant always has an OWNER."""
    message = "This is the tenant's last OWNER; make somebody else an OWNER first"
    return Conflict(message, details=[Problem(path="userId", code="LAST_OWNER", message=message)])


def _acts_as_owner(caller: Principal) -> bool:
    return caller.tenant_role is TenantRole.OWNER or caller.platform_role is PlatformRole.ADMIN
