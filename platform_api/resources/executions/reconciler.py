"""Sets right what a crash or an absence left behind. One worker at a time does it, the one with the advisory lock.

- A RUNNING row whose process is gone (its claim is free) is taken back, so that another process goes on with it
  (`recovery`); one that was taken back is handed over again until a process has it.
- A PENDING row that Prefect holds in a way that will never start it: taken by a worker that died is put back, ended or
  deleted there is ended here.
- A run that has ended here and not so in Prefect, since its process died in between, is ended there.
"""

from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta
from typing import Any
from uuid import UUID

import structlog
from sqlalchemy import ColumnElement, or_, select, text
from sqlalchemy.ext.asyncio import AsyncSession
from sqlmodel import col

from flows.errors import PrefectRefused, PrefectUnavailable
from flows.orchestrator import Orchestrator, RunState
from flows.states import ExecutionStatus
from platform_api.access.scope import system_scope
from platform_api.db.engine import Sessions
from platform_api.db.models import Execution
from platform_api.db.signals import is_mine_to_do
from platform_api.kit import clock
from platform_api.resources.executions.ages import DUE_WHEN_ACCEPTED, is_past, older_than
from platform_api.resources.executions.claims import UNDRIVEN
from platform_api.resources.executions.journal import Journal
from platform_api.resources.executions.recovery import Loss, LostRun, Recovery

LOST_AFTER = timedelta(seconds=1.5)
"""How long a run must have been seen without a driver: a claim whose connection was cut comes back sooner."""
SETTLING = timedelta(seconds=10)
"""How long the claims of living processes may take to come back when the database has started (again)."""
HANDED_OVER_AFTER = timedelta(seconds=3)
"""How long who took a run back may need to tell Prefect."""
TAKEN_FOR = timedelta(seconds=20)
"""How long a worker may take to begin what it has taken, and a process to tell Prefect how its run ended."""
STUCK_AFTER = timedelta(seconds=60)
"""How long Prefect may hold a run that is due before its state is asked for, and a worker what it has taken."""

BATCH = 100
PAGE = 200
"""How many runs one call asks Prefect about."""

_UP_SINCE = text(
    "select greatest(pg_postmaster_start_time(), max(backend_start)) from pg_stat_activity "
    "where backend_type = 'checkpointer'"
)
"""The checkpointer is started anew when the server recovers from the crash of one of its processes."""

log = structlog.get_logger(__name__)


class Reconciler:
    """`sweep` does one round; safe to call from any number of processes. Kept from round to round."""

    def __init__(self, sessions: Sessions, orchestrator: Orchestrator) -> None:
        self._sessions = sessions
        self._orchestrator = orchestrator
        self._recovery = Recovery(sessions=sessions, orchestrator=orchestrator)
        self._undriven_since: dict[UUID, datetime] = {}
        self._asked_at: datetime | None = None
        self._page = 0

    async def sweep(self) -> None:
        """One round of all but what is lost. What fails for one row is logged and left."""
        async with system_scope(self._sessions) as scope:
            if not await is_mine_to_do(scope.session, "reconciler"):
                return
            if self._asked_at is None or is_past(self._asked_at, STUCK_AFTER / 2):
                self._asked_at = clock.now()
                await self._free_stuck(await _overdue(scope.session))
                await self._agree(scope.session)

    async def recover(self) -> int:
        """Takes back what has no driver; returns how many runs were. More often than `sweep`: somebody waits."""
        async with system_scope(self._sessions) as scope:
            if not await is_mine_to_do(scope.session, "recovery"):
                return 0
            lost = await self._lost(scope.session)
            await self._hand_over(await _taken_back(scope.session))
        return sum([await self._recovery.recover(run) is Loss.TAKEN_BACK for run in lost])

    async def _lost(self, session: AsyncSession) -> list[LostRun]:
        """Runs that have had no driver since an earlier round, long enough."""
        now = clock.now()
        running = (col(Execution.status) == ExecutionStatus.RUNNING, UNDRIVEN)
        outermost = col(Execution.parent_execution_id).is_(None)
        found = await _find_runs(session, *running, outermost, order_by=col(Execution.started_at).asc())
        if found and now - await session.scalar(_UP_SINCE) < SETTLING:
            found = []
        since = {run.execution_id: self._undriven_since.get(run.execution_id, now) for run in found}
        self._undriven_since = {run: min(earlier, now) for run, earlier in since.items()}
        return [run for run in found if now - self._undriven_since[run.execution_id] >= LOST_AFTER]

    async def _hand_over(self, taken_back: Sequence[LostRun]) -> None:
        """Brings to a worker what whoever took it back did not, or what was lost again before it was begun."""
        if not taken_back:
            return
        try:
            states = await self._orchestrator.states([run.flow_run_id for run in taken_back if run.flow_run_id])
            for run in taken_back:
                if run.flow_run_id is not None:
                    await self._hand_over_one(run, states.get(run.flow_run_id))
        except (PrefectUnavailable, PrefectRefused) as error:
            log.warning("runs_not_handed_over", reason=str(error))

    async def _hand_over_one(self, run: LostRun, state: RunState | None) -> None:
        journal = Journal(self._sessions, run.tenant_id)
        if state is None:
            message = "The run was deleted in Prefect while nobody ran it"
            await journal.abandoned(run.execution_id, code="RUN_DELETED", message=message)
        elif state.type in ("CANCELLED", "CANCELLING"):
            message, cancelled = "The run was cancelled in Prefect", ExecutionStatus.CANCELLED
            await journal.abandoned(run.execution_id, code="CANCELLED", message=message, status=cancelled)
            await self._recovery.tell_end(run)
        elif state.type == "SCHEDULED":
            return
        elif state.type not in ("PENDING", "RUNNING") or is_past(state.since, TAKEN_FOR):
            await self._recovery.hand_over(run)

    async def _agree(self, session: AsyncSession) -> None:
        """Ends in Prefect what has ended here, a page of what is open there in each round."""
        try:
            states = await self._orchestrator.unfinished(limit=PAGE, offset=self._page * PAGE)
            self._page = self._page + 1 if len(states) == PAGE else 0
            for run, completed_at in await _ended(session, list(states)):
                if is_past(completed_at, TAKEN_FOR) and not _is_begun_anew(states, run, completed_at):
                    await self._recovery.tell_end(run)
        except (PrefectUnavailable, PrefectRefused) as error:
            log.warning("ends_not_compared", reason=str(error))

    async def _free_stuck(self, held: Sequence[LostRun]) -> None:
        if not held:
            return
        try:
            states = await self._orchestrator.states([run.flow_run_id for run in held if run.flow_run_id])
        except (PrefectUnavailable, PrefectRefused) as error:
            log.warning("stuck_runs_not_looked_at", reason=str(error))
            return
        for run in held:
            if run.flow_run_id is not None:
                await self._free(run, states.get(run.flow_run_id))

    async def _free(self, run: LostRun, state: RunState | None) -> None:
        journal, execution_id = Journal(self._sessions, run.tenant_id), run.execution_id
        if state is None:
            message = "The run was deleted before it started, in Prefect or as its workflow was deactivated"
            await journal.abandoned(execution_id, code="RUN_DELETED", message=message)
        elif state.type in ("CANCELLED", "CANCELLING"):
            message = "The run was cancelled in Prefect before it started"
            cancelled = ExecutionStatus.CANCELLED
            await journal.abandoned(execution_id, code="CANCELLED", message=message, status=cancelled)
        elif state.type in ("FAILED", "COMPLETED"):
            message = "The run ended in Prefect before it started; start it again"
            await journal.abandoned(execution_id, code="NOT_STARTED", message=message)
        elif state.type == "CRASHED" or (state.type != "SCHEDULED" and is_past(state.since, STUCK_AFTER)):
            await self._recovery.recover(run)


