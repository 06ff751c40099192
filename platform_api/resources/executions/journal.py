"""The only writer of run records: executions, step runs, events, logs.

Every move goes along the tables of `flows.states`, takes the execution's row lock, gets the next numbers of the
execution's one sequence, appends its event and notifies `EVENTS_CHANNEL`, all in one transaction (`record`). The lock
makes numbers appear in the order in which they are committed, so that a stream never misses one.

A database that is away is waited for (`persistence`); a write that is made again finds what it has done already.
"""

import asyncio
from collections.abc import Awaitable, Callable, Mapping, Sequence
from datetime import datetime
from functools import partial
from typing import Any, TypeVar
from uuid import UUID

from sqlalchemy import or_, select, update
from sqlalchemy.ext.asyncio import AsyncSession
from sqlmodel import col

from agents.calls import Call
from flows.plan import Plan
from flows.runtime.ports import Answer, LogLine, Question, Run, RunOutcome, StepAttempt, StepOutcome, Wait
from flows.states import ExecutionStatus, StepStatus, is_final
from platform_api.access.scope import TenantScope, tenant_scope
from platform_api.db.engine import Sessions
from platform_api.db.models import Execution, ExecutionEvent
from platform_api.db.signals import notify
from platform_api.errors import IllegalMove, TakenOver
from platform_api.kit import clock
from platform_api.kit.ids import new_id
from platform_api.resources.executions.children import open_child
from platform_api.resources.executions.endings import (
    CANCEL_CHANNEL,
    close_inside,
    cut_short,
    give_up,
    request_cancel,
    skip,
)
from platform_api.resources.executions.lanes import Entry, Lane, Write
from platform_api.resources.executions.live import announce_tokens
from platform_api.resources.executions.persistence import persistently
from platform_api.resources.executions.record import EVENTS_CHANNEL, Record, milliseconds
from platform_api.resources.executions.waits import close_wait, oldest_question, open_wait, read_answers

__all__ = [
    "CANCEL_CHANNEL",
    "EVENTS_CHANNEL",
    "RUNS_CHANNEL",
    "Journal",
    "Write",
    "admit",
    "find_driven",
    "find_tenant",
]

RUNS_CHANNEL = "turbocat_runs"
"""Payload: an environment. Prefect holds a run of it that a worker may take."""


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
    scope.session.add(_admission(execution))
    await scope.session.flush()
    await scope.session.refresh(execution)
    return execution


PROGRESS_SECONDS = 0.25
"""How often a loop's progress is told."""

Found = TypeVar("Found")


