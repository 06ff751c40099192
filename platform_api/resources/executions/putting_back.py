"""Lets a worker take a run (again) that nobody has.

Whoever does so has looked at the run a while ago, and at many others since: it may have gone on and ended meanwhile,
and what has ended must not be begun anew. What comes too late nevertheless, since Prefect was slow to hear it, is told
from a wish to run it again when a worker takes it (`Orchestrator.is_wanted_anew`).
"""

from uuid import UUID

from sqlalchemy import select
from sqlmodel import col

from flows.orchestrator import Orchestrator
from flows.states import Environment, ExecutionStatus
from platform_api.access.scope import tenant_scope
from platform_api.db.engine import Sessions
from platform_api.db.models import Execution
from platform_api.db.signals import notify
from platform_api.resources.executions.journal import RUNS_CHANNEL

_AT_REST = (ExecutionStatus.PENDING, ExecutionStatus.PAUSED)


async def put_back(
    sessions: Sessions,
    orchestrator: Orchestrator,
    *,
    execution_id: UUID,
    tenant_id: UUID,
    flow_run_id: UUID,
    environment: Environment,
) -> bool:
    """Makes Prefect schedule the run and wakes the workers; False for one that runs or is over.

    Raises `PrefectUnavailable` or `PrefectRefused`.
    """
    async with tenant_scope(sessions, tenant_id) as scope:
        status = await scope.session.scalar(select(col(Execution.status)).where(col(Execution.id) == execution_id))
    if status not in _AT_REST:
        return False
    await orchestrator.put_back(flow_run_id)
    async with tenant_scope(sessions, tenant_id) as scope:
        await notify(scope.session, RUNS_CHANNEL, environment.value)
    return True
