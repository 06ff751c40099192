"""What is on record of a run that is taken up again, as the runtime wants it."""

from uuid import UUID

from sqlalchemy import select
from sqlalchemy.ext.asyncio import AsyncSession
from sqlalchemy.orm import defer, load_only
from sqlmodel import col

from flows.plan import Plan
from flows.runtime.paths import step_at
from flows.runtime.ports import FinishedStep, OpenStep, Past
from flows.runtime.retries import is_last
from flows.states import FAILED_STEPS, StepStatus
from platform_api.db.models import StepRun
from platform_api.resources.executions.record import OPEN_STEPS
from platform_api.resources.executions.reuse import Ran

WORKER_LOST = "WORKER_LOST"
"""Code of a step that was open when its worker died: it runs again, whatever its retry policy says."""

_DONE = frozenset({StepStatus.COMPLETED, StepStatus.SKIPPED})
_UNREAD = (StepRun.input, StepRun.preview)


async def load_past(session: AsyncSession, execution_id: UUID, plan: Plan) -> Past:
    """The execution's records by path; of several attempts of a step the newest says how it stands.

    Cancelled steps, those of a lost worker and those that another attempt was to follow are neither finished nor
    open: they run again.
    """
    light = (defer(column, raiseload=True) for column in _UNREAD)  # type: ignore[arg-type]
    mine = select(StepRun).where(col(StepRun.execution_id) == execution_id).options(*light)
    rows = await session.scalars(mine.order_by(col(StepRun.attempt).asc()))
    newest = {row.path: row for row in rows}
    interrupted = {path: row for path, row in newest.items() if row.status in OPEN_STEPS}
    return Past(
        finished={path: _finished(row) for path, row in newest.items() if is_finished(row, plan)},
        open={
            path: OpenStep(step_run_id=row.id, attempt=row.attempt, begun_at=row.started_at)
            for path, row in interrupted.items()
        },
        attempts={path: row.attempt for path, row in newest.items()},
    )


async def load_ran(session: AsyncSession, execution_id: UUID, plan: Plan) -> list[Ran]:
    """The newest attempt of each step that the execution has a record of, without what went in and came out."""
    columns = (StepRun.id, StepRun.step_key, StepRun.path, StepRun.attempt, StepRun.status, StepRun.error)
    mine = select(StepRun).where(col(StepRun.execution_id) == execution_id).options(load_only(*columns))  # type: ignore[arg-type]
    newest = mine.distinct(col(StepRun.path)).order_by(col(StepRun.path), col(StepRun.attempt).desc())
    return [
        Ran(
            id=row.id,
            step_key=row.step_key,
            path=row.path,
            attempt=row.attempt,
            status=row.status,
            finished=is_finished(row, plan),
        )
        for row in await session.scalars(newest)
    ]


def is_finished(row: StepRun, plan: Plan) -> bool:
    """Whether the newest attempt of a step is how the step has ended."""
    if row.status not in FAILED_STEPS:
        return row.status in _DONE
    code = (row.error or {}).get("code", "")
    step = step_at(plan, row.path)
    return code != WORKER_LOST and step is not None and is_last(step.retry, row.attempt, code)


def _finished(row: StepRun) -> FinishedStep:
    return FinishedStep(status=row.status, output=row.output, output_ref=row.output_ref, error=row.error)
