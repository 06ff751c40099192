"""The only writer of run records: executions, step runs, events, logs.

Every move goes along the tables of `flows.states`, takes the execution's row lock, gets the next numbers of the
execution's one sequence, appends its event and notifies `EVENTS_CHANNEL`, all in one transaction. The lock makes
numbers appear in the order in which they are committed, so that a stream never misses one.

A database that is away is waited for (`persistence`); a write that is made again finds what it has done already.
"""

import asyncio
from collections.abc import Awaitable, Callable
from datetime import datetime
from decimal import Decimal
from typing import Any
from uuid import UUID

from sqlalchemy import Select, or_, select, text, update
from sqlalchemy.ext.asyncio import AsyncSession
from sqlalchemy.orm import defer
from sqlmodel import col

from flows.runtime.ports import LogLine, RunOutcome, StepAttempt, StepOutcome
from flows.states import EXECUTION_MOVES, STEP_MOVES, ExecutionStatus, StepStatus, is_final
from platform_api.access.scope import TenantScope, tenant_scope
from platform_api.db.engine import Sessions
from platform_api.db.enums import LogLevel
from platform_api.db.models import Artifact, Execution, ExecutionEvent, ExecutionLog, StepRun
from platform_api.errors import IllegalMove, NotFound
from platform_api.kit import clock
from platform_api.kit.ids import new_id
from platform_api.resources.executions.persistence import persistently

EVENTS_CHANNEL = "turbocat_events"
"""Payload: the execution's id. Something was appended to its sequence."""

RUNS_CHANNEL = "turbocat_runs"
"""Payload: an environment. Prefect holds a run of it that a worker may take."""

_NOTIFY = text("select pg_notify(:channel, :payload)")

_STEP_COUNTER = {
    StepStatus.COMPLETED: "steps_completed",
    StepStatus.FAILED: "steps_failed",
    StepStatus.TIMEOUT: "steps_failed",
    StepStatus.SKIPPED: "steps_skipped",
}


async def admit(scope: TenantScope, execution: Execution, *, due_at: datetime | None = None) -> Execution:
    """Adds the row as PENDING with its event, in the caller's transaction: from its commit on nothing is lost.

    It is due now, or at `due_at` where that is still to come.
    """
    now = clock.now()
    execution.tenant_id = scope.tenant_id
    execution.status = ExecutionStatus.PENDING
    execution.queued_at = max(due_at or now, now)
    execution.last_seq = 1
    execution.steps_total = len(execution.plan["steps"])
    scope.session.add(execution)
    await scope.session.flush()
    scope.session.add(_event(execution, "execution.status", {"status": execution.status.value}))
    await scope.session.flush()
    await scope.session.refresh(execution)
    return execution


Write = Callable[[AsyncSession, Execution, bool], Awaitable[None]]
"""Changes the locked row and what belongs to it. The flag says that an earlier call may have been committed."""


