"""Brings suspended runs back to a worker: at once when a wait was answered, else when the timekeeper finds one due."""

from dataclasses import dataclass
from uuid import UUID

import structlog

from flows.errors import PrefectRefused, PrefectUnavailable
from flows.orchestrator import Orchestrator, RunState
from flows.states import Environment, ExecutionStatus
from platform_api.access.scope import tenant_scope
from platform_api.db.engine import Sessions
from platform_api.db.signals import notify
from platform_api.resources.executions.journal import RUNS_CHANNEL
from platform_api.resources.executions.waits import root_of

log = structlog.get_logger(__name__)


@dataclass(frozen=True, kw_only=True)
class SuspendedRun:
    """A run that is to go on: always an outermost execution, since Prefect holds no other."""

    execution_id: UUID
    tenant_id: UUID
    environment: Environment
    flow_run_id: UUID


@dataclass(frozen=True, kw_only=True)
class Resumption:
    """Resumes runs, of whatever tenant."""

    sessions: Sessions
    orchestrator: Orchestrator

    async def attempt(self, tenant_id: UUID, execution_id: UUID) -> None:
        """Resumes the run that an execution belongs to, where it is suspended.

        One that is still at work looks for answers by itself; where Prefect is away the timekeeper does it later.
        """
        async with tenant_scope(self.sessions, tenant_id) as scope:
            root = await root_of(scope.session, execution_id)
        if root is None or root.status is not ExecutionStatus.PAUSED or root.prefect_flow_run_id is None:
            return
        run = SuspendedRun(
            execution_id=root.id,
            tenant_id=tenant_id,
            environment=root.environment,
            flow_run_id=root.prefect_flow_run_id,
        )
        try:
            await self.resume(run)
        except (PrefectUnavailable, PrefectRefused) as error:
            log.warning("resumption_postponed", execution_id=str(root.id), reason=str(error))

    async def resume(self, run: SuspendedRun) -> RunState | None:
        """Lets Prefect schedule the run and wakes the workers; returns the state in which Prefect had it.

        Raises `PrefectUnavailable` or `PrefectRefused`.
        """
        found = await self.orchestrator.resume(run.flow_run_id)
        if found is not None and found.type in ("PAUSED", "SCHEDULED"):
            await self.wake(run)
        return found

    async def wake(self, run: SuspendedRun) -> None:
        """Tells the workers of its environment that there is a run to take."""
        async with tenant_scope(self.sessions, run.tenant_id) as scope:
            await notify(scope.session, RUNS_CHANNEL, run.environment.value)
