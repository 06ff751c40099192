"""Keeps Prefect's deployments in step with workflows: one per ACTIVE workflow and environment that it is used in.

Prefect is asked between transactions, never inside one. What fails here leaves the workflow as it is and is made
good by the next change or execution.
"""

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from uuid import UUID

from flows.orchestrator import DeploymentSpec, Orchestrator, ScheduleSpec
from flows.states import Environment
from platform_api.access.scope import tenant_scope
from platform_api.db.engine import Sessions
from platform_api.db.enums import ResourceStatus
from platform_api.db.models import Workflow
from platform_api.resources.workflows.repository import WorkflowRepository

_ROUNDS = 5
"""How often a change that came in between is followed up at once."""


@dataclass(frozen=True, kw_only=True)
class _Seen:
    """A workflow as one transaction saw it."""

    workflow: Workflow
    tenant_slug: str
    registered: Mapping[str, str]
    in_use: frozenset[str]
    """Environments with runs that have not ended, of a workflow that may not start any more."""

    def spec(self, environment: Environment) -> DeploymentSpec:
        return deployment_spec(self.workflow, self.tenant_slug, environment)

    def same_as(self, row: Workflow) -> bool:
        return self.workflow.version == row.version and is_live(self.workflow) == is_live(row)


class Registration:
    """The Prefect deployments of one tenant's workflows."""

    def __init__(self, sessions: Sessions, orchestrator: Orchestrator, tenant_id: UUID) -> None:
        self._sessions = sessions
        self._orchestrator = orchestrator
        self._tenant_id = tenant_id

    async def refresh(self, workflow_id: UUID) -> None:
        """Brings Prefect to where the workflow is now. Raises `PrefectUnavailable` or `PrefectRefused`."""
        for _ in range(_ROUNDS):
            seen = await self._look(workflow_id)
            wanted = _environments(seen)
            ids = {name: await self._orchestrator.ensure_deployment(seen.spec(name)) for name in sorted(wanted)}
            gone = {name: value for name, value in seen.registered.items() if name not in ids}
            for deployment_id in gone.values():
                await self._orchestrator.remove_deployment(UUID(deployment_id))
            if await self._store(seen, ids, drop=gone):
                return

    async def ensure(self, workflow_id: UUID, environment: Environment, *, anew: bool = False) -> UUID:
        """The id of the workflow's deployment there, made where it is missing or, with `anew`, in any case.

        An admitted run of a workflow that may not start any more gets one too, without a schedule.
        """
        seen = await self._look(workflow_id)
        known = seen.registered.get(environment.value)
        if known is not None and not anew:
            return UUID(known)
        deployment_id = await self._orchestrator.ensure_deployment(seen.spec(environment))
        await self._store(seen, {environment: deployment_id})
        return deployment_id

    async def _look(self, workflow_id: UUID) -> _Seen:
        async with tenant_scope(self._sessions, self._tenant_id) as scope:
            repository = WorkflowRepository(scope)
            row = await repository.get_deleted_too(workflow_id)
            slug = await repository.tenant_slug()
            in_use = frozenset() if is_live(row) else await repository.environments_in_use(workflow_id)
            return _Seen(workflow=row, tenant_slug=slug, registered=dict(row.prefect_deployment_ids), in_use=in_use)

    async def _store(self, seen: _Seen, ids: Mapping[Environment, UUID], drop: Collection[str] = ()) -> bool:
        """Notes the ids; False when the workflow has changed since it was seen."""
        async with tenant_scope(self._sessions, self._tenant_id) as scope:
            row = await WorkflowRepository(scope).get_deleted_too(seen.workflow.id, lock=True)
            kept = {name: value for name, value in row.prefect_deployment_ids.items() if name not in drop}
            row.prefect_deployment_ids = kept | {name.value: str(value) for name, value in ids.items()}
            await scope.session.flush()
            return seen.same_as(row)


def _environments(seen: _Seen) -> set[Environment]:
    """Where Prefect is to know the workflow.

    One that may not start any more has no schedule, and runs that have been admitted or that wait go on: an INACTIVE
    one keeps all it has, one that is archived or deleted what such runs need (`departures` takes it away behind them).
    """
    known = set(map(Environment, seen.registered))
    if is_live(seen.workflow):
        return {Environment.DEVELOPMENT, *known}
    is_resting = seen.workflow.deleted_at is None and seen.workflow.status is ResourceStatus.INACTIVE
    return known if is_resting else {each for each in known if each.value in seen.in_use}


def deployment_spec(workflow: Workflow, tenant_slug: str, environment: Environment) -> DeploymentSpec:
    """The workflow as Prefect should know it in one environment. Its schedule lives in DEVELOPMENT alone."""
    return DeploymentSpec(
        workflow_id=workflow.id,
        flow_name=f"{tenant_slug}--{workflow.slug}",
        environment=environment,
        version=workflow.version,
        description="\n\n".join(filter(None, (workflow.name, workflow.description))),
        tags=tuple(dict.fromkeys((workflow.name, *workflow.tags))),
        input_schema=workflow.input_schema,
        schedule=_schedule(workflow) if environment is Environment.DEVELOPMENT else None,
    )


def _schedule(workflow: Workflow) -> ScheduleSpec | None:
    unscheduled = workflow.schedule_cron is None and workflow.schedule_interval_seconds is None
    if unscheduled or not is_live(workflow):
        return None
    return ScheduleSpec(
        cron=workflow.schedule_cron,
        interval_seconds=workflow.schedule_interval_seconds,
        timezone=workflow.schedule_timezone or "UTC",
        active=workflow.schedule_enabled,
    )


def is_live(workflow: Workflow) -> bool:
    """Whether the workflow may start."""
    return workflow.deleted_at is None and workflow.status is ResourceStatus.ACTIVE
