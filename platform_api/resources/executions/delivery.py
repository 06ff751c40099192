"""Hands admitted executions over to Prefect. A row that was committed is enough to do it, now or later."""

from dataclasses import dataclass
from uuid import UUID

import structlog

from flows.errors import PrefectRefused, PrefectUnavailable
from flows.orchestrator import Orchestrator, Submission
from flows.states import ExecutionStatus
from platform_api.access.scope import tenant_scope
from platform_api.db.engine import Sessions
from platform_api.db.models import Execution, Workflow
from platform_api.resources.executions.journal import Journal
from platform_api.resources.executions.repository import ExecutionRepository
from platform_api.resources.executions.views import due_at
from platform_api.resources.workflows.registration import Registration

log = structlog.get_logger(__name__)


@dataclass(frozen=True, kw_only=True)
class Delivery:
    """Submits executions of one tenant."""

    sessions: Sessions
    orchestrator: Orchestrator
    tenant_id: UUID

    async def attempt(self, execution_id: UUID) -> None:
        """`deliver`, where a Prefect that is away leaves the row for the reconciler."""
        try:
            await self.deliver(execution_id)
        except (PrefectUnavailable, PrefectRefused) as error:
            log.warning("submission_postponed", execution_id=str(execution_id), reason=str(error))

    async def deliver(self, execution_id: UUID) -> bool:
        """Submits the execution; twice runs once (its id is the idempotency key).

        False where it waits for that no longer, or what it runs is gone.

        Raises `PrefectUnavailable` or `PrefectRefused`; a deployment that Prefect has lost is made again first.
        """
        waiting = await self._waiting(execution_id)
        if waiting is None:
            return False
        execution, workflow = waiting
        deployment_id = await self._deployment(execution)
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
        has_target = workflow is not None or execution.agent_id is not None
        if not has_target or execution.status is not ExecutionStatus.PENDING or execution.submitted_at is not None:
            return None
        return execution, workflow


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
