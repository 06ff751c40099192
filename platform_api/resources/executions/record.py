"""One execution's row, locked, and what is written with it: the open transaction as the journal's calls see it.

Every move goes along the tables of `flows.states` and appends its event under the next number of the execution's one
sequence. A refused move raises `IllegalMove` before anything of its call is collected. What has been collected is sent
at the end in one round trip, each table's rows in one statement (`record_rows`).
"""

from collections.abc import Collection, Iterable, Sequence
from typing import Any
from uuid import UUID

from sqlalchemy.ext.asyncio import AsyncSession

from agents.calls import Call, usage_of
from agents.result import Usage
from flows.runtime.paths import is_top_level
from flows.runtime.ports import LogLine, RunOutcome, StepAttempt, StepOutcome
from flows.states import EXECUTION_MOVES, STEP_MOVES, ExecutionStatus, StepStatus
from platform_api.access.scope import DirectScope, JoinedScope, TenantScope
from platform_api.db.enums import LogLevel
from platform_api.errors import IllegalMove
from platform_api.kit import clock
from platform_api.kit.ids import new_id
from platform_api.resources.executions.calls import lost, shown
from platform_api.resources.executions.record_rows import (
    EVENTS_CHANNEL,
    OPEN_STEPS,
    Head,
    Pending,
    Step,
    close_waits,
    collected,
    copy_steps,
    find_nested,
    find_steps,
    has_line,
    load,
    milliseconds,
    news_of_room,
    notification,
    send,
    spent,
)
from platform_api.resources.executions.reuse import Ran

__all__ = ["EVENTS_CHANNEL", "OPEN_STEPS", "Head", "Record", "Step", "milliseconds"]

_STEP_COUNTER = {
    StepStatus.COMPLETED: "steps_completed",
    StepStatus.FAILED: "steps_failed",
    StepStatus.TIMEOUT: "steps_failed",
    StepStatus.SKIPPED: "steps_skipped",
}


