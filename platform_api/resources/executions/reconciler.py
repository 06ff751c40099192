"""Sets right what a crash or an absence left behind. One worker at a time does it, the one with the advisory lock.

- A row that was committed and never submitted (the API died in between, or Prefect was away) is submitted; one that
  Prefect refuses for good becomes FAILED.
- A RUNNING row whose process is gone (its claim is free) becomes FAILED with WORKER_LOST, and Prefect is told.
- A PENDING row that Prefect holds in a way that will never start it: taken by a worker that died is put back, ended or
  deleted there is ended here.
"""

from collections.abc import Awaitable, Callable, Sequence
from datetime import datetime, timedelta
from functools import partial
from typing import Any
from uuid import UUID

import structlog
from sqlalchemy import ColumnElement, Row, select, text
from sqlalchemy.ext.asyncio import AsyncSession
from sqlmodel import col

from flows.errors import PrefectRefused, PrefectUnavailable
from flows.orchestrator import Orchestrator, RunState
from flows.states import ExecutionStatus
from platform_api.access.scope import system_scope
from platform_api.db.engine import Sessions
from platform_api.db.models import Execution
from platform_api.kit import clock
from platform_api.resources.executions.claims import UNDRIVEN
from platform_api.resources.executions.delivery import Delivery
from platform_api.resources.executions.journal import Journal

PATIENCE = timedelta(seconds=5)
"""How long a submission by the API may be under way."""
UNWANTED_AFTER = timedelta(seconds=60)
"""How long a submission that Prefect refuses is tried again."""
LOST_AFTER = timedelta(seconds=10)
"""How long a run must have been seen without a driver: a claim comes back within seconds when its connection broke."""
STUCK_AFTER = timedelta(seconds=60)
"""How long Prefect may hold a run that is due before its state is asked for, and a worker what it has taken."""

BATCH = 100

_TRY_LOCK = text("select pg_try_advisory_xact_lock(hashtextextended('turbocat-reconciler', 0))")

Found = Sequence[Row[tuple[UUID, UUID, UUID | None]]]
"""Execution, tenant, flow run."""

log = structlog.get_logger(__name__)


