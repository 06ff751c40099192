"""Starts executions: from a workflow's newest version to a committed row that Prefect is then told of."""

from functools import partial
from typing import Any
from uuid import UUID

from flows.plan import Plan
from flows.states import TriggerType
from platform_api.access.principal import Via
from platform_api.access.scope import TenantScope
from platform_api.db.models import Execution
from platform_api.kit.ids import new_id
from platform_api.kit.request_context import current_request
from platform_api.resources.audit_log.service import AuditLog
from platform_api.resources.budgets.service import BudgetGate
from platform_api.resources.executions.delivery import Delivery
from platform_api.resources.executions.journal import admit
from platform_api.resources.executions.planning import Planner, checked_inputs
from platform_api.resources.executions.schemas import ExecutionStart
from platform_api.resources.workers.gate import SandboxGate
from platform_api.resources.workflows.reader import WorkflowReader


class Launcher:
    """Starts workflows inside one scope; `delivery` submits after the commit."""

    def __init__(self, scope: TenantScope, delivery: Delivery) -> None:
        self._scope = scope
        self._delivery = delivery
        self._workflows = WorkflowReader(scope)
        self._planner = Planner(scope)
        self._audit = AuditLog(scope)

    async def start(self, workflow_id: UUID, body: ExecutionStart) -> Execution:
        """Admits a run of the workflow as it is now.

        Raises `InvalidState` when it is not ACTIVE or its agents do not allow a run any more, `ValidationFailed` for
        inputs that do not fit its `inputSchema`, `BudgetExceeded` when its project has nothing left for models, and
        `ServiceUnavailable` where no worker has a sandbox for its code now, unless it is for later.
        """
        workflow = await self._workflows.get(workflow_id)
        plan = await self._planner.plan(workflow)
        inputs = await checked_inputs(plan, body.inputs)
        await BudgetGate(self._scope).check(plan)
        if body.run_at is None:
            await SandboxGate(self._scope).check(plan)
        how = {"environment": body.environment, "priority": body.priority, "tags": body.tags}
        row = execution_row(self._scope, plan, inputs, workflow_id=workflow.id, **how)
        execution = await admit(self._scope, row, due_at=body.run_at)
        after = {"execution_id": execution.id, "environment": execution.environment, "run_at": body.run_at}
        await self._audit.record("workflow.execute", "workflow", workflow.id, after=after)
        self._scope.after_commit(partial(self._delivery.attempt, execution.id))
        return execution


def execution_row(scope: TenantScope, plan: Plan, inputs: dict[str, Any], **how: Any) -> Execution:
    """What the caller starts over REST; `how` are the row's other columns."""
    caller = scope.caller
    return Execution(
        id=new_id(),
        tenant_id=scope.tenant_id,
        workflow_version=plan.workflow.version,
        user_id=caller.user_id,
        trigger_type=TriggerType.MANUAL if caller.via is Via.TOKEN else TriggerType.API,
        plan=plan.model_dump(mode="json", by_alias=True),
        inputs=inputs,
        request_id=current_request().request_id,
        **how,
    )
