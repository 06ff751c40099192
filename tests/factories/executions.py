"""Executions as rows."""

from typing import Any

from platform_api.access.scope import system_scope
from platform_api.db.engine import Sessions
from platform_api.db.models import Execution, Tenant, Workflow
from tests.factories.workflows import create_workflow


async def create_execution(
    sessions: Sessions, tenant: Tenant, workflow: Workflow | None = None, **values: Any
) -> Execution:
    """A waiting execution, of a new workflow of the tenant unless one is given."""
    source = workflow or await create_workflow(sessions, tenant)
    defaults = {"workflow_id": source.id, "workflow_version": source.version, "user_id": source.user_id}
    execution = Execution(**{"tenant_id": tenant.id, **defaults, **values})
    async with system_scope(sessions) as scope:
        scope.session.add(execution)
    return execution
