"""Sees cancels through: what nobody heard of is told again, what nobody drives is ended.

A process hears of a cancel within milliseconds, unless its connection broke just then, or the run was being suspended,
or the process is gone. And no process hears that somebody cancelled a run in Prefect which none holds, since it waits.
"""

from datetime import datetime, timedelta
from uuid import UUID

import structlog
from sqlalchemy import and_, or_, select
from sqlmodel import col

from flows.errors import PrefectRefused, PrefectUnavailable
from flows.orchestrator import Orchestrator
from flows.states import OPEN, ExecutionStatus
from platform_api.access.scope import system_scope
from platform_api.db.engine import Sessions
from platform_api.db.models import Execution
from platform_api.db.signals import is_mine_to_do, notify
from platform_api.kit import clock
from platform_api.resources.executions.ages import older_than
from platform_api.resources.executions.claims import UNDRIVEN
from platform_api.resources.executions.endings import CANCEL_CHANNEL
from platform_api.resources.executions.journal import Journal

SWEEP_SECONDS = 1.0
UNHEARD_AFTER = timedelta(seconds=1)
LOST_AFTER = timedelta(seconds=4)
"""How long a run that nobody drives is waited for: a claim comes back when its connection broke."""

LOOK_SECONDS = 2.0
"""How often Prefect is asked what was cancelled there: with an answer of a second a run ends here within 3 s."""
LOOK_BACK = timedelta(hours=1)
"""How far the first look goes back, to before this process started. What is older the timekeeper comes across."""
OVERLAP = timedelta(seconds=30)
"""How far the next look goes back behind the one before: clocks differ, and a busy server is late to commit."""

BATCH = 100

log = structlog.get_logger(__name__)


class CancelSweep:
    """`sweep` does one round; safe to call from any number of processes."""

    def __init__(self, sessions: Sessions) -> None:
        self._sessions = sessions

    async def sweep(self) -> int:
        """One round; returns how many runs were ended."""
        requested = col(Execution.cancel_requested_at)
        running = col(Execution.status) == ExecutionStatus.RUNNING
        paused = col(Execution.status) == ExecutionStatus.PAUSED
        async with system_scope(self._sessions) as scope:
            stranded = or_(paused, and_(running, older_than(requested, LOST_AFTER), UNDRIVEN))
            columns = (col(Execution.id), col(Execution.tenant_id))
            found = await scope.session.execute(
                select(*columns).where(older_than(requested, timedelta(0)), stranded).limit(BATCH)
            )
            ended = found.tuples().all()
            unheard = select(col(Execution.prefect_flow_run_id)).where(running, older_than(requested, UNHEARD_AFTER))
            for flow_run_id in await scope.session.scalars(unheard.limit(BATCH)):
                if flow_run_id is not None:
                    await notify(scope.session, CANCEL_CHANNEL, str(flow_run_id))
        for execution_id, tenant_id in ended:
            await self._end(execution_id, tenant_id)
        return len(ended)

    async def _end(self, execution_id: UUID, tenant_id: UUID) -> None:
        journal = Journal(self._sessions, tenant_id)
        cancelled = ExecutionStatus.CANCELLED
        await journal.abandoned(execution_id, code="CANCELLED", message="The run was cancelled", status=cancelled)
        log.info("cancelled_run_ended", execution_id=str(execution_id))


class PrefectCancels:
    """Hears of runs that were cancelled in Prefect. `look` does one round; kept from round to round.

    What it asks does not grow with the number of runs that wait, and nothing is asked while none is open.
    """

    def __init__(self, sessions: Sessions, orchestrator: Orchestrator) -> None:
        self._sessions = sessions
        self._orchestrator = orchestrator
        self._looked_at: datetime | None = None

    async def look(self) -> int:
        """One round; returns how many runs were told to end."""
        open_in_prefect = (col(Execution.status).in_(OPEN), col(Execution.prefect_flow_run_id).is_not(None))
        async with system_scope(self._sessions) as scope:
            if not await is_mine_to_do(scope.session, "prefect-cancels"):
                return 0
            if not await scope.session.scalar(select(1).where(*open_in_prefect).limit(1)):
                return 0
        now = clock.now()
        since = min(self._looked_at, now) - OVERLAP if self._looked_at else now - LOOK_BACK
        try:
            cancelled = await self._orchestrator.cancelled_since(since)
        except (PrefectUnavailable, PrefectRefused) as error:
            log.warning("prefect_not_asked_for_cancels", reason=str(error))
            return 0
        self._looked_at = now
        if not cancelled:
            return 0
        outermost = (col(Execution.prefect_flow_run_id).in_(cancelled), col(Execution.parent_execution_id).is_(None))
        async with system_scope(self._sessions) as scope:
            columns = (col(Execution.id), col(Execution.tenant_id))
            found = await scope.session.execute(select(*columns).where(*open_in_prefect, *outermost))
            told = found.tuples().all()
        for execution_id, tenant_id in told:
            await Journal(self._sessions, tenant_id).cancel_requested(execution_id, "The run was cancelled in Prefect")
        return len(told)