class Journal:
    """Writes the record of one tenant's runs, one committed transaction a call.

    One run has one journal: its steps take turns here rather than each with a connection at the row's lock.
    """

    def __init__(self, sessions: Sessions, tenant_id: UUID) -> None:
        self._sessions = sessions
        self._tenant_id = tenant_id
        self._turn = asyncio.Lock()

    async def submitted(self, execution_id: UUID, prefect_flow_run_id: UUID) -> None:
        """Notes under which id Prefect holds the run, and wakes the workers."""
        async with tenant_scope(self._sessions, self._tenant_id) as scope:
            environment = await scope.session.scalar(
                update(Execution)
                .where(col(Execution.id) == execution_id, col(Execution.prefect_flow_run_id).is_(None))
                .values(prefect_flow_run_id=prefect_flow_run_id, prefect_run_count=1, submitted_at=clock.now())
                .returning(col(Execution.environment))
            )
            if environment is not None:
                await scope.session.execute(_NOTIFY, {"channel": RUNS_CHANNEL, "payload": environment.value})

    async def run_started(self, execution_id: UUID, *, prefect_flow_run_id: UUID, run_count: int) -> None:
        """PENDING to RUNNING; raises `IllegalMove` when the run has ended or is already running."""
        started_at = clock.now()

        async def write(session: AsyncSession, row: Execution, again: bool) -> None:
            if again and row.started_at == started_at:
                return
            _move(row, ExecutionStatus.RUNNING)
            row.started_at = started_at
            row.prefect_flow_run_id = prefect_flow_run_id
            row.prefect_run_count = run_count
            await _append(session, row, "execution.status", {"status": row.status.value})

        await self._write(execution_id, write)

    async def run_finished(self, execution_id: UUID, outcome: RunOutcome) -> None:
        """To a final status; raises `IllegalMove` when the run has already ended."""

        async def write(session: AsyncSession, row: Execution, again: bool) -> None:
            if again and row.status is outcome.status:
                return
            await _close_steps(session, row, _UNRECORDED)
            await _end_run(session, row, outcome)

        await self._write(execution_id, write)

    async def step_started(self, execution_id: UUID, attempt: StepAttempt, *, inputs: Any) -> None:
        """Opens the record of one attempt; raises `IllegalMove` when its run is not running."""

        async def write(session: AsyncSession, row: Execution, again: bool) -> None:
            if again and (await session.get(StepRun, attempt.step_run_id)) is not None:
                return
            if row.status != ExecutionStatus.RUNNING:
                raise IllegalMove(f"execution {row.id}", row.status, f"the start of step {attempt.path}")
            step = _step_row(row, attempt, status=StepStatus.RUNNING, input=inputs, started_at=clock.now())
            session.add(step)
            await _append(session, row, "step.status", _step_payload(step))

        await self._write(execution_id, write)

    async def step_finished(self, execution_id: UUID, attempt: StepAttempt, outcome: StepOutcome) -> None:
        """Closes the record of one attempt and adds its usage to the run's; `outcome.last` counts the step as done."""

        async def write(session: AsyncSession, row: Execution, again: bool) -> None:
            step = await session.get_one(StepRun, attempt.step_run_id)
            if again and step.status is outcome.status:
                return
            session.add_all(_artifact_rows(row, attempt, outcome))
            await _end_step(session, row, step, outcome)

        await self._write(execution_id, write)

    async def steps_skipped(self, execution_id: UUID, attempts: list[StepAttempt], *, reason: str) -> None:
        """Records steps that will not run, with the reason."""

        async def write(session: AsyncSession, row: Execution, again: bool) -> None:
            if again and (await session.get(StepRun, attempts[0].step_run_id)) is not None:
                return
            for attempt in attempts:
                await _skip(session, row, attempt, reason)

        if attempts:
            await self._write(execution_id, write)

    async def logged(self, execution_id: UUID, lines: list[LogLine]) -> None:
        """Appends log lines under consecutive numbers."""
        ids = [new_id() for _ in lines]

        async def write(session: AsyncSession, row: Execution, again: bool) -> None:
            if again and (await session.get(ExecutionLog, ids[0])) is not None:
                return
            first = row.last_seq + 1
            row.last_seq += len(lines)
            numbered = enumerate(zip(ids, lines, strict=True), first)
            session.add_all(_log_row(row, line_id, seq, line) for seq, (line_id, line) in numbered)
            await _notify(session, execution_id)

        if lines:
            await self._write(execution_id, write)

    async def abandoned(
        self, execution_id: UUID, *, code: str, message: str, status: ExecutionStatus = ExecutionStatus.FAILED
    ) -> bool:
        """Ends a run that nobody drives (any more). False when it had ended.

        Open steps become FAILED, those that never started SKIPPED; the run gets `status`.
        """
        error = {"code": code, "message": message}
        was_open = False

        async def write(session: AsyncSession, row: Execution, again: bool) -> None:
            nonlocal was_open
            if is_final(row.status):
                return
            was_open = True
            await _close_steps(session, row, error)
            for attempt in await _never_started(session, row):
                await _skip(session, row, attempt, "The run was stopped before this step")
            await _end_run(session, row, RunOutcome(status=status, error=error))

        await self._write(execution_id, write)
        return was_open

    async def _write(self, execution_id: UUID, write: Write) -> None:
        async def attempt(again: bool) -> None:
            async with tenant_scope(self._sessions, self._tenant_id) as scope:
                await write(scope.session, await _locked(scope.session, execution_id), again)

        async with self._turn:
            await persistently(attempt)