def _is_begun_anew(states: Mapping[UUID, RunState], run: LostRun, completed_at: datetime) -> bool:
    """Whether somebody runs in Prefect again what has ended here, and there is no row of it yet."""
    state = states[run.flow_run_id] if run.flow_run_id else None
    return state is not None and state.type != "CRASHED" and state.since > completed_at


async def _overdue(session: AsyncSession) -> Sequence[LostRun]:
    """What is PENDING in Prefect's hands and has been due for long, oldest first."""
    pending = (col(Execution.status) == ExecutionStatus.PENDING, older_than(col(Execution.created_at), STUCK_AFTER))
    is_due = or_(col(Execution.queued_at) < clock.now() - STUCK_AFTER, DUE_WHEN_ACCEPTED)
    submitted = (older_than(col(Execution.submitted_at), STUCK_AFTER), is_due, UNDRIVEN)
    outermost = col(Execution.parent_execution_id).is_(None)
    return await _find_runs(session, *pending, *submitted, outermost, order_by=col(Execution.created_at).asc())


async def _taken_back(session: AsyncSession) -> Sequence[LostRun]:
    """Runs that were taken back and that nobody has begun since."""
    left = (col(Execution.status) == ExecutionStatus.PAUSED, col(Execution.suspended_at).is_(None), UNDRIVEN)
    outermost = col(Execution.parent_execution_id).is_(None)
    settled = older_than(col(Execution.updated_at), HANDED_OVER_AFTER)
    return await _find_runs(session, *left, outermost, settled, order_by=col(Execution.updated_at).asc())


async def _find_runs(session: AsyncSession, *where: ColumnElement[bool], order_by: ColumnElement[Any]) -> list[LostRun]:
    columns = (
        *(col(Execution.id), col(Execution.tenant_id)),
        *(col(Execution.prefect_flow_run_id), col(Execution.environment)),
    )
    rows = await session.execute(select(*columns).where(*where).order_by(order_by).limit(BATCH))
    return [
        LostRun(execution_id=row[0], tenant_id=row[1], flow_run_id=row[2], environment=row[3]) for row in rows.tuples()
    ]


async def _ended(session: AsyncSession, flow_run_ids: Sequence[UUID]) -> list[tuple[LostRun, datetime]]:
    """Which of these flow runs have ended here, and when: what their newest execution says counts."""
    columns = (
        *(col(Execution.id), col(Execution.tenant_id), col(Execution.prefect_flow_run_id)),
        *(col(Execution.environment), col(Execution.completed_at)),
    )
    mine = select(*columns).where(col(Execution.prefect_flow_run_id).in_(flow_run_ids))
    newest = mine.distinct(col(Execution.prefect_flow_run_id)).order_by(
        col(Execution.prefect_flow_run_id), col(Execution.prefect_run_count).desc()
    )
    return [
        (LostRun(execution_id=row[0], tenant_id=row[1], flow_run_id=row[2], environment=row[3]), row[4])
        for row in (await session.execute(newest)).tuples()
        if row[4] is not None
    ]
