"""Executions as they are read."""

from dataclasses import dataclass
from uuid import UUID

from flows.states import ExecutionStatus, is_final
from platform_api.access.scope import TenantScope
from platform_api.db.models import Execution, ExecutionLog, StepRun, StepWait, Workflow
from platform_api.errors import Forbidden
from platform_api.kit.pagination import Paging
from platform_api.kit.sorting import Sorting
from platform_api.resources.agents.visibility import check_readable, reach
from platform_api.resources.executions.filters import ExecutionFilters, HistoryFilters, LogFilters
from platform_api.resources.executions.repository import ExecutionRepository, LogRepository, StepRunRepository
from platform_api.resources.executions.waits import open_waits
from platform_api.resources.workflows.reader import WorkflowReader

ExecutionPage = tuple[list[tuple[Execution, Workflow | None]], int]


@dataclass(frozen=True, kw_only=True)
class Standing:
    """How far an execution is, and the highest number in its record."""

    status: ExecutionStatus
    last_seq: int


class ExecutionService:
    """Reads executions inside one scope. They are visible to whoever reads their workflow."""

    def __init__(self, scope: TenantScope) -> None:
        self._scope = scope
        self._executions = ExecutionRepository(scope)
        self._steps = StepRunRepository(scope)
        self._logs = LogRepository(scope)

    async def page(self, filters: ExecutionFilters, paging: Paging, order: Sorting) -> ExecutionPage:
        """One page of what the caller reads, with the workflows."""
        return await self._executions.history(
            filters,
            reach(self._scope.caller),
            page=paging.page,
            page_size=paging.page_size,
            order_by=order.order_by,
        )

    async def history(
        self, workflow_id: UUID, filters: HistoryFilters, paging: Paging, order: Sorting
    ) -> ExecutionPage:
        """One page of one workflow's executions."""
        await WorkflowReader(self._scope).get(workflow_id)
        its_own = ExecutionFilters.model_construct(**dict(filters), workflow_id=workflow_id)
        return await self.page(its_own, paging, order)

    async def get(self, execution_id: UUID) -> tuple[Execution, Workflow | None]:
        """One execution that the caller reads, with its workflow."""
        execution, workflow = await self._executions.with_workflow(execution_id)
        await self._check(execution, workflow)
        return execution, workflow

    async def standing(self, execution_id: UUID) -> Standing:
        """How far an execution is that the caller reads, without what went in and came out."""
        execution, workflow = await self._executions.with_workflow(execution_id, light=True)
        await self._check(execution, workflow)
        return Standing(status=execution.status, last_seq=execution.last_seq)

    async def waits(self, execution: Execution) -> list[StepWait]:
        """What an execution that goes on waits for, oldest first, and what the runs nested in it wait for."""
        if is_final(execution.status):
            return []
        return [placed.wait for placed in await open_waits(self._scope.session, execution.id)]

    async def steps(self, execution_id: UUID, paging: Paging) -> tuple[list[StepRun], int]:
        """One page of the execution's attempts of steps, in the order of their start."""
        await self.get(execution_id)
        return await self._steps.of(execution_id, page=paging.page, page_size=paging.page_size)

    async def logs(self, execution_id: UUID, filters: LogFilters, paging: Paging) -> tuple[list[ExecutionLog], int]:
        """One page of the execution's log lines, in their order."""
        await self.get(execution_id)
        return await self._logs.of(execution_id, filters, page=paging.page, page_size=paging.page_size)

    async def _check(self, execution: Execution, workflow: Workflow | None) -> None:
        caller = self._scope.caller
        if workflow is not None:
            check_readable(caller, workflow, "execution's workflow")
        elif not await self._executions.in_sight(execution.id, reach(caller)):
            raise Forbidden("This execution is somebody else's")