async def find_tenant(session: AsyncSession, execution_id: UUID) -> UUID | None:
    """The tenant of an execution; for a system scope, which is all that a worker has at first."""
    statement = select(col(Execution.tenant_id)).where(col(Execution.id) == execution_id)
    return (await session.execute(statement)).scalar_one_or_none()


async def find_driven(
    session: AsyncSession, prefect_flow_run_id: UUID, execution_id: UUID | None
) -> tuple[UUID, UUID] | None:
    """Id and tenant of the execution that a flow run drives now: its newest, or the one that was submitted as it."""
    mine = col(Execution.prefect_flow_run_id) == prefect_flow_run_id
    if execution_id is not None:
        mine = or_(mine, col(Execution.id) == execution_id)
    newest = col(Execution.prefect_run_count).desc().nulls_last()
    statement = select(col(Execution.id), col(Execution.tenant_id)).where(mine).order_by(newest).limit(1)
    found = (await session.execute(statement)).one_or_none()
    return (found[0], found[1]) if found else None


_UNRECORDED = {"code": "INTERNAL_ERROR", "message": "How the step ended could not be recorded; run it again"}
"""For a step whose run ends while its own record is still open."""

_HEAVY = (Execution.plan, Execution.inputs, Execution.outputs)
"""Megabytes that no move needs."""


async def _locked(session: AsyncSession, execution_id: UUID) -> Execution:
    light = (defer(column, raiseload=True) for column in _HEAVY)  # type: ignore[arg-type]
    statement = select(Execution).where(col(Execution.id) == execution_id).options(*light).with_for_update()
    row = (await session.execute(statement)).scalar_one_or_none()
    if row is None:
        raise NotFound(f"There is no execution {execution_id}")
    return row


def _running_steps(row: Execution) -> Select[tuple[StepRun]]:
    return select(StepRun).where(col(StepRun.execution_id) == row.id, col(StepRun.status) == StepStatus.RUNNING)


async def _close_steps(session: AsyncSession, row: Execution, error: dict[str, Any]) -> None:
    for step in await session.scalars(_running_steps(row)):
        await _end_step(session, row, step, StepOutcome(status=StepStatus.FAILED, error=error))


async def _never_started(session: AsyncSession, row: Execution) -> list[StepAttempt]:
    plan = await session.scalar(select(col(Execution.plan)).where(col(Execution.id) == row.id))
    started = set(await session.scalars(select(col(StepRun.path)).where(col(StepRun.execution_id) == row.id)))
    keys = [step["stepKey"] for step in (plan or {}).get("steps", []) if step["stepKey"] not in started]
    return [StepAttempt(step_key=key, path=key, attempt=1) for key in keys]


async def _skip(session: AsyncSession, row: Execution, attempt: StepAttempt, reason: str) -> None:
    error = {"code": "SKIPPED", "message": reason}
    step = _step_row(row, attempt, status=StepStatus.SKIPPED, error=error, completed_at=clock.now())
    session.add(step)
    _count(row, step.status)
    await _append(session, row, "step.status", _step_payload(step))


async def _append(session: AsyncSession, row: Execution, kind: str, payload: dict[str, Any]) -> None:
    row.last_seq += 1
    session.add(_event(row, kind, payload))
    await _notify(session, row.id)


