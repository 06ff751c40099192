"""Resumes suspended runs whose wait is over or was answered. Each second in every worker; one of them does it.

An answer over REST resumes its run by itself; what remains is time, and what was answered while Prefect was away or
just as the run was suspended. Now and then it looks for suspended runs that wait for nothing any more, and for those
that have been cancelled in Prefect.
"""

from collections.abc import Sequence
from datetime import datetime, timedelta
from uuid import UUID

import structlog
from sqlalchemy import ColumnElement, exists, or_, select
from sqlalchemy.ext.asyncio import AsyncSession
from sqlalchemy.orm import aliased
from sqlmodel import col

from flows.errors import PrefectRefused, PrefectUnavailable
from flows.orchestrator import Orchestrator, RunState
from flows.states import OPEN, ExecutionStatus
from platform_api.access.scope import system_scope
from platform_api.db.engine import Sessions
from platform_api.db.models import Execution, StepWait
from platform_api.db.signals import is_mine_to_do
from platform_api.kit import clock
from platform_api.resources.executions.ages import is_past, older_than
from platform_api.resources.executions.claims import UNDRIVEN
from platform_api.resources.executions.journal import Journal
from platform_api.resources.executions.putting_back import put_back
from platform_api.resources.executions.resumption import Resumption, SuspendedRun
from platform_api.resources.executions.waits import (
    UNANSWERED,
    UNCLOSED,
    light_executions,
    root_of,
    still_takes_answers,
)

TICK_SECONDS = 1.0

ASKED_FOR = timedelta(seconds=5)
"""How long a run that was resumed is left alone: a worker takes it within that time, or has no place for it now."""

SETTLED_AFTER = timedelta(seconds=15)
"""How long Prefect may have a run as running that we have as suspended: the process that leaves it tells us first."""

TAKEN_FOR = timedelta(seconds=60)
"""How long a worker may take to begin a run that it has taken."""

LOOK_AROUND = timedelta(seconds=15)
"""How often it looks for suspended runs that wait for nothing, and asks Prefect about the others."""

BATCH = 100


log = structlog.get_logger(__name__)


class Timekeeper:
    """`tick` does one round; safe to call from any number of processes. Kept from round to round."""

    def __init__(self, sessions: Sessions, orchestrator: Orchestrator) -> None:
        self._sessions = sessions
        self._orchestrator = orchestrator
        self._resumption = Resumption(sessions=sessions, orchestrator=orchestrator)
        self._asked: dict[UUID, datetime] = {}
        self._looked_at: datetime | None = None
        self._looked_up_to = UUID(int=0)

    async def tick(self) -> int:
        """One round; returns how many runs were resumed. What fails for one run is logged and tried again later."""
        self._asked = {run: at for run, at in self._asked.items() if not is_past(at, ASKED_FOR)}
        async with system_scope(self._sessions) as scope:
            if not await is_mine_to_do(scope.session, "timekeeper"):
                return 0
            resumed = await self._resume(await _due(scope.session, set(self._asked)))
            if self._looked_at is None or is_past(self._looked_at, LOOK_AROUND):
                self._looked_at = clock.now()
                resumed += await self._resume(await _stranded(scope.session, set(self._asked)))
                await self._look_at_prefect(scope.session)
            return resumed

    async def _resume(self, runs: Sequence[SuspendedRun]) -> int:
        resumed = 0
        for run in runs:
            try:
                state = await self._resumption.resume(run)
                goes_on = await self._settle(run, state)
            except PrefectUnavailable:
                break
            except PrefectRefused as error:
                log.warning("resumption_refused", execution_id=str(run.execution_id), reason=str(error))
                goes_on = await self._settle(run, None)
            except Exception:
                log.exception("resumption_failed", execution_id=str(run.execution_id))
                goes_on = True
            if goes_on:
                resumed += 1
                self._asked[run.execution_id] = clock.now()
        return resumed

    async def _settle(self, run: SuspendedRun, state: RunState | None) -> bool:
        """Does what the state asks for in which Prefect had the run; whether the run goes on."""
        if state is None:
            await self._give_up(run, "The run was deleted in Prefect while it waited")
            return False
        if state.type in ("CANCELLED", "CANCELLING"):
            await self._cancel(run)
            return False
        if state.type in ("PAUSED", "SCHEDULED"):
            return True
        patience = {"RUNNING": SETTLED_AFTER, "PENDING": TAKEN_FOR}.get(state.type, timedelta(0))
        if not is_past(state.since, patience) or await self._is_driven(run):
            return False
        is_put_back = await put_back(
            self._sessions,
            self._orchestrator,
            execution_id=run.execution_id,
            tenant_id=run.tenant_id,
            flow_run_id=run.flow_run_id,
            environment=run.environment,
        )
        if is_put_back:
            log.warning("suspended_run_put_back", execution_id=str(run.execution_id), prefect_had=state.type)
        return is_put_back

    async def _look_at_prefect(self, session: AsyncSession) -> None:
        """Ends suspended runs that were cancelled in Prefect; as many a round as one call may ask for, in turn."""
        runs = await _suspended(session, after=self._looked_up_to)
        self._looked_up_to = runs[-1].execution_id if len(runs) == BATCH else UUID(int=0)
        if not runs:
            return
        try:
            states = await self._orchestrator.states([run.flow_run_id for run in runs])
        except (PrefectUnavailable, PrefectRefused) as error:
            log.warning("suspended_runs_not_looked_at", reason=str(error))
            return
        for run in runs:
            state = states.get(run.flow_run_id)
            if state is not None and state.type in ("CANCELLED", "CANCELLING"):
                await self._cancel(run)

    async def _cancel(self, run: SuspendedRun) -> None:
        message = "The run was cancelled in Prefect while it waited"
        journal = Journal(self._sessions, run.tenant_id)
        await journal.abandoned(run.execution_id, code="CANCELLED", message=message, status=ExecutionStatus.CANCELLED)

    async def _give_up(self, run: SuspendedRun, message: str) -> None:
        await Journal(self._sessions, run.tenant_id).abandoned(run.execution_id, code="RUN_DELETED", message=message)

    async def _is_driven(self, run: SuspendedRun) -> bool:
        async with system_scope(self._sessions) as scope:
            undriven = select(col(Execution.id)).where(col(Execution.id) == run.execution_id, UNDRIVEN)
            return (await scope.session.execute(undriven)).first() is None


