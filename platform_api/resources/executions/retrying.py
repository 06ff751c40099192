"""Retries runs: a new execution that goes on from what the one before it has done, linked by `retryOf`.

By default it runs the very plan of the run before it, so that an edit since then changes nothing; a newer version of
the workflow is asked for by its number or as `latest`.
"""

import asyncio
from collections.abc import Sequence
from functools import partial
from typing import Any
from uuid import UUID

from agents.errors import Problem
from flows.plan import Plan
from flows.states import ExecutionStatus, is_final
from platform_api.access.scope import TenantScope
from platform_api.db.enums import ResourceStatus
from platform_api.db.models import Execution, Workflow
from platform_api.errors import InvalidState, PlatformError, ValidationFailed
from platform_api.resources.agents.visibility import reach
from platform_api.resources.audit_log.service import AuditLog
from platform_api.resources.budgets.service import BudgetGate
from platform_api.resources.executions.delivery import Delivery
from platform_api.resources.executions.filters import ExecutionFilters
from platform_api.resources.executions.journal import admit
from platform_api.resources.executions.launch import execution_row
from platform_api.resources.executions.lineage import go_on_from
from platform_api.resources.executions.past import load_ran
from platform_api.resources.executions.planning import Planner, checked_inputs
from platform_api.resources.executions.record import Record
from platform_api.resources.executions.repository import ExecutionRepository
from platform_api.resources.executions.reuse import step_from
from platform_api.resources.executions.schemas import (
    ExecutionRetried,
    ExecutionRetry,
    ExecutionsRetried,
    RefusedRetry,
)
from platform_api.resources.executions.service import ExecutionService
from platform_api.resources.executions.views import retried_view
from platform_api.resources.workers.gate import SandboxGate

AT_ONCE = 100
"""Retries that one call starts at most."""

SUBMISSIONS_AT_ONCE = 8

_AS_BEFORE = ("workflow_id", "deployment_id", "environment", "priority", "tags")
"""What a retry has in common with the run before it."""

UNFINISHED = frozenset({ExecutionStatus.FAILED, ExecutionStatus.CANCELLED, ExecutionStatus.TIMEOUT})