async def _notify(session: AsyncSession, execution_id: UUID) -> None:
    await session.flush()
    await session.execute(_NOTIFY, {"channel": EVENTS_CHANNEL, "payload": str(execution_id)})


async def _end_run(session: AsyncSession, row: Execution, outcome: RunOutcome) -> None:
    _move(row, outcome.status)
    row.completed_at = clock.now()
    row.duration_ms = _milliseconds(row.started_at or row.queued_at, row.completed_at)
    row.outputs = outcome.outputs
    row.error = outcome.error
    await _append(session, row, "execution.status", {"status": row.status.value, "error": outcome.error})


async def _end_step(session: AsyncSession, row: Execution, step: StepRun, outcome: StepOutcome) -> None:
    if outcome.status not in STEP_MOVES[step.status]:
        raise IllegalMove(f"step {step.path}", step.status, outcome.status)
    step.status = outcome.status
    step.output = outcome.output
    step.output_ref = outcome.output_ref
    step.preview = outcome.preview
    step.error = outcome.error
    step.completed_at = clock.now()
    step.duration_ms = _milliseconds(step.started_at or step.completed_at, step.completed_at)
    step.prompt_tokens = outcome.usage.prompt_tokens
    step.completion_tokens = outcome.usage.completion_tokens
    step.cost = outcome.usage.cost
    row.prompt_tokens += outcome.usage.prompt_tokens
    row.completion_tokens += outcome.usage.completion_tokens
    row.cost = _sum(row.cost, outcome.usage.cost)
    if outcome.last:
        _count(row, outcome.status)
    await _append(session, row, "step.status", _step_payload(step) | {"durationMs": step.duration_ms})


def _move(row: Execution, wanted: ExecutionStatus) -> None:
    if wanted not in EXECUTION_MOVES[row.status]:
        raise IllegalMove(f"execution {row.id}", row.status, wanted)
    row.status = wanted


def _count(row: Execution, status: StepStatus) -> None:
    counter = _STEP_COUNTER.get(status)
    if counter:
        setattr(row, counter, getattr(row, counter) + 1)


def _event(row: Execution, kind: str, payload: dict[str, Any]) -> ExecutionEvent:
    return ExecutionEvent(tenant_id=row.tenant_id, execution_id=row.id, seq=row.last_seq, type=kind, payload=payload)


def _step_row(row: Execution, attempt: StepAttempt, **values: Any) -> StepRun:
    return StepRun(
        id=attempt.step_run_id,
        tenant_id=row.tenant_id,
        execution_id=row.id,
        agent_id=UUID(attempt.agent) if attempt.agent else None,
        step_key=attempt.step_key,
        path=attempt.path,
        attempt=attempt.attempt,
        **values,
    )


def _log_row(row: Execution, line_id: UUID, seq: int, line: LogLine) -> ExecutionLog:
    return ExecutionLog(
        id=line_id,
        tenant_id=row.tenant_id,
        execution_id=row.id,
        step_run_id=line.step_run_id,
        step_key=line.step_key,
        level=LogLevel(line.level),
        message=line.message,
        metadata_=dict(line.metadata),
        seq=seq,
    )


def _artifact_rows(row: Execution, attempt: StepAttempt, outcome: StepOutcome) -> list[Artifact]:
    return [
        Artifact(
            tenant_id=row.tenant_id,
            execution_id=row.id,
            step_run_id=attempt.step_run_id,
            **file.model_dump(),
        )
        for file in outcome.artifacts
    ]


def _step_payload(step: StepRun) -> dict[str, Any]:
    return {
        "stepKey": step.step_key,
        "path": step.path,
        "attempt": step.attempt,
        "status": step.status.value,
        "error": step.error,
    }


def _sum(spent: Decimal | None, more: Decimal | None) -> Decimal | None:
    """Unknown as soon as one part is unknown."""
    return None if spent is None or more is None else spent + more


def _milliseconds(start: datetime, end: datetime) -> int:
    return max(0, round((end - start).total_seconds() * 1000))
