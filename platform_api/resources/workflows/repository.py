"""Workflows, their steps and their versions in the database."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any
from uuid import UUID

from sqlalchemy import Select, exists, func, or_, select
from sqlalchemy.ext.asyncio import AsyncSession
from sqlmodel import col

from flows.states import OPEN, StepStatus, is_final
from platform_api.db.conditions import asked_for, in_project, public_or_owned
from platform_api.db.enums import ResourceStatus, TenantRole
from platform_api.db.lineage import next_version
from platform_api.db.models import (
    Agent,
    Execution,
    Membership,
    StepRun,
    Tenant,
    Workflow,
    WorkflowStep,
    WorkflowVersion,
)
from platform_api.db.repository import Repository
from platform_api.errors import NotFound
from platform_api.resources.agents.visibility import Reach
from platform_api.resources.workflows.filters import WorkflowFilters


@dataclass(frozen=True, kw_only=True)
class WorkflowRun:
    """One execution: which version it ran, whether it is over, and each started step's newest status by key."""

    version: int
    is_over: bool
    steps: Mapping[str, StepStatus]


class WorkflowRepository(Repository[Workflow]):
    """Workflows of one tenant."""

    model = Workflow
    label = "workflow"

    def filtered(self, filters: WorkflowFilters, within: Reach) -> Select[Any]:
        """The rows `within` reach that `filters` ask for."""
        visible = (in_project(Workflow, within.project_id), public_or_owned(Workflow, within.user_id))
        statement = self.query().where(*visible, *asked_for(Workflow, filters))
        if filters.schedule_enabled is None:
            return statement
        return statement.where(col(Workflow.schedule_enabled).is_(filters.schedule_enabled))

    async def taken_slugs(self, wanted: str) -> set[str]:
        """Slugs that start with `wanted`. Until the transaction ends nobody else of the tenant can take one."""
        lock = func.pg_advisory_xact_lock(func.hashtextextended(f"workflow-slugs:{self.tenant_id}", 0))
        await self.session.execute(select(lock))
        statement = select(col(Workflow.slug)).where(
            col(Workflow.tenant_id) == self.tenant_id,
            col(Workflow.deleted_at).is_(None),
            or_(col(Workflow.slug) == wanted, col(Workflow.slug).startswith(f"{wanted}-")),
        )
        return set((await self.session.execute(statement)).scalars())

    async def next_version(self, workflow_id: UUID) -> int:
        """What a duplicate of the workflow is numbered."""
        return await next_version(self.session, Workflow, workflow_id)

    async def run(self, workflow_id: UUID, execution_id: UUID) -> WorkflowRun:
        """What one of the workflow's executions ran, and how far; raises `NotFound`."""
        mine = (col(Execution.tenant_id) == self.tenant_id, col(Execution.id) == execution_id)
        statement = select(col(Execution.workflow_version), col(Execution.status)).where(
            *mine, col(Execution.workflow_id) == workflow_id
        )
        row = (await self.session.execute(statement)).one_or_none()
        if row is None:
            raise NotFound(f"This workflow has no execution {execution_id}")
        attempts = (
            select(col(StepRun.step_key), col(StepRun.status))
            .where(col(StepRun.execution_id) == execution_id, col(StepRun.path) == col(StepRun.step_key))
            .order_by(col(StepRun.attempt))
        )
        steps = {row.step_key: row.status for row in (await self.session.execute(attempts)).all()}
        return WorkflowRun(version=row[0], is_over=is_final(row[1]), steps=steps)

    async def is_managed_by(self, user_id: UUID) -> bool:
        """Whether the user reads what every member of the tenant owns."""
        managers = (TenantRole.OWNER, TenantRole.ADMIN)
        statement = select(func.count()).where(
            col(Membership.tenant_id) == self.tenant_id,
            col(Membership.user_id) == user_id,
            col(Membership.role).in_(managers),
        )
        return (await self.session.execute(statement)).scalar_one() > 0

    async def members(self) -> set[UUID]:
        """The users of the tenant."""
        statement = select(col(Membership.user_id)).where(col(Membership.tenant_id) == self.tenant_id)
        return set((await self.session.execute(statement)).scalars())

    async def tenant_slug(self) -> str:
        """The slug of the tenant, for names in Prefect."""
        statement = select(col(Tenant.slug)).where(col(Tenant.id) == self.tenant_id)
        return (await self.session.execute(statement)).scalar_one()

    async def get_deleted_too(self, workflow_id: UUID, *, lock: bool = False) -> Workflow:
        """The row, deleted or not; raises `NotFound`."""
        mine = col(Workflow.tenant_id) == self.tenant_id
        statement: Select[Any] = select(Workflow).where(mine, col(Workflow.id) == workflow_id)
        if lock:
            statement = statement.with_for_update()
        row: Workflow | None = (await self.session.execute(statement)).scalar_one_or_none()
        if row is None:
            raise NotFound(f"There is no workflow {workflow_id}")
        return row

    async def environments_in_use(self, workflow_id: UUID) -> frozenset[str]:
        """Where runs of the workflow are to begin, are under way or wait."""
        mine = (col(Execution.tenant_id) == self.tenant_id, col(Execution.workflow_id) == workflow_id)
        found = await self.session.scalars(select(col(Execution.environment)).where(*mine, *_UNFINISHED).distinct())
        return frozenset(environment.value for environment in found)


