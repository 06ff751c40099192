"""Executions and their records, read. Statuses are written by the journal alone."""

from collections.abc import Collection, Iterator
from typing import Any
from uuid import UUID

from sqlalchemy import ColumnElement, Select, and_, exists, func, or_, select, true
from sqlalchemy.orm import aliased, defer
from sqlmodel import col

from flows.states import OPEN, ExecutionStatus
from platform_api.db.conditions import in_project, public_or_owned
from platform_api.db.enums import LogLevel
from platform_api.db.models import Agent, Execution, ExecutionLog, StepRun, Workflow
from platform_api.db.repository import Repository
from platform_api.errors import NotFound
from platform_api.resources.agents.visibility import Reach
from platform_api.resources.executions.filters import ExecutionFilters, LogFilters

_LEVELS = tuple(LogLevel)
"""From the lightest to the gravest."""

_HEAVY = (Execution.plan, Execution.inputs, Execution.outputs)
"""What a row of a list does not show."""


class ExecutionRepository(Repository[Execution]):
    """Executions of one tenant."""

    model = Execution
    label = "execution"

    async def with_workflow(self, execution_id: UUID, *, light: bool = False) -> tuple[Execution, Workflow | None]:
        """An execution and its workflow, deleted or not; raises `NotFound`. A `light` one lacks large columns."""
        statement = self._joined().where(col(Execution.id) == execution_id)
        if light:
            statement = statement.options(*_without_heavy())
        row = (await self.session.execute(statement)).one_or_none()
        if row is None:
            raise NotFound(f"There is no execution {execution_id}")
        return row[0], row[1]

    async def status_of(self, execution_id: UUID) -> ExecutionStatus:
        """Where the execution stands."""
        mine = (col(Execution.tenant_id) == self.tenant_id, col(Execution.id) == execution_id)
        return (await self.session.execute(select(col(Execution.status)).where(*mine))).scalar_one()

    async def in_sight(self, execution_id: UUID, within: Reach) -> bool:
        """Whether `within` reaches the execution."""
        found = self._joined().where(col(Execution.id) == execution_id, _visible(within))
        return (await self.session.execute(found.with_only_columns(col(Execution.id)))).first() is not None

    async def history(
        self,
        filters: ExecutionFilters,
        within: Reach,
        *,
        page: int,
        page_size: int,
        order_by: tuple[ColumnElement[Any], ...],
    ) -> tuple[list[tuple[Execution, Workflow | None]], int]:
        """One page of executions with their workflows, and how many there are. Large columns stay unread."""
        statement = self._joined().where(_visible(within), *_conditions(filters))
        matching = select(func.count()).select_from(statement.with_only_columns(col(Execution.id)).subquery())
        counted = (await self.session.execute(matching)).scalar_one()
        page_of_rows = statement.options(*_without_heavy())
        page_of_rows = page_of_rows.order_by(*order_by).limit(page_size).offset((page - 1) * page_size)
        return [(row[0], row[1]) for row in (await self.session.execute(page_of_rows)).all()], counted

    async def open_retry_of(self, execution_id: UUID) -> UUID | None:
        """The retry of an execution that is not over."""
        mine = (col(Execution.tenant_id) == self.tenant_id, col(Execution.retry_of) == execution_id)
        found = select(col(Execution.id)).where(*mine, col(Execution.status).in_(OPEN)).limit(1)
        return (await self.session.execute(found)).scalar_one_or_none()

    async def retryable(
        self, filters: ExecutionFilters, within: Reach, statuses: Collection[ExecutionStatus], *, limit: int
    ) -> tuple[list[UUID], int]:
        """The oldest executions of these statuses that nobody has retried, and how many more there are."""
        conditions = [_visible(within), *_conditions(filters), col(Execution.parent_execution_id).is_(None)]
        retry = aliased(Execution)
        retried = exists().where(col(retry.retry_of) == col(Execution.id))
        of_workflow = col(Execution.workflow_id).is_not(None)
        found = self._joined().where(*conditions, of_workflow, col(Execution.status).in_(statuses), ~retried)
        oldest = found.with_only_columns(col(Execution.id)).order_by(col(Execution.id))
        counted = (await self.session.execute(select(func.count()).select_from(oldest.subquery()))).scalar_one()
        ids = list(await self.session.scalars(oldest.limit(limit)))
        return ids, counted - len(ids)

    async def preview_of(self, step: StepRun, tag: str) -> Execution | None:
        """The newest run of no workflow, with this tag, that has taken over what the step did."""
        mine = (col(Execution.tenant_id) == self.tenant_id, col(Execution.workflow_id).is_(None))
        # agent and start are the copy's too: there is an index on them
        copied = (col(StepRun.agent_id).is_not_distinct_from(step.agent_id), col(StepRun.started_at) == step.started_at)
        found = (
            select(Execution)
            .join(StepRun, col(StepRun.execution_id) == col(Execution.id))
            .where(*mine, *copied, col(StepRun.reused_from) == (step.reused_from or step.id))
            .where(col(Execution.tags).contains([tag]))
            .order_by(col(Execution.created_at).desc())
            .limit(1)
        )
        return (await self.session.execute(found)).scalar_one_or_none()

    def _joined(self) -> Select[tuple[Execution, Workflow]]:
        return (
            select(Execution, Workflow)
            .outerjoin(Workflow, col(Workflow.id) == col(Execution.workflow_id))
            .where(col(Execution.tenant_id) == self.tenant_id)
        )


