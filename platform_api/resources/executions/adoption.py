"""Rows for runs that were started elsewhere: a schedule, the Prefect UI, `prefect deployment run`.

They enter at the worker, which knows the workflow from the deployment's entrypoint and nothing else; from here on they
are executions like any other.
"""

from dataclasses import dataclass
from typing import Any
from uuid import UUID

from sqlalchemy import select, text
from sqlmodel import col

from flows.plan import Plan
from flows.states import Environment, ExecutionStatus, TriggerType
from platform_api.access.scope import TenantScope, system_scope, tenant_scope
from platform_api.db.engine import Sessions
from platform_api.db.enums import ResourceStatus
from platform_api.db.models import Execution, Workflow
from platform_api.errors import InvalidState, NotFound
from platform_api.kit import clock
from platform_api.kit.ids import new_id
from platform_api.resources.audit_log.service import AuditLog
from platform_api.resources.budgets.service import BudgetGate
from platform_api.resources.executions.journal import admit
from platform_api.resources.executions.lineage import go_on_from
from platform_api.resources.executions.planning import Planner, checked_inputs
from platform_api.resources.executions.record import Record

_LOCK = text("select pg_advisory_xact_lock(hashtextextended(:key, 0))")
"""Two workers that meet the same run adopt it one after the other."""


@dataclass(frozen=True, kw_only=True)
class Adoption:
    """What Prefect knows of such a run. `run_count` counts from 1 and goes up when Prefect's UI runs it again."""

    workflow_id: UUID
    environment: Environment
    prefect_flow_run_id: UUID
    run_count: int
    inputs: dict[str, Any]
    trigger: TriggerType


async def adopt(sessions: Sessions, adoption: Adoption) -> Execution:
    """The run's execution, made now unless an earlier call made it.

    Raises what a start over REST would raise: `NotFound`, `InvalidState`, `ValidationFailed`, `BudgetExceeded`.
    """
    workflow = await find_workflow(sessions, adoption.workflow_id)
    async with tenant_scope(sessions, workflow.tenant_id) as scope:
        await scope.session.execute(_LOCK, {"key": str(adoption.prefect_flow_run_id)})
        known = select(Execution).where(col(Execution.prefect_flow_run_id) == adoption.prefect_flow_run_id)
        runs = {row.prefect_run_count or 1: row for row in await scope.session.scalars(known)}
        if adoption.run_count in runs:
            return runs[adoption.run_count]
        earlier = [count for count in runs if count < adoption.run_count]
        before = runs[max(earlier)] if earlier else None
        if before is not None:
            return await _retried(scope, workflow, before, adoption)
        plan = await Planner(scope).plan(workflow)
        row = _row(workflow, plan, adoption)
        row.inputs = await checked_inputs(plan, adoption.inputs)
        await BudgetGate(scope).check(plan)
        row = await admit(scope, row)
        after = {"execution_id": row.id, "environment": row.environment, "trigger_type": row.trigger_type}
        await AuditLog(scope).record("workflow.execute", "workflow", workflow.id, after=after)
        return row


async def _retried(scope: TenantScope, workflow: Workflow, before: Execution, adoption: Adoption) -> Execution:
    """What Prefect's UI runs again is a retry: the same plan, and only what had not finished."""
    if workflow.status is not ResourceStatus.ACTIVE:
        raise InvalidState(f"This workflow is {workflow.status.value}; only an ACTIVE one runs. Activate it first")
    plan = Plan.model_validate(before.plan)
    await BudgetGate(scope).check(plan)
    row = _row(workflow, plan, adoption)
    row.retry_of, row.inputs = before.id, before.inputs
    row = await admit(scope, row)
    if before.status is not ExecutionStatus.COMPLETED:
        record = await Record.join(scope, row.id)
        await go_on_from(record, before.id, plan, plan)
        await record.close()
        await scope.session.refresh(row)
    after = {"retry_of": before.id, "trigger_type": row.trigger_type}
    await AuditLog(scope).record("execution.retry", "execution", row.id, after=after)
    return row


async def workflow_plan(sessions: Sessions, workflow_id: UUID) -> Plan:
    """What a run of the workflow would run now."""
    workflow = await find_workflow(sessions, workflow_id)
    async with tenant_scope(sessions, workflow.tenant_id) as scope:
        return await Planner(scope).plan(workflow)


async def find_workflow(sessions: Sessions, workflow_id: UUID) -> Workflow:
    """A living workflow by its id alone; raises `NotFound`."""
    async with system_scope(sessions) as scope:
        living = select(Workflow).where(col(Workflow.id) == workflow_id, col(Workflow.deleted_at).is_(None))
        workflow = (await scope.session.execute(living)).scalar_one_or_none()
    if workflow is None:
        raise NotFound(f"There is no workflow {workflow_id}; its Prefect deployment is a left-over")
    return workflow


def _row(workflow: Workflow, plan: Plan, adoption: Adoption) -> Execution:
    return Execution(
        id=new_id(),
        tenant_id=workflow.tenant_id,
        workflow_id=workflow.id,
        workflow_version=plan.workflow.version,
        user_id=workflow.user_id if adoption.trigger is TriggerType.SCHEDULED else None,
        trigger_type=adoption.trigger,
        environment=adoption.environment,
        plan=plan.model_dump(mode="json", by_alias=True),
        prefect_flow_run_id=adoption.prefect_flow_run_id,
        prefect_run_count=adoption.run_count,
        submitted_at=clock.now(),
    )
