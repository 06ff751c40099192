"""Takes back runs whose process has died, so that another process goes on with them where they were.

What a step was doing is recorded as FAILED with WORKER_LOST and done again; steps that had ended stay as they are, and
so do waits. A run is taken back only while nobody claims it, which is looked at under the lock of its row: of several
that find it lost one takes it back. Runs that are nested in it go with it.

Not taken back but FAILED: a run that was lost too often, one that was in a step which must not be done twice unasked,
and one whose plan can no longer be read.
"""

from dataclasses import dataclass
from enum import StrEnum
from typing import Any
from uuid import UUID

import structlog
from pydantic import ValidationError
from sqlalchemy import func, select
from sqlalchemy.ext.asyncio import AsyncSession
from sqlmodel import col

from agents.result import Usage
from agents.spec import AgentType
from flows.errors import PrefectRefused, PrefectUnavailable
from flows.orchestrator import Orchestrator
from flows.plan import Plan
from flows.runtime.paths import step_at
from flows.runtime.ports import RunOutcome, StepOutcome
from flows.spec import StepType
from flows.states import Environment, ExecutionStatus, StepStatus, is_final
from platform_api.access.scope import tenant_scope
from platform_api.db.engine import Sessions
from platform_api.db.models import Execution, ExecutionEvent
from platform_api.resources.budgets.lost import charge_lost
from platform_api.resources.executions.claims import UNDRIVEN
from platform_api.resources.executions.endings import WAS_CANCELLED, give_up
from platform_api.resources.executions.journal import Journal
from platform_api.resources.executions.past import WORKER_LOST
from platform_api.resources.executions.putting_back import put_back
from platform_api.resources.executions.record import Record, Step, milliseconds

MOST_LOSSES = 3
"""What kills its worker more often than that is not tried again."""

_STEP_LOST = StepOutcome(
    status=StepStatus.FAILED,
    error={"code": WORKER_LOST, "message": "The process that ran this has ended; the step is run again"},
    last=False,
)

log = structlog.get_logger(__name__)


class Loss(StrEnum):
    """What became of a run that was thought to be lost."""

    DRIVEN = "DRIVEN"
    """It is not: a living process claims it."""
    TAKEN_BACK = "TAKEN_BACK"
    GIVEN_UP = "GIVEN_UP"
    ENDED = "ENDED"
    """It had ended; only Prefect may not know."""
    RESTING = "RESTING"
    """It is suspended, or somebody else has just taken it back."""


@dataclass(frozen=True, kw_only=True)
class LostRun:
    """An outermost execution. `environment` says which workers are to be told."""

    execution_id: UUID
    tenant_id: UUID
    flow_run_id: UUID | None
    environment: Environment


@dataclass(frozen=True, kw_only=True)
class Recovery:
    """Takes back runs, of whatever tenant."""

    sessions: Sessions
    orchestrator: Orchestrator

    async def recover(self, run: LostRun, *, died: bool = True) -> Loss:
        """Takes the run back and lets the workers know. `died` is false where its worker was asked to stop.

        A Prefect that is away is told later, by the reconciler.
        """
        loss = await self._take_back(run, died)
        try:
            if loss is Loss.TAKEN_BACK:
                await self.hand_over(run)
            elif loss in (Loss.GIVEN_UP, Loss.ENDED):
                await self.tell_end(run)
        except (PrefectUnavailable, PrefectRefused) as error:
            log.warning("prefect_not_told", execution_id=str(run.execution_id), reason=str(error))
        if loss in (Loss.TAKEN_BACK, Loss.GIVEN_UP):
            log.warning("lost_run", execution_id=str(run.execution_id), outcome=loss.value)
        return loss

    async def hand_over(self, run: LostRun) -> None:
        """Lets a worker take the run, unless it has gone on by now; raises `PrefectUnavailable` or `PrefectRefused`."""
        if run.flow_run_id is None:
            return
        await put_back(
            self.sessions,
            self.orchestrator,
            execution_id=run.execution_id,
            tenant_id=run.tenant_id,
            flow_run_id=run.flow_run_id,
            environment=run.environment,
        )

    async def tell_end(self, run: LostRun) -> None:
        """Makes Prefect say how the run has ended; raises `PrefectUnavailable` or `PrefectRefused`."""
        if run.flow_run_id is None:
            return
        async with tenant_scope(self.sessions, run.tenant_id) as scope:
            ended = select(col(Execution.status), col(Execution.error)).where(col(Execution.id) == run.execution_id)
            status, error = (await scope.session.execute(ended)).one()
        if is_final(status):
            await self.orchestrator.mark_ended(run.flow_run_id, status, (error or {}).get("message"))

    async def _take_back(self, run: LostRun, died: bool) -> Loss:
        losses: list[Loss] = []

        async def write(record: Record, again: bool) -> None:
            losses.append(await take_back(record, again=again, died=died))

        await Journal(self.sessions, run.tenant_id).write(run.execution_id, write)
        return losses[-1]