class Reconciler:
    """`sweep` does one round; safe to call from any number of processes. Kept from round to round."""

    def __init__(self, sessions: Sessions, orchestrator: Orchestrator) -> None:
        self._sessions = sessions
        self._orchestrator = orchestrator
        self._undriven_since: dict[UUID, datetime] = {}
        self._asked_at: datetime | None = None

    async def sweep(self) -> int:
        """One round of all; returns how many rows were submitted. What fails for one row is logged and left."""
        async with system_scope(self._sessions) as scope:
            if not await scope.session.scalar(_TRY_LOCK):
                return 0
            await self._bury_lost(await self._lost(scope.session))
            submitted = await self._submit(await _overdue(scope.session, submitted=False, older_than=PATIENCE))
            if self._asked_at is None or clock.now() - self._asked_at >= STUCK_AFTER / 2:
                self._asked_at = clock.now()
                await self._free_stuck(await _overdue(scope.session, submitted=True, older_than=STUCK_AFTER))
            return submitted

    async def _lost(self, session: AsyncSession) -> Found:
        """Runs that have had no driver since an earlier round, long enough."""
        running = (col(Execution.status) == ExecutionStatus.RUNNING, UNDRIVEN)
        found = await _find(session, *running, order_by=col(Execution.started_at).asc())
        now = clock.now()
        self._undriven_since = {row[0]: self._undriven_since.get(row[0], now) for row in found}
        return [row for row in found if now - self._undriven_since[row[0]] >= LOST_AFTER]

    async def _bury_lost(self, lost: Found) -> None:
        message = "The process that ran this has ended; start it again"
        for execution_id, tenant_id, flow_run_id in lost:
            journal = Journal(self._sessions, tenant_id)
            await journal.abandoned(execution_id, code="WORKER_LOST", message=message)
            log.warning("lost_run_ended", execution_id=str(execution_id))
            if flow_run_id is not None:
                await _tried(execution_id, partial(self._orchestrator.mark_crashed, flow_run_id, message))

    async def _submit(self, waiting: Found) -> int:
        submitted = 0
        for execution_id, tenant_id, _ in waiting:
            delivery = Delivery(sessions=self._sessions, orchestrator=self._orchestrator, tenant_id=tenant_id)
            try:
                if await delivery.deliver(execution_id):
                    submitted += 1
                else:
                    await self._turn_away(execution_id, tenant_id)
            except PrefectUnavailable:
                break
            except PrefectRefused as error:
                log.warning("submission_refused", execution_id=str(execution_id), reason=str(error))
                await self._turn_away(execution_id, tenant_id)
            except Exception:
                log.exception("submission_failed", execution_id=str(execution_id))
        return submitted

    async def _turn_away(self, execution_id: UUID, tenant_id: UUID) -> None:
        waiting = (col(Execution.submitted_at).is_(None), col(Execution.created_at) < clock.now() - UNWANTED_AFTER)
        async with system_scope(self._sessions) as scope:
            found = await scope.session.scalar(select(1).where(col(Execution.id) == execution_id, *waiting))
        if found:
            message = "The run could not be handed to Prefect; the worker's log says why"
            await Journal(self._sessions, tenant_id).abandoned(execution_id, code="NOT_SUBMITTED", message=message)

    async def _free_stuck(self, held: Found) -> None:
        if not held:
            return
        try:
            states = await self._orchestrator.states([row[2] for row in held if row[2] is not None])
        except (PrefectUnavailable, PrefectRefused) as error:
            log.warning("stuck_runs_not_looked_at", reason=str(error))
            return
        for execution_id, tenant_id, flow_run_id in held:
            if flow_run_id is not None:
                await self._free(execution_id, tenant_id, flow_run_id, states.get(flow_run_id))

    async def _free(self, execution_id: UUID, tenant_id: UUID, flow_run_id: UUID, state: RunState | None) -> None:
        journal = Journal(self._sessions, tenant_id)
        if state is None:
            message = "The run was deleted before it started, in Prefect or as its workflow was deactivated"
            await journal.abandoned(execution_id, code="RUN_DELETED", message=message)
        elif state.type in ("CANCELLED", "CANCELLING"):
            message = "The run was cancelled in Prefect before it started"
            cancelled = ExecutionStatus.CANCELLED
            await journal.abandoned(execution_id, code="CANCELLED", message=message, status=cancelled)
        elif state.type in ("FAILED", "CRASHED", "COMPLETED"):
            message = "The run ended in Prefect before it started; start it again"
            await journal.abandoned(execution_id, code="NOT_STARTED", message=message)
        elif state.type == "PENDING" and clock.now() - state.since >= STUCK_AFTER:
            log.warning("taken_run_put_back", execution_id=str(execution_id))
            await _tried(execution_id, partial(self._orchestrator.put_back, flow_run_id))


async def _overdue(session: AsyncSession, *, submitted: bool, older_than: timedelta) -> Found:
    """What is PENDING and due for longer than that, oldest first."""
    latest = clock.now() - older_than
    conditions = [col(Execution.status) == ExecutionStatus.PENDING, col(Execution.created_at) < latest]
    if submitted:
        conditions += [col(Execution.submitted_at) < latest, col(Execution.queued_at) < latest, UNDRIVEN]
    else:
        conditions.append(col(Execution.submitted_at).is_(None))
    return await _find(session, *conditions, order_by=col(Execution.created_at).asc())


async def _find(session: AsyncSession, *where: ColumnElement[bool], order_by: ColumnElement[Any]) -> Found:
    columns = (col(Execution.id), col(Execution.tenant_id), col(Execution.prefect_flow_run_id))
    return (await session.execute(select(*columns).where(*where).order_by(order_by).limit(BATCH))).all()


async def _tried(execution_id: UUID, tell: Callable[[], Awaitable[None]]) -> None:
    """Prefect is told where it listens; our record stands without it."""
    try:
        await tell()
    except (PrefectUnavailable, PrefectRefused) as error:
        log.warning("prefect_not_told", execution_id=str(execution_id), reason=str(error))
