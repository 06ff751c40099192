"""Workflows as they are read: alone, in pages, with their steps, with their history."""

import asyncio
from uuid import UUID

from flows.spec import WorkflowDefinition
from flows.states import StepStatus
from platform_api.access.scope import TenantScope
from platform_api.db.models import Workflow, WorkflowVersion
from platform_api.kit.pagination import Paging
from platform_api.kit.sorting import Sorting
from platform_api.resources.agents.visibility import check_readable, reach
from platform_api.resources.workflows.content import detail
from platform_api.resources.workflows.filters import WorkflowFilters
from platform_api.resources.workflows.graph.model import Graph, graph_of
from platform_api.resources.workflows.parts import thawed
from platform_api.resources.workflows.repository import StepRepository, WorkflowRepository, WorkflowVersionRepository
from platform_api.resources.workflows.schemas import WorkflowDetail


class WorkflowReader:
    """Reads workflows inside one scope."""

    def __init__(self, scope: TenantScope) -> None:
        self._scope = scope
        self._workflows = WorkflowRepository(scope)
        self._steps = StepRepository(scope)
        self._versions = WorkflowVersionRepository(scope)

    async def page(self, filters: WorkflowFilters, paging: Paging, order: Sorting) -> tuple[list[Workflow], int]:
        """One page of what the caller reads, without steps."""
        statement = self._workflows.filtered(filters, reach(self._scope.caller))
        return await self._workflows.page(
            statement, page=paging.page, page_size=paging.page_size, order_by=order.order_by
        )

    async def get(self, workflow_id: UUID) -> Workflow:
        """One workflow that the caller reads."""
        workflow = await self._workflows.get(workflow_id)
        check_readable(self._scope.caller, workflow, "workflow")
        return workflow

    async def definition(self, workflow: Workflow) -> WorkflowDefinition:
        """What the workflow's newest version does."""
        version = await self._versions.numbered(workflow.id, workflow.version)
        return thawed(version.definition)

    async def detail(self, workflow: Workflow) -> WorkflowDetail:
        """The workflow with its steps and their agents."""
        definition = await self.definition(workflow)
        return detail(workflow, definition, await self._steps.agents_of(workflow.id))

    async def versions(self, workflow_id: UUID, paging: Paging) -> tuple[list[WorkflowVersion], int]:
        """The workflow's frozen versions, newest first."""
        await self.get(workflow_id)
        return await self._versions.of(workflow_id, page=paging.page, page_size=paging.page_size)

    async def version(self, workflow_id: UUID, number: int) -> WorkflowVersion:
        """One frozen version of the workflow."""
        await self.get(workflow_id)
        return await self._versions.numbered(workflow_id, number)

    async def graph(self, workflow_id: UUID, execution_id: UUID | None) -> Graph:
        """The workflow as a graph; of an execution: the version that it ran, with each step's status."""
        workflow = await self.get(workflow_id)
        if execution_id is None:
            return await asyncio.to_thread(graph_of, workflow.name, await self.definition(workflow), None)
        run = await self._workflows.run(workflow_id, execution_id)
        definition = thawed((await self._versions.numbered(workflow_id, run.version)).definition)
        left = StepStatus.SKIPPED if run.is_over else StepStatus.PENDING
        statuses = {step.step_key: run.steps.get(step.step_key, left) for step in definition.steps}
        return await asyncio.to_thread(graph_of, workflow.name, definition, statuses)

    async def tenant_slug(self) -> str:
        """The slug of the tenant, for names in Prefect."""
        return await self._workflows.tenant_slug()