class StepRunRepository(Repository[StepRun]):
    """Attempts of steps in one tenant."""

    model = StepRun
    label = "step run"

    async def newest(self, execution_id: UUID, path: str) -> StepRun:
        """The newest attempt of the step at `path`; raises `NotFound`."""
        mine = self.query().where(col(StepRun.execution_id) == execution_id, col(StepRun.path) == path)
        found = await self.session.execute(mine.order_by(col(StepRun.attempt).desc()).limit(1))
        step = found.scalar_one_or_none()
        if step is None:
            raise NotFound(f"No step of execution {execution_id} with this path has run")
        return step

    async def of(self, execution_id: UUID, *, page: int, page_size: int) -> tuple[list[StepRun], int]:
        """One page of an execution's attempts: by start (what never started comes last), then by path."""
        order_by = (
            col(StepRun.started_at).asc().nulls_last(),
            col(StepRun.path).asc(),
            col(StepRun.attempt).asc(),
        )
        statement = self.query().where(col(StepRun.execution_id) == execution_id)
        return await self.page(statement, page=page, page_size=page_size, order_by=order_by)

    async def sandbox_of(self, execution_id: UUID, path: str) -> str | None:
        """Where the code of the step at `path` ran last; None for one that has run none."""
        mine = select(col(StepRun.sandbox)).where(col(StepRun.execution_id) == execution_id, col(StepRun.path) == path)
        return await self.session.scalar(mine.order_by(col(StepRun.attempt).desc()).limit(1))


class LogRepository(Repository[ExecutionLog]):
    """Log lines in one tenant."""

    model = ExecutionLog
    label = "log line"

    async def of(
        self, execution_id: UUID, filters: LogFilters, *, page: int, page_size: int
    ) -> tuple[list[ExecutionLog], int]:
        """One page of an execution's lines in their order, and how many the filters leave."""
        statement = self.query().where(col(ExecutionLog.execution_id) == execution_id)
        if filters.level is not None:
            grave = _LEVELS[_LEVELS.index(filters.level) :]
            statement = statement.where(col(ExecutionLog.level).in_(grave))
        if filters.step_key is not None:
            statement = statement.where(_of_step(execution_id, filters.step_key))
        if filters.since is not None:
            statement = statement.where(col(ExecutionLog.created_at) >= filters.since)
        return await self.page(statement, page=page, page_size=page_size, order_by=(col(ExecutionLog.seq).asc(),))


def _without_heavy() -> Iterator[Any]:
    return (defer(column, raiseload=True) for column in _HEAVY)  # type: ignore[arg-type]


def _visible(within: Reach) -> ColumnElement[bool]:
    """Executions follow their workflow; those of a single agent whoever started them, inside the agent's project."""
    if within.project_id is None and within.user_id is None:
        return true()
    of_workflow = and_(in_project(Workflow, within.project_id), public_or_owned(Workflow, within.user_id))
    alone: list[ColumnElement[bool]] = [col(Execution.workflow_id).is_(None)]
    if within.project_id is not None:
        of_project = select(col(Agent.id)).where(col(Agent.project_id) == within.project_id)
        alone.append(col(Execution.agent_id).in_(of_project))
    if within.user_id is not None:
        alone.append(col(Execution.user_id) == within.user_id)
    return or_(and_(col(Execution.workflow_id).is_not(None), of_workflow), and_(*alone))


def _conditions(filters: ExecutionFilters) -> list[ColumnElement[bool]]:
    conditions: list[ColumnElement[bool]] = []
    if filters.status:
        conditions.append(col(Execution.status).in_(filters.status))
    if filters.trigger_type:
        conditions.append(col(Execution.trigger_type).in_(filters.trigger_type))
    if filters.since is not None:
        conditions.append(col(Execution.created_at) >= filters.since)
    if filters.until is not None:
        conditions.append(col(Execution.created_at) < filters.until)
    if filters.workflow_id is not None:
        conditions.append(col(Execution.workflow_id) == filters.workflow_id)
    if filters.parent_execution_id is not None:
        conditions.append(col(Execution.parent_execution_id) == filters.parent_execution_id)
    return conditions


def _of_step(execution_id: UUID, key_or_path: str) -> ColumnElement[bool]:
    by_path = select(col(StepRun.id)).where(col(StepRun.execution_id) == execution_id, col(StepRun.path) == key_or_path)
    return or_(col(ExecutionLog.step_key) == key_or_path, col(ExecutionLog.step_run_id).in_(by_path))