async def is_any_open(sessions: Sessions) -> bool:
    """Whether any run has not ended: while none has, there is nothing to look after."""
    async with system_scope(sessions) as scope:
        return bool(await scope.session.scalar(select(exists().where(col(Execution.status).in_(OPEN)))))


async def _due(session: AsyncSession, without: set[UUID]) -> list[SuspendedRun]:
    """Runs to resume: those with a wait, of their own or in a nested run, that was answered or is over.

    And those in which the time of something is over that was suspended with them.
    """
    paused = col(Execution.status) == ExecutionStatus.PAUSED
    over = or_(~UNANSWERED, ~still_takes_answers())
    waits = exists().where(col(StepWait.execution_id) == col(Execution.id), UNCLOSED, over)
    return await _roots(session, paused, or_(waits, col(Execution.wake_at) <= clock.now()), without=without)


async def _stranded(session: AsyncSession, without: set[UUID]) -> list[SuspendedRun]:
    """Suspended runs in which no wait is open: whatever was to take them up did not."""
    nested = aliased(Execution)
    waits = exists().where(col(StepWait.execution_id) == col(Execution.id), UNCLOSED)
    inner = exists().where(
        col(nested.parent_execution_id) == col(Execution.id), col(nested.status) == ExecutionStatus.PAUSED
    )
    paused = col(Execution.status) == ExecutionStatus.PAUSED
    settled = older_than(col(Execution.updated_at), SETTLED_AFTER)
    return await _roots(session, paused, settled, ~waits, ~inner, without=without)


async def _roots(session: AsyncSession, *where: ColumnElement[bool], without: set[UUID]) -> list[SuspendedRun]:
    others = col(Execution.id).not_in(without)
    found = await session.scalars(select(col(Execution.id)).where(*where, others).limit(BATCH))
    roots = {root.id: root for each in found if (root := await root_of(session, each)) is not None}
    return [_run(root) for root in roots.values() if _is_suspended(root) and root.id not in without]


async def _suspended(session: AsyncSession, *, after: UUID) -> list[SuspendedRun]:
    paused = (col(Execution.status) == ExecutionStatus.PAUSED, col(Execution.prefect_flow_run_id).is_not(None))
    outermost = (col(Execution.parent_execution_id).is_(None), col(Execution.id) > after)
    statement = light_executions().where(*paused, *outermost).order_by(col(Execution.id)).limit(BATCH)
    return [_run(row) for row in await session.scalars(statement)]


def _is_suspended(root: Execution) -> bool:
    """One that was taken back from a process that died is PAUSED too; the reconciler brings it to another."""
    is_paused = root.status is ExecutionStatus.PAUSED and root.suspended_at is not None
    return is_paused and root.prefect_flow_run_id is not None


def _run(root: Execution) -> SuspendedRun:
    assert root.prefect_flow_run_id is not None
    return SuspendedRun(
        execution_id=root.id,
        tenant_id=root.tenant_id,
        environment=root.environment,
        flow_run_id=root.prefect_flow_run_id,
    )