class Journal:
    """Writes the record of one tenant's runs. A call returns when its write is committed.

    One run has one journal: what its steps write at the same time goes in one transaction (`lanes`).
    """

    def __init__(
        self, sessions: Sessions, tenant_id: UUID, *, on_taken_over: Callable[[], object] = lambda: None
    ) -> None:
        self._sessions = sessions
        self._tenant_id = tenant_id
        self._on_taken_over = on_taken_over
        self._losses: dict[UUID, int] = {}
        """How often each run had been lost when it was begun here: since more often, it is another process's."""
        self._lanes: dict[UUID, Lane] = {}
        self._progress: dict[tuple[UUID, str], float] = {}

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
                await notify(scope.session, RUNS_CHANNEL, environment.value)

    async def run_started(self, execution_id: UUID, *, prefect_flow_run_id: UUID | None, run_count: int) -> None:
        """PENDING or PAUSED to RUNNING; raises `IllegalMove` when the run has ended or is already running."""
        now = clock.now()

        async def write(record: Record, again: bool) -> None:
            row = record.row
            if again and now in (row.started_at, row.resumed_at):
                return
            resumed = row.status is ExecutionStatus.PAUSED
            record.move(ExecutionStatus.RUNNING)
            row.prefect_flow_run_id, row.prefect_run_count = prefect_flow_run_id, run_count
            row.started_at = row.started_at or now
            self._losses[execution_id] = row.losses
            if resumed:
                row.resumed_at = now

        self._losses.pop(execution_id, None)
        await self.write(execution_id, write)

    async def run_suspended(self, execution_id: UUID, *, wake_at: datetime | None = None) -> None:
        """RUNNING to PAUSED, and so is every step that is open; raises `IllegalMove` for a run that is not running."""
        now = clock.now()

        async def write(record: Record, again: bool) -> None:
            row = record.row
            if again and row.suspended_at == now:
                return
            record.move(ExecutionStatus.PAUSED)
            row.suspended_at, row.wake_at = now, wake_at
            row.active_ms += milliseconds(row.resumed_at or row.started_at or now, now)
            for step in await record.steps({StepStatus.RUNNING}):
                record.move_step(step, StepStatus.PAUSED)

        await self.write(execution_id, write)

    async def run_finished(self, execution_id: UUID, outcome: RunOutcome) -> None:
        """To a final status; raises `IllegalMove` when the run has already ended."""

        async def write(record: Record, again: bool) -> None:
            if again and record.row.status is outcome.status:
                return
            for step in await record.steps():
                record.end_step(step, cut_short(outcome))
            await record.end(outcome)

        await self.write(execution_id, write)

    async def step_started(self, execution_id: UUID, attempt: StepAttempt, *, inputs: Any) -> None:
        """Opens the record of one attempt, or goes on with the interrupted one of that id.

        Raises `IllegalMove` when its run is not running. A light step's start is written with its end, or a moment
        later, and refused there.
        """

        async def write(record: Record, again: bool) -> None:
            step = await record.step(attempt.step_run_id)
            if again and step is not None and step.status is StepStatus.RUNNING:
                return
            if record.row.status is not ExecutionStatus.RUNNING:
                raise IllegalMove(f"execution {record.row.id}", record.row.status, f"the start of step {attempt.path}")
            if step is None:
                record.open_step(attempt, StepStatus.RUNNING, input=inputs, started_at=clock.now())
            elif step.status is not StepStatus.RUNNING:
                record.move_step(step, StepStatus.RUNNING)

        await self.write(execution_id, write, steps=(attempt.step_run_id,), urgent=not attempt.light)

    async def calls_noted(self, execution_id: UUID, attempt: StepAttempt, calls: Sequence[Call]) -> None:
        """What the attempt has called until now; when its process dies, that is what it has used."""

        async def write(record: Record, _again: bool) -> None:
            step = await record.step(attempt.step_run_id)
            if step is None or step.status is not StepStatus.RUNNING:
                raise IllegalMove(f"step {attempt.path}", step.status if step else "unrecorded", "a call of it")
            record.note_calls(step, calls)

        await self.write(execution_id, write, steps=(attempt.step_run_id,))

    async def step_finished(self, execution_id: UUID, attempt: StepAttempt, outcome: StepOutcome) -> None:
        """Closes the record of one attempt and adds its usage to the run's; `outcome.last` counts the step as done."""

        async def write(record: Record, again: bool) -> None:
            step = await record.step(attempt.step_run_id)
            if step is None:
                raise IllegalMove(f"step {attempt.path}", "unrecorded", outcome.status)
            if again and step.status is outcome.status:
                return
            is_wait = step.status is StepStatus.PAUSED
            record.end_step(step, outcome)
            record.keep(attempt, outcome)
            if is_wait:
                await close_wait(record, step.id)

        await self.write(execution_id, write, steps=(attempt.step_run_id,))

    async def steps_skipped(self, execution_id: UUID, attempts: list[StepAttempt], *, reason: str) -> None:
        """Records steps that will not run, with the reason."""

        async def write(record: Record, again: bool) -> None:
            if again and (await record.step(attempts[0].step_run_id)) is not None:
                return
            skip(record, attempts, reason)

        if attempts:
            await self.write(execution_id, write)

    async def wait_opened(self, execution_id: UUID, attempt: StepAttempt, wait: Wait) -> Wait:
        """Opens the record of a WAIT step as PAUSED; one that was open already is given back as it is."""
        opened: list[Wait] = []

        async def write(record: Record, _again: bool) -> None:
            opened.append(await open_wait(record, attempt, wait))

        await self.write(execution_id, write)
        return opened[-1]

    async def answers(self, execution_id: UUID) -> Mapping[str, Answer]:
        """The answers to open waits of the run, by path."""
        return await self._read(partial(read_answers, execution_id=execution_id))

    async def question(self, execution_id: UUID) -> Question | None:
        """The oldest unanswered approval or input of the run and of those nested in it."""
        return await self._read(partial(oldest_question, execution_id=execution_id))

    async def inside_closed(self, execution_id: UUID, path: str, *, reason: str) -> None:
        """Cancels the records and nested runs inside a step, which is over, that are still open."""

        async def write(record: Record, _again: bool) -> None:
            await close_inside(record, path, reason)

        await self.write(execution_id, write)

    async def child_opened(self, execution_id: UUID, attempt: StepAttempt, plan: Plan, inputs: dict[str, Any]) -> Run:
        """The nested run of a WORKFLOW step: one that has not ended is gone on with, else it is made now."""
        opened: list[Run] = []

        async def write(record: Record, _again: bool) -> None:
            opened.append(await open_child(record, attempt, plan, inputs))

        await self.write(execution_id, write)
        return opened[-1]

    async def progressed(self, execution_id: UUID, path: str, *, done: int, total: int | None) -> None:
        """Tells listeners how far a loop is, not too often: what comes too soon after the last is left out."""
        now, key = asyncio.get_running_loop().time(), (execution_id, path)
        if done != total and now - self._progress.get(key, -PROGRESS_SECONDS) < PROGRESS_SECONDS:
            return
        self._progress[key] = now

        async def write(record: Record, _again: bool) -> None:
            record.event("progress", {"path": path, "done": done, "total": total})

        await self.write(execution_id, write, urgent=False)

    async def text_told(self, execution_id: UUID, *, step_key: str, path: str, text: str) -> None:
        """Tells listeners a piece of a model's answer, by itself: nothing of the record waits for it."""
        async with tenant_scope(self._sessions, self._tenant_id) as scope:
            await announce_tokens(scope.session, execution_id, step_key=step_key, path=path, text=text)

    async def logged(self, execution_id: UUID, lines: list[LogLine]) -> None:
        """Appends log lines under consecutive numbers."""
        numbered = [(new_id(), line) for line in lines]

        async def write(record: Record, again: bool) -> None:
            if not (again and await record.has_line(numbered[0][0])):
                record.log(numbered)

        if lines:
            await self.write(execution_id, write)

    async def abandoned(
        self, execution_id: UUID, *, code: str, message: str, status: ExecutionStatus = ExecutionStatus.FAILED
    ) -> bool:
        """Ends a run that nobody drives (any more), with those nested in it. False when it had ended.

        The run gets `status`, or CANCELLED where that was asked for.
        """
        outcome = RunOutcome(status=status, error={"code": code, "message": message})
        was_open = False

        async def write(record: Record, _again: bool) -> None:
            nonlocal was_open
            if not is_final(record.row.status):
                was_open = True
                await give_up(record, outcome)

        await self.write(execution_id, write)
        return was_open

    async def cancel_requested(self, execution_id: UUID, message: str) -> bool:
        """Cancels a run as the API does, for a request that came in elsewhere. False when it is over."""
        is_open = True

        async def write(record: Record, _again: bool) -> None:
            nonlocal is_open
            is_open = not is_final(record.row.status)
            if is_open:
                await request_cancel(record, message)

        await self.write(execution_id, write)
        return is_open

    async def write(
        self, execution_id: UUID, write: Write, *, steps: tuple[UUID, ...] = (), urgent: bool = True
    ) -> None:
        """Makes one write under the row's lock and returns when it is committed; raises what `write` raises.

        `steps` are the records that it asks for. What is not urgent is waited for by nobody.
        """
        lane = self._lanes.get(execution_id)
        if lane is None:
            lane = Lane(self._sessions, self._tenant_id, execution_id, partial(self._lanes.pop))
            self._lanes[execution_id] = lane
        entry = Entry(write=partial(self._fenced, write), steps=steps, urgent=urgent)
        lane.put(entry)
        if not urgent:
            return
        try:
            await asyncio.shield(entry.done)
        except asyncio.CancelledError:
            lane.withdraw(entry)
            raise

    async def _fenced(self, write: Write, record: Record, again: bool) -> None:
        """Refuses what a process writes of a run that was taken back from it."""
        row = record.row
        if row.losses != self._losses.get(row.id, row.losses):
            self._on_taken_over()
            raise TakenOver(f"execution {row.id}", "taken over by another process", "a write of this one")
        await write(record, again)

    async def _read(self, read: Callable[[AsyncSession], Awaitable[Found]]) -> Found:
        async def attempt(_again: bool) -> Found:
            async with tenant_scope(self._sessions, self._tenant_id) as scope:
                return await read(scope.session)

        return await persistently(attempt)


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


def _admission(row: Execution) -> ExecutionEvent:
    payload = {"status": row.status.value}
    return ExecutionEvent(tenant_id=row.tenant_id, execution_id=row.id, seq=1, type="execution.status", payload=payload)
