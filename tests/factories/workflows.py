"""Workflows as rows."""

from typing import Any
from uuid import uuid4

from platform_api.access.scope import system_scope
from platform_api.db.engine import Sessions
from platform_api.db.enums import ResourceStatus
from platform_api.db.models import Tenant, User, Workflow
from tests.factories.tenants import create_user


async def create_workflow(sessions: Sessions, tenant: Tenant, user: User | None = None, **values: Any) -> Workflow:
    """An active workflow without steps, of a new member of the tenant unless its owner is given."""
    owner = user or await create_user(sessions, tenant)
    unique = uuid4().hex
    defaults = {"name": f"Workflow {unique}", "slug": f"workflow-{unique}", "status": ResourceStatus.ACTIVE}
    workflow = Workflow(**{"tenant_id": tenant.id, "user_id": owner.id, **defaults, **values})
    async with system_scope(sessions) as scope:
        scope.session.add(workflow)
    return workflow
