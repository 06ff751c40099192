"""Shows the first rows of a step's table. Those of a fused step are computed when somebody asks, by a run of their own.

That run goes the way of every execution, on a worker. It has taken over the step's record, which is how it is found
again: a preview is computed once, whoever asks, also after a retry that took the step over.
"""

import asyncio
from dataclasses import dataclass
from functools import partial
from typing import Any
from uuid import UUID

from flows.compiler.previews import preview_plan
from flows.orchestrator import Orchestrator
from flows.plan import Plan, PlanStep
from flows.states import ExecutionStatus, StepStatus, is_final
from platform_api.access.principal import Principal
from platform_api.access.scope import TenantScope, tenant_scope
from platform_api.db.engine import Sessions
from platform_api.db.models import Execution, StepRun
from platform_api.errors import InvalidState
from platform_api.resources.audit_log.service import AuditLog
from platform_api.resources.executions.attending import until_final
from platform_api.resources.executions.delivery import Delivery
from platform_api.resources.executions.journal import admit
from platform_api.resources.executions.launch import execution_row
from platform_api.resources.executions.record import Record
from platform_api.resources.executions.repository import ExecutionRepository, StepRunRepository
from platform_api.resources.executions.reuse import Ran
from platform_api.resources.executions.schemas import StepPreviewView
from platform_api.resources.executions.service import ExecutionService

PREVIEW_TAG = "step-preview"


@dataclass(frozen=True)
class Previewing:
    """Shows tables to one caller; `seconds` bound the computation, and the wait for it."""

    sessions: Sessions
    orchestrator: Orchestrator
    caller: Principal
    seconds: float

    async def show(self, execution_id: UUID, path: str) -> StepPreviewView:
        """The preview, or how far it is when the time to wait is over.

        Raises `NotFound` for a step that has not run, `InvalidState` for one that has not come to its end or gave no
        table.
        """
        async with self._scope() as scope:
            execution, _ = await ExecutionService(scope).get(execution_id)
            step = await StepRunRepository(scope).newest(execution_id, path)
            recorded = _recorded(step)
            if recorded is not None:
                return recorded
            run_id = await self._run(scope, execution, step)
        await until_final(self._scope, run_id, self.seconds)
        async with self._scope() as scope:
            run, _ = await ExecutionRepository(scope).with_workflow(run_id)
        return _computed(path, run)

    async def _run(self, scope: TenantScope, execution: Execution, step: StepRun) -> UUID:
        """The run that computes the preview, or has: a new one where none did, or it failed."""
        plan = await asyncio.to_thread(Plan.model_validate, execution.plan)
        planned = _fused(plan, step)
        await Record.join(scope, execution.id)  # who asks at the same time waits here
        known = await ExecutionRepository(scope).preview_of(step, PREVIEW_TAG)
        if known is not None and (known.status is ExecutionStatus.COMPLETED or not is_final(known.status)):
            return known.id
        head = preview_plan(plan, planned, seconds=self.seconds)
        how: dict[str, Any] = {"agent_id": step.agent_id, "environment": execution.environment, "tags": [PREVIEW_TAG]}
        run = await admit(scope, execution_row(scope, head, {}, **how))
        record = await Record.join(scope, run.id)
        await record.take_over([_taken(step)])
        await record.close()
        after = {"path": step.path, "executionId": str(run.id)}
        await AuditLog(scope).record("execution.preview", "execution", execution.id, after=after)
        delivery = Delivery(sessions=self.sessions, orchestrator=self.orchestrator, tenant_id=self.caller.tenant_id)
        scope.after_commit(partial(delivery.attempt, run.id))
        return run.id

    def _scope(self) -> Any:
        return tenant_scope(self.sessions, self.caller.tenant_id, self.caller)


def _recorded(step: StepRun) -> StepPreviewView | None:
    """The preview that the record has; None where it has to be computed. Raises `InvalidState`."""
    if step.status is not StepStatus.COMPLETED:
        raise InvalidState(f"The step {step.path} is {step.status.value}; one that is COMPLETED has a table")
    output = step.output if isinstance(step.output, dict) else {}
    rows = output.get("preview", step.preview)
    if not isinstance(rows, list):
        return None
    return StepPreviewView(
        path=step.path,
        execution_id=None,
        status=ExecutionStatus.COMPLETED,
        schema_=output.get("schema"),
        preview=rows,
        error=None,
    )


def _fused(plan: Plan, step: StepRun) -> PlanStep:
    planned = next((each for each in plan.steps if each.step_key == step.path), None)
    if planned is None or planned.fused_into is None:
        raise InvalidState(f"The step {step.path} gave no table; a DATA step does")
    return planned


def _taken(step: StepRun) -> Ran:
    return Ran(
        id=step.id, step_key=step.step_key, path=step.path, attempt=step.attempt, status=step.status, finished=True
    )


def _computed(path: str, run: Execution) -> StepPreviewView:
    outputs = run.outputs if run.status is ExecutionStatus.COMPLETED else None
    return StepPreviewView(
        path=path,
        execution_id=run.id,
        status=run.status,
        schema_=outputs and outputs.get("schema"),
        preview=outputs and outputs.get("preview"),
        error=run.error,
    )