class Retrying:
    """Retries executions inside one scope; `delivery` submits after the commit."""

    def __init__(self, scope: TenantScope, delivery: Delivery) -> None:
        self._scope = scope
        self._delivery = delivery
        self._executions = ExecutionRepository(scope)
        self._service = ExecutionService(scope)
        self._planner = Planner(scope)
        self._audit = AuditLog(scope)

    async def retry(self, execution_id: UUID, body: ExecutionRetry) -> ExecutionRetried:
        """Starts the retry.

        Raises `InvalidState` for what cannot be retried as it is now, `ValidationFailed` for inputs that do not fit and
        for a step that is not there, `NotFound` for a version that there is not, `ServiceUnavailable` where no worker
        has a sandbox for its code.
        """
        retried = await self._admitted(execution_id, body)
        self._scope.after_commit(partial(self._delivery.attempt, retried.execution_id))
        return retried

    async def retry_many(self, filters: ExecutionFilters) -> ExecutionsRetried:
        """Retries what the filters name, oldest first, `AT_ONCE` at most; what has been retried is left out."""
        ids, left = await self._executions.retryable(filters, reach(self._scope.caller), UNFINISHED, limit=AT_ONCE)
        started: list[ExecutionRetried] = []
        refused: list[RefusedRetry] = []
        for execution_id in ids:
            try:
                async with self._scope.session.begin_nested():
                    started.append(await self._admitted(execution_id, ExecutionRetry()))
            except PlatformError as reason:
                refused.append(RefusedRetry(execution_id=execution_id, code=reason.code, message=reason.message))
        self._scope.after_commit(partial(self._deliver, [each.execution_id for each in started]))
        return ExecutionsRetried(started=started, refused=refused, left=left)

    async def _admitted(self, execution_id: UUID, body: ExecutionRetry) -> ExecutionRetried:
        before, workflow = await self._service.get(execution_id)
        locked = await Record.join(self._scope, execution_id)
        await self._check(before, workflow, locked.row.status, body)
        assert workflow is not None
        earlier = await asyncio.to_thread(Plan.model_validate, before.plan)
        plan = await self._plan(workflow, earlier, body)
        inputs, is_other = await self._inputs(plan, before, body)
        from_step = await self._from_step(before, earlier, plan, body)
        await BudgetGate(self._scope).check(plan)
        await SandboxGate(self._scope).check(plan)
        as_before = {name: getattr(before, name) for name in _AS_BEFORE}
        row = execution_row(self._scope, plan, inputs, retry_of=before.id, **as_before)
        execution = await admit(self._scope, row)
        kept = 0
        if not is_other or from_step is not None:
            record = await Record.join(self._scope, execution.id)
            kept = await go_on_from(record, before.id, earlier, plan, from_step=from_step)
            await record.close()
            await self._scope.session.refresh(execution)
        after = {"retry_of": before.id, "from_step": from_step, "workflow_version": plan.workflow.version}
        await self._audit.record("execution.retry", "execution", execution.id, after=after)
        return retried_view(execution, reused=kept)

    async def _check(
        self, before: Execution, workflow: Workflow | None, status: ExecutionStatus, body: ExecutionRetry
    ) -> None:
        if before.parent_execution_id is not None:
            raise InvalidState(f"It is a step of execution {before.parent_execution_id}; retry that one")
        if workflow is None or workflow.deleted_at is not None:
            what = "the test of an agent; test the agent again" if workflow is None else "of a workflow that is gone"
            raise InvalidState(f"It is {what}")
        if workflow.status is not ResourceStatus.ACTIVE:
            raise InvalidState(f"Its workflow is {workflow.status.value}; only an ACTIVE one runs. Activate it first")
        if not is_final(status):
            raise InvalidState(f"The execution is {status.value}; it is retried when it is over")
        if status is ExecutionStatus.COMPLETED and body.from_step is None:
            raise InvalidState(
                "The execution is COMPLETED; say with `fromStep` where to go on from, or execute it anew"
            )
        open_retry = await self._executions.open_retry_of(before.id)
        if open_retry is not None:
            raise InvalidState(f"It is being retried as execution {open_retry}")

    async def _plan(self, workflow: Workflow, earlier: Plan, body: ExecutionRetry) -> Plan:
        if body.workflow_version is None:
            return earlier
        return await self._planner.plan(workflow, None if body.workflow_version == "latest" else body.workflow_version)

    async def _inputs(self, plan: Plan, before: Execution, body: ExecutionRetry) -> tuple[dict[str, Any], bool]:
        """What goes in, and whether it is something else than before."""
        if body.inputs is None and body.workflow_version is None:
            return before.inputs, False
        inputs = await checked_inputs(plan, before.inputs if body.inputs is None else body.inputs)
        return inputs, inputs != before.inputs

    async def _from_step(self, before: Execution, earlier: Plan, plan: Plan, body: ExecutionRetry) -> str | None:
        if body.from_step is None:
            return None
        ran = await load_ran(self._scope.session, before.id, earlier)
        try:
            return step_from(body.from_step, ran, plan)
        except KeyError:
            if body.workflow_version is not None and _names(body.from_step, earlier):
                version = plan.workflow.version
                raise InvalidState(f"Version {version} has no step {body.from_step} to go on from") from None
            message = "No step of this run has this path"
            raise _wrong_step("UNKNOWN_STEP", message, body.from_step) from None
        except LookupError as several:
            paths = ", ".join(several.args[:10])
            raise _wrong_step("AMBIGUOUS_PATH", f"Write one of {paths}", body.from_step) from None

    async def _deliver(self, execution_ids: Sequence[UUID]) -> None:
        slots = asyncio.Semaphore(SUBMISSIONS_AT_ONCE)

        async def one(execution_id: UUID) -> None:
            async with slots:
                await self._delivery.attempt(execution_id)

        await asyncio.gather(*map(one, execution_ids), return_exceptions=True)


def _names(path: str, plan: Plan) -> bool:
    """Whether a plan has a step of this path or bare key at its top level."""
    return any(
        path == step.step_key or path.startswith((f"{step.step_key}[", f"{step.step_key}.")) for step in plan.steps
    )


def _wrong_step(code: str, message: str, path: str) -> ValidationFailed:
    problem = Problem(path="fromStep", code=code, message=message)
    return ValidationFailed(f"The run cannot go on from {path}", details=[problem])
