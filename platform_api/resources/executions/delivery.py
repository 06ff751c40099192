"""Hands admitted executions over to Prefect. A row that was committed is enough to do it, now or later."""

from dataclasses import dataclass
from datetime import timedelta
from uuid import UUID

import structlog
from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncSession

from flows.errors import PrefectRefused, PrefectUnavailable
from flows.orchestrator import Orchestrator, Submission
from flows.states import ExecutionStatus
from platform_api.access.scope import tenant_scope
from platform_api.db.engine import Sessions
from platform_api.db.models import Execution, Workflow
from platform_api.db.signals import notify
from platform_api.kit import clock
from platform_api.resources.executions.ages import SKEW
from platform_api.resources.executions.journal import Journal
from platform_api.resources.executions.record_rows import LINE_CHANNEL
from platform_api.resources.executions.repository import ExecutionRepository
from platform_api.resources.executions.views import due_at
from platform_api.resources.workflows.registration import Registration
from platform_api.settings import RunSettings

log = structlog.get_logger(__name__)


_HAS_ROOM = text("""
    select not exists (
        select from executions
        where tenant_id = :tenant_id and status = 'PENDING' and submitted_at is null and parent_execution_id is null
            and queued_at <= :now and id <> :id
    ) and (
        select count(*) filter (where status = 'PENDING') < :ahead and count(*) < :running
        from executions
        where tenant_id = :tenant_id and status in ('PENDING', 'RUNNING') and submitted_at is not null
            and parent_execution_id is null and (queued_at > :now) = (:queued_at > :now)
    ) and (
        select count(*) < :per_minute from executions
        where tenant_id = :tenant_id and parent_execution_id is null
            and submitted_at > :minute_ago and submitted_at < :ahead_of_time
    ) and not exists (
        select from deployments join executions on deployments.id = deployment_id
        where executions.id = :id and concurrency_limit is not null
    )
""")
"""What is due counts with what is due, what is for later with what is for later."""


@dataclass(frozen=True, kw_only=True)
class AdmissionLimits:
    """What one tenant may have: `ahead` submitted and not begun, `running` those with what runs, starts a minute.

    Requests that come at the same moment may each find the last free place.
    """

    ahead: int
    running: int
    per_minute: int

    @classmethod
    def of(cls, settings: RunSettings) -> "AdmissionLimits":
        """As they are set."""
        return cls(
            ahead=settings.tenant_queue,
            running=settings.tenant_concurrent,
            per_minute=settings.tenant_starts_per_minute,
        )


@dataclass(frozen=True, kw_only=True)
class Delivery:
    """Submits executions of one tenant; with `limits` only what need not wait its turn."""

    sessions: Sessions
    orchestrator: Orchestrator
    tenant_id: UUID
    limits: AdmissionLimits | None = None

    async def attempt(self, execution_id: UUID) -> None:
        """`deliver`, where what has to wait, or finds Prefect away, is left for a worker (`admission`)."""
        try:
            await self.deliver(execution_id)
        except (PrefectUnavailable, PrefectRefused) as error:
            log.warning("submission_postponed", execution_id=str(execution_id), reason=str(error))
            async with tenant_scope(self.sessions, self.tenant_id) as scope:
                await notify(scope.session, LINE_CHANNEL)

    async def deliver(self, execution_id: UUID) -> bool:
        """Submits the execution; twice runs once (its id is the idempotency key).

        False where it waits for that no longer, or what it runs is gone.

        Raises `PrefectUnavailable` or `PrefectRefused`; a deployment that Prefect has lost is made again first.
        """
        waiting = await self._waiting(execution_id)
        if waiting is None:
            return False
        execution, workflow = waiting
        deployment_id = _known_deployment(execution, workflow) or await self._deployment(execution)
        try:
            run_id = await self.orchestrator.submit(_submission(execution, workflow, deployment_id))
        except PrefectRefused:
            deployment_id = await self._deployment(execution, anew=True)
            run_id = await self.orchestrator.submit(_submission(execution, workflow, deployment_id))
        await Journal(self.sessions, self.tenant_id).submitted(execution_id, run_id)
        return True

    async def _deployment(self, execution: Execution, *, anew: bool = False) -> UUID:
        environment = execution.environment
        if execution.workflow_id is None:
            return await self.orchestrator.ensure_agent_runs(environment, anew=anew)
        registration = Registration(self.sessions, self.orchestrator, self.tenant_id)
        return await registration.ensure(execution.workflow_id, environment, anew=anew)

    async def _waiting(self, execution_id: UUID) -> tuple[Execution, Workflow | None] | None:
        async with tenant_scope(self.sessions, self.tenant_id) as scope:
            execution, workflow = await ExecutionRepository(scope).with_workflow(execution_id)
            has_room = self.limits is None or await _has_room(scope.session, execution, self.limits)
            if not has_room:
                await notify(scope.session, LINE_CHANNEL)
        has_target = workflow is not None or not execution.plan["workflow"]["id"]  # a test is of no workflow
        if not has_target or execution.status is not ExecutionStatus.PENDING or execution.submitted_at is not None:
            return None
        return (execution, workflow) if has_room else None


async def _has_room(session: AsyncSession, execution: Execution, limits: AdmissionLimits) -> bool:
    now = clock.now()
    values = {
        "id": execution.id,
        "tenant_id": execution.tenant_id,
        "queued_at": execution.queued_at,
        "now": now,
        "ahead": limits.ahead,
        "running": limits.running,
        "per_minute": limits.per_minute,
        "minute_ago": now - timedelta(minutes=1),
        "ahead_of_time": now + SKEW,
    }
    return bool(await session.scalar(_HAS_ROOM, values))


def _known_deployment(execution: Execution, workflow: Workflow | None) -> UUID | None:
    """As the workflow was read with its execution: most runs are spared another look at it."""
    known = workflow.prefect_deployment_ids.get(execution.environment.value) if workflow else None
    return UUID(known) if known else None


def _submission(execution: Execution, workflow: Workflow | None, deployment_id: UUID) -> Submission:
    slug = workflow.slug if workflow else execution.plan["workflow"]["slug"]
    tags = workflow.tags if workflow else ()
    return Submission(
        execution_id=execution.id,
        deployment_id=deployment_id,
        run_name=f"{slug}-{execution.id.hex[-12:]}",
        inputs=execution.inputs,
        tags=tuple(dict.fromkeys((*tags, *execution.tags))),
        priority=execution.priority,
        scheduled_at=due_at(execution),
    )
