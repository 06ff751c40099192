"""Tenants and users as rows, each call with names of its own."""

from typing import Any
from uuid import uuid4

from platform_api.access.scope import system_scope
from platform_api.db.engine import Sessions
from platform_api.db.enums import TenantRole
from platform_api.db.models import Membership, Tenant, User

UNUSABLE_HASH = "!"
"""A password hash that no password matches."""


async def create_tenant(sessions: Sessions, **values: Any) -> Tenant:
    unique = uuid4().hex
    tenant = Tenant(**{"slug": f"tenant-{unique}", "name": f"Tenant {unique}", **values})
    async with system_scope(sessions) as scope:
        scope.session.add(tenant)
    return tenant


async def create_user(
    sessions: Sessions, tenant: Tenant | None = None, *, tenant_role: TenantRole = TenantRole.EDITOR, **values: Any
) -> User:
    """A user, and where a tenant is given its member."""
    defaults = {"email": f"{uuid4().hex}@example.com", "password_hash": UNUSABLE_HASH, "full_name": "Ada Example"}
    user = User(**{**defaults, **values})
    async with system_scope(sessions) as scope:
        scope.session.add(user)
        await scope.session.flush()
        if tenant is not None:
            scope.session.add(Membership(tenant_id=tenant.id, user_id=user.id, role=tenant_role))
    return user
