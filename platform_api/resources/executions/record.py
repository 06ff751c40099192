"""One execution's row, locked, and what is written with it: the open transaction as the journal's calls see it.

Every move goes along the tables of `flows.states` and appends its event under the next number of the execution's one
sequence. A refused move raises `IllegalMove` before anything of its call is written.
"""

from collections.abc import Collection, Iterable
from datetime import datetime
from decimal import Decimal
from typing import Any
from uuid import UUID

from sqlalchemy import func, select, text, update
from sqlalchemy.ext.asyncio import AsyncSession
from sqlalchemy.orm import defer
from sqlmodel import col

from flows.runtime.paths import is_top_level
from flows.runtime.ports import LogLine, RunOutcome, StepAttempt, StepOutcome
from flows.states import EXECUTION_MOVES, STEP_MOVES, ExecutionStatus, StepStatus
from platform_api.db.enums import LogLevel
from platform_api.db.models import Artifact, Execution, ExecutionEvent, ExecutionLog, StepRun, StepWait
from platform_api.errors import IllegalMove, NotFound
from platform_api.kit import clock

EVENTS_CHANNEL = "turbocat_events"
"""Payload: the execution's id. Something was appended to its sequence."""

NOTIFY = text("select pg_notify(:channel, :payload)")

OPEN_STEPS = frozenset({StepStatus.RUNNING, StepStatus.PAUSED})

_STEP_COUNTER = {
    StepStatus.COMPLETED: "steps_completed",
    StepStatus.FAILED: "steps_failed",
    StepStatus.TIMEOUT: "steps_failed",
    StepStatus.SKIPPED: "steps_skipped",
}

_HEAVY = (Execution.plan, Execution.inputs, Execution.outputs)
"""Megabytes that no move needs."""


