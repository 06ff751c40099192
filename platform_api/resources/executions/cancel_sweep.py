"""Sees cancels through: what nobody heard of is told again, what nobody drives is ended.

A process hears of a cancel within milliseconds, unless its connection broke just then, or the run was being suspended,
or the process is gone.
"""

from datetime import timedelta
from uuid import UUID

import structlog
from sqlalchemy import and_, or_, select, text
from sqlmodel import col

from flows.states import ExecutionStatus
from platform_api.access.scope import system_scope
from platform_api.db.engine import Sessions
from platform_api.db.models import Execution
from platform_api.kit import clock
from platform_api.resources.executions.claims import UNDRIVEN
from platform_api.resources.executions.endings import CANCEL_CHANNEL
from platform_api.resources.executions.journal import Journal

SWEEP_SECONDS = 1.0
UNHEARD_AFTER = timedelta(seconds=1)
LOST_AFTER = timedelta(seconds=4)
"""How long a run that nobody drives is waited for: a claim comes back when its connection broke."""

BATCH = 100

_NOTIFY = text("select pg_notify(:channel, :payload)")

log = structlog.get_logger(__name__)


class CancelSweep:
    """`sweep` does one round; safe to call from any number of processes."""

    def __init__(self, sessions: Sessions) -> None:
        self._sessions = sessions

    async def sweep(self) -> int:
        """One round; returns how many runs were ended."""
        requested, now = col(Execution.cancel_requested_at), clock.now()
        running = col(Execution.status) == ExecutionStatus.RUNNING
        paused = col(Execution.status) == ExecutionStatus.PAUSED
        async with system_scope(self._sessions) as scope:
            stranded = or_(paused, and_(running, requested < now - LOST_AFTER, UNDRIVEN))
            columns = (col(Execution.id), col(Execution.tenant_id))
            found = await scope.session.execute(select(*columns).where(requested < now, stranded).limit(BATCH))
            ended = found.tuples().all()
            unheard = select(col(Execution.prefect_flow_run_id)).where(running, requested < now - UNHEARD_AFTER)
            for flow_run_id in await scope.session.scalars(unheard.limit(BATCH)):
                if flow_run_id is not None:
                    await scope.session.execute(_NOTIFY, {"channel": CANCEL_CHANNEL, "payload": str(flow_run_id)})
        for execution_id, tenant_id in ended:
            await self._end(execution_id, tenant_id)
        return len(ended)

    async def _end(self, execution_id: UUID, tenant_id: UUID) -> None:
        journal = Journal(self._sessions, tenant_id)
        cancelled = ExecutionStatus.CANCELLED
        await journal.abandoned(execution_id, code="CANCELLED", message="The run was cancelled", status=cancelled)
        log.info("cancelled_run_ended", execution_id=str(execution_id))
