"""Decides when an accepted run is handed to Prefect, so that nobody's thousand runs stand before another's first.

Prefect's queues know priorities and no tenants. So a tenant has a bounded number of runs in them, the rest waits in its
own row: the next ones are taken in turn from all tenants that have any, and within a tenant by priority, where each
priority is worth a number of seconds of waiting, so that none waits for ever. An idle platform knows no such wait: the
API submits a run at once where its tenant has room and nothing else waits.

A run that was due when it was accepted is due, also where the clock was set back since.

What was committed and not submitted, since a process died in between or Prefect was away, is in the same line.

While something stands in the line it is looked at often; else a dispatcher sleeps until it hears of it, over
`LINE_CHANNEL`: that a run was left to wait, or that one has ended while others wait.
"""

from collections.abc import Sequence
from datetime import datetime, timedelta
from uuid import UUID

import structlog
from sqlalchemy import select, text
from sqlalchemy.ext.asyncio import AsyncSession
from sqlmodel import col

from flows.errors import PrefectRefused, PrefectUnavailable
from flows.orchestrator import Orchestrator
from platform_api.access.scope import system_scope
from platform_api.db.engine import Sessions
from platform_api.db.models import Execution
from platform_api.db.signals import is_mine_to_do
from platform_api.kit import clock
from platform_api.resources.executions.ages import SKEW, is_past
from platform_api.resources.executions.delivery import AdmissionLimits, Delivery
from platform_api.resources.executions.journal import Journal

DISPATCH_SECONDS = 0.5
"""Between two looks at a line in which somebody stands."""
IDLE_SECONDS = 5.0
"""Between two looks at an empty one, should nobody have told of what came."""
PATIENCE = timedelta(seconds=1)
"""How long a submission by the API may be under way."""
UNWANTED_AFTER = timedelta(seconds=60)
"""How long a submission that Prefect refuses is tried again."""
REFUSED_FOR = timedelta(seconds=10)
"""How long what was refused gives its turn to others."""
BATCH = 100

Waiting = Sequence[tuple[UUID, UUID]]
"""Execution and tenant, in the order in which they are to go."""

_SOMEONE_STANDS = text("""
    select exists (
        select from executions
        where status = 'PENDING' and submitted_at is null and parent_execution_id is null
            and (queued_at <= :now or queued_at <= created_at + interval '1 second')
    )
""")
_NEXT = text("""
    with waiting as (
        select id, tenant_id, deployment_id,
            queued_at + interval '1 second' * (case priority when 'high' then 0 when 'low' then 300 else 60 end) as rank
        from executions
        where status = 'PENDING' and submitted_at is null and parent_execution_id is null
            and (queued_at <= :now or queued_at <= created_at + interval '1 second')
            and (created_at < :settled or created_at > :ahead_of_time) and id <> all(:refused)
    ), underway as (
        select tenant_id, deployment_id, status
        from executions
        where status in ('PENDING', 'RUNNING') and submitted_at is not null and parent_execution_id is null
            and (queued_at <= :now or queued_at <= created_at + interval '1 second')
    ), tenants as (
        select tenant_id, count(*) as open, count(*) filter (where status = 'PENDING') as ahead
        from underway group by tenant_id
    ), started as (
        select tenant_id, count(*) as starts from executions
        where tenant_id in (select tenant_id from waiting)
            and submitted_at > :minute_ago and submitted_at < :ahead_of_time and parent_execution_id is null
        group by tenant_id
    ), deployed as (
        select waiting.*, row_number() over (partition by deployment_id order by rank, waiting.id) as place,
            concurrency_limit
                - (select count(*) from underway where underway.deployment_id = deployments.id) as places
        from waiting left join deployments on deployments.id = deployment_id
    ), ranked as (
        select id, tenant_id, rank, row_number() over (partition by tenant_id order by rank, id) as turn
        from deployed where places is null or place <= places
    )
    select id, tenant_id from ranked left join tenants using (tenant_id) left join started using (tenant_id)
    where turn <= least(
        :ahead - coalesce(ahead, 0), :running - coalesce(open, 0), :per_minute - coalesce(starts, 0))
    order by turn, rank, id limit :batch
""")

log = structlog.get_logger(__name__)


class Dispatcher:
    """`dispatch` does one round; safe to call from any number of processes. Kept from round to round."""

    def __init__(self, sessions: Sessions, orchestrator: Orchestrator, limits: AdmissionLimits) -> None:
        self._sessions = sessions
        self._orchestrator = orchestrator
        self._limits = limits
        self._refused: dict[UUID, datetime] = {}
        self.pause_seconds = DISPATCH_SECONDS
        """How long to wait for news before the next round."""

    async def dispatch(self) -> int:
        """Hands over whose turn it is; returns how many. What fails for one run is logged and left."""
        self._refused = {each: at for each, at in self._refused.items() if not is_past(at, REFUSED_FOR)}
        async with system_scope(self._sessions) as scope:
            someone_stands = await scope.session.scalar(_SOMEONE_STANDS, {"now": clock.now()})
            self.pause_seconds = DISPATCH_SECONDS if someone_stands else IDLE_SECONDS
            if not someone_stands or not await is_mine_to_do(scope.session, "admission"):
                return 0
            return await self._submit(await self._next(scope.session))

    async def _next(self, session: AsyncSession) -> Waiting:
        limits, now = self._limits, clock.now()
        values = {
            "now": now,
            "settled": now - PATIENCE,
            "minute_ago": now - timedelta(minutes=1),
            "ahead_of_time": now + SKEW,
            "refused": list(self._refused),
            "ahead": limits.ahead,
            "running": limits.running,
            "per_minute": limits.per_minute,
            "batch": BATCH,
        }
        return (await session.execute(_NEXT, values)).tuples().all()

    async def _submit(self, waiting: Waiting) -> int:
        submitted = 0
        for execution_id, tenant_id in waiting:
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
                self._refused[execution_id] = clock.now()
        return submitted

    async def _turn_away(self, execution_id: UUID, tenant_id: UUID) -> None:
        self._refused[execution_id] = clock.now()
        waiting = (col(Execution.submitted_at).is_(None), col(Execution.created_at) < clock.now() - UNWANTED_AFTER)
        async with system_scope(self._sessions) as scope:
            found = await scope.session.scalar(select(1).where(col(Execution.id) == execution_id, *waiting))
        if found:
            message = "The run could not be handed to Prefect; the worker's log says why"
            await Journal(self._sessions, tenant_id).abandoned(execution_id, code="NOT_SUBMITTED", message=message)