async def take_back(record: Record, *, again: bool = False, died: bool = True) -> Loss:
    """Leaves an outermost run as one that a process can go on with, if nobody drives it."""
    row = record.row
    if is_final(row.status):
        return Loss.ENDED
    if row.status is ExecutionStatus.PAUSED:
        return Loss.TAKEN_BACK if again and row.suspended_at is None else Loss.RESTING
    if await _is_driven(record):
        return Loss.DRIVEN
    family = [record, *await record.nested()]
    plans = [await _plan(each) for each in family]
    outcome = await _why_not(family, plans, died)
    if outcome is not None:
        await give_up(record, outcome, family[1:])
        await _charge(family, plans, is_over=True)
        return Loss.GIVEN_UP
    for each, plan in zip(family, plans, strict=True):
        await _interrupt(each, plan, died)
    await _charge(family, plans, is_over=False)
    for nested in family[1:]:
        await nested.close()
    return Loss.TAKEN_BACK


async def _is_driven(record: Record) -> bool:
    undriven = select(col(Execution.id)).where(col(Execution.id) == record.row.id, UNDRIVEN)
    return (await record.session.execute(undriven)).first() is None


async def _plan(record: Record) -> Plan | None:
    document: Any = await record.session.scalar(select(col(Execution.plan)).where(col(Execution.id) == record.row.id))
    try:
        return Plan.model_validate(document)
    except ValidationError:
        return None


async def _why_not(family: list[Record], plans: list[Plan | None], died: bool) -> RunOutcome | None:
    """The end of a run that must not go on by itself, None for one that may."""
    if family[0].row.cancel_requested_at is not None:
        return WAS_CANCELLED
    if died and family[0].row.losses >= MOST_LOSSES:
        return _lost(f"The process that ran this has ended {MOST_LOSSES + 1} times; it is not tried again")
    for record, plan in zip(family, plans, strict=True):
        if plan is None:
            return _lost("The process that ran this has ended, and what it ran can no longer be read; start it again")
        for step in await record.steps({StepStatus.RUNNING}):
            planned = step_at(plan, step.path)
            if planned is not None and not planned.repeatable and _is_work(step, plan):
                return _lost(
                    f"The process that ran this has ended in step {step.path}, which may have been done and must not "
                    "be done twice; see what it did, then retry the run from there"
                )
    return None


def _lost(message: str) -> RunOutcome:
    return RunOutcome(status=ExecutionStatus.FAILED, error={"code": WORKER_LOST, "message": message})


async def _interrupt(record: Record, plan: Plan | None, died: bool) -> None:
    """Work that was under way has failed; what was around it, and the run, are left open."""
    row = record.row
    row.losses += died
    if row.status is not ExecutionStatus.RUNNING:
        return
    for step in await record.steps({StepStatus.RUNNING}):
        if plan is not None and _is_work(step, plan):
            record.end_step(step, _STEP_LOST)
        else:
            record.move_step(step, StepStatus.PAUSED)
    begun = row.resumed_at or row.started_at
    if begun is not None:
        row.active_ms += max(1, milliseconds(begun, await _last_sign(record) or begun))
    row.suspended_at = None
    record.move(ExecutionStatus.PAUSED)


async def _charge(family: list[Record], plans: list[Plan | None], *, is_over: bool) -> None:
    """Lets projects pay for what the process of the run did not charge any more.

    A run pays for those nested in it, but for one of another project, which pays too. What a nested run has used is in
    the record of the run around it when that is over.
    """
    members = {each.row.id: (each, plan) for each, plan in zip(family, plans, strict=True)}
    around: dict[UUID, frozenset[str]] = {}
    totals: dict[UUID, Usage] = {each.row.id: each.usage for each in family}
    for each in () if is_over else reversed(family):
        if (parent := each.row.parent_execution_id) in totals:
            totals[parent] = totals[parent] + totals[each.row.id]
    for execution_id, (each, plan) in members.items():
        paying = around.get(each.row.parent_execution_id or execution_id, frozenset())
        project_id = plan.workflow.project_id if plan is not None else None
        if project_id is not None and project_id not in paying:
            await each.flush()
            await charge_lost(each, UUID(project_id), execution_id, totals[execution_id])
            paying |= {project_id}
        around[execution_id] = paying


def _is_work(step: Step, plan: Plan) -> bool:
    """Whether a step does something itself: an agent's call, but no container and no nested run."""
    planned = step_at(plan, step.path)
    if planned is None or planned.type is not StepType.AGENT:
        return False
    return plan.agents[planned.agent or ""].type is not AgentType.WORKFLOW


async def _last_sign(record: Record) -> Any:
    """When the run was last heard of: how long nobody drove it counts towards no limit."""
    latest = select(func.max(col(ExecutionEvent.created_at)))
    return await record.session.scalar(latest.where(col(ExecutionEvent.execution_id) == record.row.id))


async def find_lost(session: AsyncSession, flow_run_id: UUID) -> LostRun | None:
    """The execution that a flow run drives now, for a system scope."""
    columns = (col(Execution.id), col(Execution.tenant_id), col(Execution.environment))
    mine = select(*columns).where(col(Execution.prefect_flow_run_id) == flow_run_id)
    newest = mine.order_by(col(Execution.prefect_run_count).desc().nulls_last()).limit(1)
    found = (await session.execute(newest)).one_or_none()
    if found is None:
        return None
    return LostRun(execution_id=found[0], tenant_id=found[1], flow_run_id=flow_run_id, environment=found[2])