class Record:
    """What a write may do with the execution that it holds the lock of. `session` is its transaction."""

    def __init__(self, session: AsyncSession, row: Execution) -> None:
        self.session = session
        self.row = row

    @classmethod
    async def lock(cls, session: AsyncSession, execution_id: UUID) -> "Record":
        """Waits for the row's lock; raises `NotFound`."""
        light = (defer(column, raiseload=True) for column in _HEAVY)  # type: ignore[arg-type]
        statement = select(Execution).where(col(Execution.id) == execution_id).options(*light).with_for_update()
        row = (await session.execute(statement)).scalar_one_or_none()
        if row is None:
            raise NotFound(f"There is no execution {execution_id}")
        return cls(session, row)

    async def flush(self) -> None:
        """Sends what has been collected, so that statements of the caller's own see it."""
        await self.session.flush()

    async def close(self) -> None:
        """Sends the rest and wakes the streams at the commit."""
        await self.flush()
        await self.session.execute(NOTIFY, {"channel": EVENTS_CHANNEL, "payload": str(self.row.id)})

    async def step(self, step_run_id: UUID) -> StepRun | None:
        """A record of this execution by its id."""
        await self.flush()
        return await self.session.get(StepRun, step_run_id)

    async def steps(self, statuses: Collection[StepStatus] = OPEN_STEPS) -> list[StepRun]:
        """This execution's records of these statuses, the innermost first."""
        await self.flush()
        mine = (col(StepRun.execution_id) == self.row.id, col(StepRun.status).in_(statuses))
        found = await self.session.scalars(select(StepRun).where(*mine))
        return sorted(found, key=lambda step: (-len(step.path), step.path))

    async def has_line(self, line_id: UUID) -> bool:
        """Whether a log line is there already."""
        return await self.session.get(ExecutionLog, line_id) is not None

    def event(self, kind: str, payload: dict[str, Any]) -> None:
        """Appends an event."""
        row = self.row
        row.last_seq += 1
        self.session.add(
            ExecutionEvent(tenant_id=row.tenant_id, execution_id=row.id, seq=row.last_seq, type=kind, payload=payload)
        )

    def move(self, wanted: ExecutionStatus, **payload: Any) -> None:
        """Gives the execution its next status, with the event; raises `IllegalMove`."""
        if wanted not in EXECUTION_MOVES[self.row.status]:
            raise IllegalMove(f"execution {self.row.id}", self.row.status, wanted)
        self.row.status = wanted
        self.event("execution.status", {"status": wanted.value, **payload})

    def open_step(self, attempt: StepAttempt, status: StepStatus, **values: Any) -> StepRun:
        """Adds the record of an attempt, with its event."""
        step = StepRun(
            id=attempt.step_run_id,
            tenant_id=self.row.tenant_id,
            execution_id=self.row.id,
            agent_id=UUID(attempt.agent) if attempt.agent else None,
            step_key=attempt.step_key,
            path=attempt.path,
            attempt=attempt.attempt,
            status=status,
            **values,
        )
        self.session.add(step)
        self.count(step)
        self.event("step.status", step_payload(step))
        return step

    def move_step(self, step: StepRun, wanted: StepStatus) -> None:
        """Gives an open record another open status, with the event; raises `IllegalMove`."""
        self._check_step(step, wanted)
        step.status = wanted
        self.event("step.status", step_payload(step))

    def end_step(self, step: StepRun, outcome: StepOutcome) -> None:
        """Closes a record, adds its usage to the run's and counts it; raises `IllegalMove`."""
        self._check_step(step, outcome.status)
        step.status = outcome.status
        step.output, step.output_ref, step.preview = outcome.output, outcome.output_ref, outcome.preview
        step.error = outcome.error
        step.completed_at = clock.now()
        step.duration_ms = milliseconds(step.started_at or step.completed_at, step.completed_at)
        self._spend(step, outcome)
        if outcome.last:
            self.count(step)
        self.event("step.status", step_payload(step) | {"durationMs": step.duration_ms})

    def count(self, step: StepRun) -> None:
        """Counts an ended step of the top level."""
        counter = _STEP_COUNTER.get(step.status) if is_top_level(step.path) else None
        if counter:
            setattr(self.row, counter, getattr(self.row, counter) + 1)

    def log(self, lines: Iterable[tuple[UUID, LogLine]]) -> None:
        """Appends log lines under consecutive numbers."""
        for line_id, line in lines:
            self.row.last_seq += 1
            self.session.add(_log_row(self.row, line_id, line))

    def keep(self, attempt: StepAttempt, outcome: StepOutcome) -> None:
        """Adds the files that an attempt has made."""
        mine: dict[str, Any] = {
            "execution_id": self.row.id,
            "step_run_id": attempt.step_run_id,
            "tenant_id": self.row.tenant_id,
        }
        self.session.add_all(Artifact(**mine, **file.model_dump()) for file in outcome.artifacts)

    async def end(self, outcome: RunOutcome) -> None:
        """Gives the execution its final status and leaves no wait open; raises `IllegalMove`."""
        row = self.row
        self.move(outcome.status, error=outcome.error)
        row.completed_at = clock.now()
        row.duration_ms = milliseconds(row.started_at or row.queued_at, row.completed_at)
        row.outputs, row.error = outcome.outputs, outcome.error
        await self.flush()
        unclosed = (col(StepWait.execution_id) == row.id, col(StepWait.closed_at).is_(None))
        await self.session.execute(update(StepWait).where(*unclosed).values(closed_at=func.now()))

    def _check_step(self, step: StepRun, wanted: StepStatus) -> None:
        if wanted not in STEP_MOVES[step.status]:
            raise IllegalMove(f"step {step.path}", step.status, wanted)

    def _spend(self, step: StepRun, outcome: StepOutcome) -> None:
        row, usage = self.row, outcome.usage
        step.prompt_tokens, step.completion_tokens, step.cost = usage.prompt_tokens, usage.completion_tokens, usage.cost
        row.prompt_tokens += usage.prompt_tokens
        row.completion_tokens += usage.completion_tokens
        row.cost = _sum(row.cost, usage.cost)


def step_payload(step: StepRun) -> dict[str, Any]:
    """What the event of a step tells."""
    return {
        "stepKey": step.step_key,
        "path": step.path,
        "attempt": step.attempt,
        "status": step.status.value,
        "error": step.error,
    }


def milliseconds(start: datetime, end: datetime) -> int:
    """From `start` to `end`, never negative."""
    return max(0, round((end - start).total_seconds() * 1000))


def _log_row(row: Execution, line_id: UUID, line: LogLine) -> ExecutionLog:
    return ExecutionLog(
        id=line_id,
        tenant_id=row.tenant_id,
        execution_id=row.id,
        step_run_id=line.step_run_id,
        step_key=line.step_key,
        level=LogLevel(line.level),
        message=line.message,
        metadata_=dict(line.metadata),
        seq=row.last_seq,
    )


def _sum(spent: Decimal | None, more: Decimal | None) -> Decimal | None:
    """Unknown as soon as one part is unknown."""
    return None if spent is None or more is None else spent + more
