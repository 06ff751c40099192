"""How a run ends that does not end by itself: given up because nobody drives it, or cancelled.

Both end the runs that are nested in it too. Open steps are closed, those that never started are SKIPPED.
"""

from collections.abc import Mapping, Sequence
from uuid import UUID

from sqlalchemy import select
from sqlmodel import col

from agents.result import Usage
from flows.runtime.paths import lies_in
from flows.runtime.ports import RunOutcome, StepAttempt, StepOutcome
from flows.states import OPEN, ExecutionStatus, StepStatus, is_final
from platform_api.db.models import Execution, StepRun
from platform_api.errors import IllegalMove
from platform_api.kit import clock
from platform_api.resources.executions.record import Record
from platform_api.resources.executions.waits import close_wait

CANCEL_CHANNEL = "turbocat_cancel"
"""Payload: a flow run. The process that holds it is to end it."""

WAS_CANCELLED = RunOutcome(
    status=ExecutionStatus.CANCELLED, error={"code": "CANCELLED", "message": "The run was cancelled"}
)

_UNRECORDED = {"code": "INTERNAL_ERROR", "message": "How the step ended could not be recorded; run it again"}


async def request_cancel(record: Record, message: str) -> list[UUID]:
    """Cancels a run: one that is not running ends at once, of one that is its process is told.

    Returns the flow runs of what has ended. Raises `IllegalMove` for a run that is over.
    """
    row = record.row
    if is_final(row.status):
        raise IllegalMove(f"execution {row.id}", row.status, ExecutionStatus.CANCELLED)
    row.cancel_requested_at = row.cancel_requested_at or clock.now()
    if row.prefect_flow_run_id is not None:
        await record.notify(CANCEL_CHANNEL, str(row.prefect_flow_run_id))
    if row.status is ExecutionStatus.RUNNING:
        return []
    error = {"code": "CANCELLED", "message": message}
    return await give_up(record, RunOutcome(status=ExecutionStatus.CANCELLED, error=error))


async def give_up(record: Record, outcome: RunOutcome, nested: Sequence[Record] | None = None) -> list[UUID]:
    """Ends a run that nobody drives, and what is nested in it; returns the flow runs of what has ended.

    Whose end was asked for is CANCELLED, however its process has ended. What nested runs have used is put on record of
    the steps that ran them.
    """
    if record.row.cancel_requested_at is not None and outcome.status is not ExecutionStatus.CANCELLED:
        outcome = WAS_CANCELLED
    nested = await record.nested() if nested is None else nested
    used: dict[UUID, Usage] = {}
    for each in reversed((record, *nested)):
        inside = {path: used.pop(child, Usage()) for child, path in await _open_children(each)}
        await _end(each, outcome, inside)
        used[each.row.id] = each.usage
    for each in nested:
        await each.close()
    ended = (each.row.prefect_flow_run_id for each in (record, *nested))
    return [flow_run_id for flow_run_id in ended if flow_run_id is not None]


async def close_inside(record: Record, path: str, reason: str) -> None:
    """Cancels what is open inside a step of the run: records, waits, nested runs."""
    cancelled = RunOutcome(status=ExecutionStatus.CANCELLED, error={"code": "CANCELLED", "message": reason})
    for step in await record.steps():
        if step.path != path and lies_in(step.path, path):
            record.end_step(step, cut_short(cancelled))
            await close_wait(record, step.id)
    for execution_id, parent_path in await _open_children(record):
        if lies_in(parent_path, path):
            child = await record.beside(execution_id)
            await give_up(child, cancelled)
            await child.close()


async def _open_children(record: Record) -> list[tuple[UUID, str]]:
    columns = (col(Execution.id), col(Execution.parent_path))
    mine = (col(Execution.parent_execution_id) == record.row.id, col(Execution.status).in_(OPEN))
    found = await record.session.execute(select(*columns).where(*mine))
    return [(execution_id, parent_path or "") for execution_id, parent_path in found.tuples()]


def skip(record: Record, attempts: list[StepAttempt], reason: str) -> None:
    """Records steps that will not run."""
    error = {"code": "SKIPPED", "message": reason}
    for attempt in attempts:
        record.open_step(attempt, StepStatus.SKIPPED, error=error, completed_at=clock.now())


def cut_short(outcome: RunOutcome) -> StepOutcome:
    """For a step that is still open when its run records its own end."""
    if outcome.status is ExecutionStatus.CANCELLED:
        return StepOutcome(status=StepStatus.CANCELLED, error=outcome.error)
    return StepOutcome(status=StepStatus.FAILED, error=_UNRECORDED)


async def _end(record: Record, outcome: RunOutcome, inside: Mapping[str, Usage]) -> None:
    status = StepStatus.CANCELLED if outcome.status is ExecutionStatus.CANCELLED else StepStatus.FAILED
    for step in await record.steps():
        usage = inside.get(step.path, Usage())
        record.end_step(step, StepOutcome(status=status, error=outcome.error, usage=usage))
    skip(record, await _never_started(record), "The run was stopped before this step")
    await record.end(outcome)


async def _never_started(record: Record) -> list[StepAttempt]:
    session, mine = record.session, record.row.id
    plan = await session.scalar(select(col(Execution.plan)).where(col(Execution.id) == mine))
    started = set(await session.scalars(select(col(StepRun.path)).where(col(StepRun.execution_id) == mine)))
    keys = [step["stepKey"] for step in (plan or {}).get("steps", []) if step["stepKey"] not in started]
    return [StepAttempt(step_key=key, path=key, attempt=1) for key in keys]