async def find_abandoned(session: AsyncSession, *, limit: int) -> list[tuple[UUID, UUID]]:
    """Workflows that have gone, of all tenants, whose last run has ended and that Prefect still knows.

    Each with its tenant.
    """
    gone = or_(col(Workflow.deleted_at).is_not(None), col(Workflow.status) == ResourceStatus.ARCHIVED)
    known = col(Workflow.prefect_deployment_ids) != {}
    in_use = exists().where(col(Execution.workflow_id) == col(Workflow.id), *_UNFINISHED)
    statement = select(col(Workflow.id), col(Workflow.tenant_id)).where(known, gone, ~in_use)
    return list((await session.execute(statement.order_by(col(Workflow.id)).limit(limit))).tuples())


_UNFINISHED = (
    col(Execution.status).in_(OPEN),
    col(Execution.parent_execution_id).is_(None),
)
"""Runs that need a deployment in Prefect: nested ones go with the run around them."""


class StepRepository(Repository[WorkflowStep]):
    """The steps of one tenant's workflows, as they are now."""

    model = WorkflowStep
    label = "step"

    async def of(self, workflow_id: UUID) -> list[WorkflowStep]:
        """A workflow's steps, those of each body in their order."""
        statement: Select[Any] = self.query().where(col(WorkflowStep.workflow_id) == workflow_id)
        statement = statement.order_by(col(WorkflowStep.position))
        return list((await self.session.execute(statement)).scalars())

    async def agents_of(self, workflow_id: UUID) -> dict[UUID, Agent]:
        """The agents that a workflow's steps run, by id."""
        used = select(col(WorkflowStep.agent_id)).where(
            col(WorkflowStep.workflow_id) == workflow_id, col(WorkflowStep.tenant_id) == self.tenant_id
        )
        statement = select(Agent).where(col(Agent.tenant_id) == self.tenant_id, col(Agent.id).in_(used))
        return {agent.id: agent for agent in (await self.session.execute(statement)).scalars()}

    async def replace(self, workflow_id: UUID, wanted: list[WorkflowStep]) -> None:
        """Makes `wanted` the workflow's steps: rows are kept by path, missing ones go, new ones come."""
        present = {(row.parent_step_key, row.step_key): row for row in await self.of(workflow_id)}
        for step in wanted:
            row = present.pop((step.parent_step_key, step.step_key), None)
            if row is None:
                self.session.add(step)
                continue
            for name in _WRITABLE:
                setattr(row, name, getattr(step, name))
        for row in present.values():
            await self.session.delete(row)
        await self.session.flush()


class WorkflowVersionRepository(Repository[WorkflowVersion]):
    """Frozen versions of one tenant's workflows."""

    model = WorkflowVersion
    label = "workflow version"

    async def of(self, workflow_id: UUID, *, page: int, page_size: int) -> tuple[list[WorkflowVersion], int]:
        """One page of a workflow's versions, newest first, and how many there are."""
        newest_first = (col(WorkflowVersion.version).desc(),)
        return await self.page(self._all(workflow_id), page=page, page_size=page_size, order_by=newest_first)

    async def numbered(self, workflow_id: UUID, version: int) -> WorkflowVersion:
        """One version; raises `NotFound`."""
        statement = self._all(workflow_id).where(col(WorkflowVersion.version) == version)
        row: WorkflowVersion | None = (await self.session.execute(statement)).scalar_one_or_none()
        if row is None:
            raise NotFound(f"The workflow has no version {version}")
        return row

    async def has(self, workflow_id: UUID, version: int) -> bool:
        """Whether there is such a version."""
        statement = self._all(workflow_id).where(col(WorkflowVersion.version) == version)
        return (await self.session.execute(statement)).first() is not None

    def _all(self, workflow_id: UUID) -> Select[Any]:
        return self.query().where(col(WorkflowVersion.workflow_id) == workflow_id)


_WRITABLE = (
    "name",
    "type",
    "agent_id",
    "config",
    "inputs",
    "depends_on",
    "position",
    "on_error",
    "retry",
    "timeout_seconds",
)