class Record:
    """What a write may do with the execution that it holds the lock of.

    `session` is its transaction, for statements of a write's own: `flush` goes before those that must see what was
    collected so far.
    """

    def __init__(self, scope: DirectScope, row: Head, steps: Iterable[Step], looked_for: Collection[UUID]) -> None:
        self.row = row
        self._scope = scope
        self._driver = scope.driver
        self._steps = {step.id: step for step in steps}
        self._looked_for = set(looked_for)
        self._pending = Pending(row)

    @classmethod
    async def lock(cls, scope: DirectScope, execution_id: UUID, step_run_ids: Collection[UUID] = ()) -> "Record":
        """Waits for the row's lock and reads the steps that the writes will ask for; raises `NotFound`."""
        row, steps = await load(scope, execution_id, step_run_ids)
        return cls(scope, row, steps, step_run_ids)

    @classmethod
    async def join(cls, scope: TenantScope, execution_id: UUID) -> "Record":
        """Locks the row inside a transaction that is open already."""
        return await cls.lock(await JoinedScope.of(scope), execution_id)

    @property
    def session(self) -> AsyncSession:
        """The transaction."""
        return self._scope.session

    @property
    def tenant_id(self) -> UUID:
        """Whose run it is."""
        return self.row.tenant_id

    @property
    def usage(self) -> Usage:
        """What is on record of the run."""
        row = self.row
        return Usage(prompt_tokens=row.prompt_tokens, completion_tokens=row.completion_tokens, cost=row.cost)

    @property
    def mark(self) -> int:
        """Grows with everything that is collected."""
        return self.row.last_seq

    async def flush(self) -> None:
        """Sends what has been collected."""
        await send(self._driver, self._pending)

    async def close(self) -> None:
        """Sends the rest with the commit, which wakes the streams."""
        waking = notification(EVENTS_CHANNEL, str(self.row.id))
        await self._scope.last([*collected(self._pending), waking])

    async def notify(self, channel: str, payload: str) -> None:
        """Wakes the listeners of a channel at the commit."""
        await self._scope.last([notification(channel, payload)])

    async def beside(self, execution_id: UUID) -> "Record":
        """Locks another execution in the same transaction; it needs a `close` of its own."""
        return await Record.lock(self._scope, execution_id)

    async def take_over(self, ran: Sequence[Ran]) -> None:
        """Copies records of an earlier execution into this one, with their events, and counts them."""
        await copy_steps(self._driver, self.row.id, {each.id: new_id() for each in ran})
        for each in ran:
            self._count(each.path, each.status)
            told = {"stepKey": each.step_key, "path": each.path, "attempt": each.attempt, "status": each.status.value}
            self.event("step.status", {**told, "error": None, "reusedFrom": str(each.id)})

    async def nested(self) -> list["Record"]:
        """The runs nested in this one that have not ended, locked, the outer before the inner. Each needs `close`."""
        ids = await find_nested(self._driver, self.row.id)
        return [await self.beside(each) for each in ids]

    async def step(self, step_run_id: UUID) -> Step | None:
        """The record of this id, if there is one."""
        if step_run_id not in self._looked_for:
            self._looked_for.add(step_run_id)
            self._remember(await find_steps(self._driver, self.row.id, ids=[step_run_id]))
        return self._steps.get(step_run_id)

    async def steps(self, statuses: Collection[StepStatus] = OPEN_STEPS) -> list[Step]:
        """This execution's records of these statuses, the innermost first."""
        await self.flush()
        self._remember(await find_steps(self._driver, self.row.id, statuses=statuses))
        found = [step for step in self._steps.values() if step.status in statuses]
        return sorted(found, key=lambda step: (-len(step.path), step.path))

    async def has_line(self, line_id: UUID) -> bool:
        """Whether a log line is there already."""
        return await has_line(self._driver, line_id)

    def event(self, kind: str, payload: dict[str, Any]) -> None:
        """Appends an event."""
        self._pending.events.append({"id": new_id(), "seq": self._next(), "type": kind, "payload": payload})

    def move(self, wanted: ExecutionStatus, **payload: Any) -> None:
        """Gives the execution its next status, with the event; raises `IllegalMove`."""
        if wanted not in EXECUTION_MOVES[self.row.status]:
            raise IllegalMove(f"execution {self.row.id}", self.row.status, wanted)
        self.row.status = wanted
        self.event("execution.status", {"status": wanted.value, **payload})

    def open_step(self, attempt: StepAttempt, status: StepStatus, **values: Any) -> Step:
        """Adds the record of an attempt, with its event."""
        step = Step(
            id=attempt.step_run_id,
            agent_id=UUID(attempt.agent) if attempt.agent else None,
            step_key=attempt.step_key,
            path=attempt.path,
            attempt=attempt.attempt,
            status=status,
            **values,
        )
        self._steps[step.id] = step
        self._looked_for.add(step.id)
        self._pending.opened.append(step)
        self._count(step.path, step.status)
        self.event("step.status", step_payload(step))
        return step

    def move_step(self, step: Step, wanted: StepStatus) -> None:
        """Gives an open record another open status, with the event; raises `IllegalMove`."""
        _check_step(step, wanted)
        step.status = wanted
        self._pending.change(step)
        self.event("step.status", step_payload(step))

    def end_step(self, step: Step, outcome: StepOutcome) -> None:
        """Closes a record, adds its usage to the run's and counts it; raises `IllegalMove`."""
        _check_step(step, outcome.status)
        step.status = outcome.status
        step.output, step.output_ref, step.preview = outcome.output, outcome.output_ref, outcome.preview
        step.error, step.sandbox = outcome.error, outcome.sandbox
        step.completed_at = clock.now()
        step.duration_ms = milliseconds(step.started_at or step.completed_at, step.completed_at)
        calls = lost(step.calls) if outcome.calls is None else outcome.calls
        step.calls = shown(calls)
        self._spend(step, outcome.usage + usage_of(calls) if outcome.calls is None else outcome.usage)
        self._pending.change(step)
        if outcome.last:
            self._count(step.path, step.status)
        self.event("step.status", step_payload(step) | {"durationMs": step.duration_ms})

    def note_calls(self, step: Step, calls: Iterable[Call]) -> None:
        """Notes what an open record has called, without an event."""
        step.calls = shown(calls)
        self._pending.change(step)

    def log(self, lines: Iterable[tuple[UUID, LogLine]]) -> None:
        """Appends log lines under consecutive numbers."""
        self._pending.logs += [
            {
                "id": line_id,
                "step_run_id": line.step_run_id,
                "step_key": line.step_key,
                "level": LogLevel(line.level),
                "message": line.message.encode(errors="replace").decode(),
                "metadata": dict(line.metadata),
                "seq": self._next(),
            }
            for line_id, line in lines
        ]

    def keep(self, attempt: StepAttempt, outcome: StepOutcome) -> None:
        """Adds the files that an attempt has made."""
        mine = {"step_run_id": attempt.step_run_id}
        self._pending.artifacts += [
            {"id": new_id(), **mine, **_columns(file.model_dump())} for file in outcome.artifacts
        ]

    async def end(self, outcome: RunOutcome) -> None:
        """Gives the execution its final status and leaves no wait open; raises `IllegalMove`."""
        row = self.row
        self.move(outcome.status, error=outcome.error)
        row.completed_at = clock.now()
        row.duration_ms = milliseconds(row.started_at or row.queued_at, row.completed_at)
        row.outputs, row.error = outcome.outputs, outcome.error
        await close_waits(self._driver, row.id)
        if row.parent_execution_id is None:
            await self._scope.last([news_of_room()])

    def _count(self, path: str, status: StepStatus) -> None:
        """Counts an ended step of the top level."""
        counter = _STEP_COUNTER.get(status) if is_top_level(path) else None
        if counter:
            setattr(self.row, counter, getattr(self.row, counter) + 1)

    def _next(self) -> int:
        self.row.last_seq += 1
        return self.row.last_seq

    def _remember(self, found: Iterable[Step]) -> None:
        for step in found:
            self._steps.setdefault(step.id, step)

    def _spend(self, step: Step, usage: Usage) -> None:
        row = self.row
        step.prompt_tokens, step.completion_tokens, step.cost = usage.prompt_tokens, usage.completion_tokens, usage.cost
        row.prompt_tokens += usage.prompt_tokens
        row.completion_tokens += usage.completion_tokens
        row.cost = spent(row.cost, usage.cost)


def step_payload(step: Step) -> dict[str, Any]:
    """What the event of a step tells."""
    return {
        "stepKey": step.step_key,
        "path": step.path,
        "attempt": step.attempt,
        "status": step.status.value,
        "error": step.error,
    }


def _check_step(step: Step, wanted: StepStatus) -> None:
    if wanted not in STEP_MOVES[step.status]:
        raise IllegalMove(f"step {step.path}", step.status, wanted)


def _columns(file: dict[str, Any]) -> dict[str, Any]:
    """An artifact's columns; `schema_` is the attribute of the column `schema`."""
    return {name.rstrip("_"): value for name, value in file.items()}
