"""The statements behind `record`: what a write reads of an execution, and how what it collected is sent.

They go to the driver directly, many rows in one statement and several statements in one round trip: a light step must
cost less than a millisecond here, and an object-relational mapper alone takes several.
"""

from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass, field, fields
from datetime import datetime
from decimal import Decimal
from enum import StrEnum
from typing import Any
from uuid import UUID

import orjson
from psycopg import sql

from flows.runtime.storable import storable_json
from flows.states import Environment, ExecutionStatus, StepStatus
from platform_api.access.scope import DirectScope, Driver, Statement
from platform_api.errors import NotFound

EVENTS_CHANNEL = "turbocat_events"
"""Payload: the execution's id. Something was appended to its sequence."""

LINE_CHANNEL = "turbocat_line"
"""No payload. A run was left to wait for its turn, or one has ended while others wait for theirs."""

OPEN_STEPS = frozenset({StepStatus.RUNNING, StepStatus.PAUSED})


@dataclass(slots=True)
class Head:
    """What the journal's calls need of an execution and may change, except for `outputs`: heavy columns stay unread."""

    id: UUID
    tenant_id: UUID
    status: ExecutionStatus
    environment: Environment
    depth: int
    last_seq: int
    steps_completed: int
    steps_failed: int
    steps_skipped: int
    queued_at: datetime
    started_at: datetime | None
    completed_at: datetime | None
    cancel_requested_at: datetime | None
    suspended_at: datetime | None
    resumed_at: datetime | None
    wake_at: datetime | None
    active_ms: int
    losses: int
    duration_ms: int | None
    prompt_tokens: int
    completion_tokens: int
    cost: Decimal | None
    prefect_flow_run_id: UUID | None
    prefect_run_count: int | None
    parent_execution_id: UUID | None
    error: dict[str, Any] | None = None
    outputs: Any = None


@dataclass(slots=True)
class Step:
    """One attempt's record. Of one that is read from the table, only what `_READ_OF_STEPS` names is there."""

    id: UUID
    step_key: str
    path: str
    attempt: int
    status: StepStatus
    started_at: datetime | None = None
    agent_id: UUID | None = None
    input: Any = None
    output: Any = None
    output_ref: str | None = None
    preview: Any = None
    error: dict[str, Any] | None = None
    completed_at: datetime | None = None
    duration_ms: int | None = None
    prompt_tokens: int = 0
    completion_tokens: int = 0
    cost: Decimal | None = Decimal(0)
    calls: list[dict[str, Any]] = field(default_factory=list)
    sandbox: str | None = None
    reused_from: UUID | None = None


@dataclass
class Pending:
    """What has been collected and not sent yet. `row` is compared with what it was."""

    row: Head
    sent: dict[str, Any] = field(default_factory=dict)
    opened: list[Step] = field(default_factory=list)
    changed: dict[UUID, Step] = field(default_factory=dict)
    artifacts: list[dict[str, Any]] = field(default_factory=list)
    logs: list[dict[str, Any]] = field(default_factory=list)
    events: list[dict[str, Any]] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.sent = _values(self.row)

    def change(self, step: Step) -> None:
        """Notes that a record is to be written again, unless its first writing is still to come."""
        if not any(step is each for each in reversed(self.opened)):
            self.changed[step.id] = step

    def clear(self) -> None:
        """Starts anew from what is sent."""
        self.sent = _values(self.row)
        for rows in (self.opened, self.changed, self.artifacts, self.logs, self.events):
            rows.clear()


_READ_OF_HEAD = tuple(each.name for each in fields(Head) if each.name not in ("error", "outputs"))
_READ_OF_STEPS = ("id", "step_key", "path", "attempt", "status", "started_at", "agent_id", "calls")
_WRITTEN_OF_STEPS = tuple(each.name for each in fields(Step))
_CHANGED_OF_STEPS = (
    *("status", "output", "output_ref", "preview", "error", "completed_at", "duration_ms"),
    *("prompt_tokens", "completion_tokens", "cost", "calls", "sandbox"),
)
_JSON = frozenset({"input", "output", "preview", "error", "outputs", "payload", "metadata", "schema", "calls"})


def _names(columns: Iterable[str]) -> sql.Composed:
    return sql.SQL(", ").join(map(sql.Identifier, columns))


def _insertion(table: str, columns: Iterable[str]) -> sql.Composed:
    """Many rows from one JSON array, so that the statement is the same however many there are."""
    return sql.SQL(
        "insert into {table} (tenant_id, execution_id, {columns}) "
        "select %s, %s, {columns} from jsonb_populate_recordset(null::{table}, %s)"
    ).format(table=sql.Identifier(table), columns=_names(columns))


_LOCK = sql.SQL("select {} from executions where id = %s for update").format(_names(_READ_OF_HEAD))
_STEPS = sql.SQL("select {} from step_runs where execution_id = %s and ").format(_names(_READ_OF_STEPS))
_BY_ID = _STEPS + sql.SQL("id = any(%s)")
_BY_STATUS = _STEPS + sql.SQL("status = any(%s::step_status[])")
_OPENED = _insertion("step_runs", _WRITTEN_OF_STEPS)
_CHANGED = sql.SQL(
    "update step_runs s set {} from jsonb_populate_recordset(null::step_runs, %s) r where s.id = r.id"
).format(sql.SQL(", ").join(sql.SQL("{0} = r.{0}").format(sql.Identifier(name)) for name in _CHANGED_OF_STEPS))
_LOGGED = _insertion("execution_logs", ("id", "step_run_id", "step_key", "level", "message", "metadata", "seq"))
_HAPPENED = _insertion("execution_events", ("id", "seq", "type", "payload"))
_NESTED = sql.SQL(
    "with recursive family as (select id, 0 as level from executions where id = %s union all "
    "select e.id, f.level + 1 from executions e join family f on e.parent_execution_id = f.id) "
    "select e.id from executions e join family f using (id) "
    "where level > 0 and status in ('PENDING', 'RUNNING', 'PAUSED') order by level"
)
_COPY = _names(
    (
        *("tenant_id", "agent_id", "step_key", "path", "attempt", "status", "started_at", "completed_at"),
        *("duration_ms", "input", "output", "output_ref", "preview", "error", "sandbox"),
    )
)
_COPIED = sql.SQL(
    "insert into step_runs (id, execution_id, reused_from, {columns}) "
    "select copies.id, %s, coalesce(reused_from, step_runs.id), {columns} from step_runs "
    "join unnest(%s::uuid[], %s::uuid[]) as copies(was, id) on copies.was = step_runs.id"
).format(columns=_COPY)
_HAS_LINE = sql.SQL("select exists (select from execution_logs where id = %s)")
_CLOSE_WAITS = sql.SQL("update step_waits set closed_at = now() where execution_id = %s and closed_at is null")
_NOTIFY = sql.SQL("select pg_notify(%s, %s)")
_TELL_OF_ROOM = sql.SQL(
    "select pg_notify({}, '') where exists (select from executions where status = 'PENDING' and submitted_at is null "
    "and parent_execution_id is null and queued_at <= now())"
).format(sql.Literal(LINE_CHANNEL))


async def load(scope: DirectScope, execution_id: UUID, step_run_ids: Collection[UUID]) -> tuple[Head, list[Step]]:
    """The execution, locked, and those of its steps that have these ids; raises `NotFound`."""
    wanted: list[Statement] = [(_LOCK, [execution_id])]
    if step_run_ids:
        wanted.append((_BY_ID, [execution_id, list(step_run_ids)]))
    locked, *found = await scope.first(*wanted)
    row = await locked.fetchone()
    if row is None:
        raise NotFound(f"There is no execution {execution_id}")
    head = Head(*row)
    head.status, head.environment = ExecutionStatus(head.status), Environment(head.environment)
    return head, [_step(each) for cursor in found for each in await cursor.fetchall()]


async def find_steps(
    driver: Driver, execution_id: UUID, *, ids: Collection[UUID] = (), statuses: Collection[StepStatus] = ()
) -> list[Step]:
    """The execution's records of these ids, or else of these statuses."""
    query, wanted = (_BY_ID, list(ids)) if ids else (_BY_STATUS, [status.value for status in statuses])
    found = await driver.execute(query, [execution_id, wanted])
    return [_step(row) for row in await found.fetchall()]


async def find_nested(driver: Driver, execution_id: UUID) -> list[UUID]:
    """The open runs nested in this one, at any depth, the outer before the inner."""
    found = await driver.execute(_NESTED, [execution_id])
    return [row[0] for row in await found.fetchall()]


async def has_line(driver: Driver, line_id: UUID) -> bool:
    """Whether a log line of this id is there."""
    found = await (await driver.execute(_HAS_LINE, [line_id])).fetchone()
    return bool(found and found[0])


async def copy_steps(driver: Driver, execution_id: UUID, copies: Mapping[UUID, UUID]) -> None:
    """Copies records of an earlier execution, each under its new id; what they have used was counted there."""
    await driver.execute(_COPIED, [execution_id, list(copies), list(copies.values())])


async def close_waits(driver: Driver, execution_id: UUID) -> None:
    """Nothing that the execution waited for is waited for any more."""
    await driver.execute(_CLOSE_WAITS, [execution_id])


async def send(driver: Driver, pending: Pending) -> None:
    """Sends what has been collected in one round trip."""
    statements = collected(pending)
    if not statements:
        return
    async with driver.pipeline():
        for statement in statements:
            await driver.execute(*statement)


def collected(pending: Pending) -> list[Statement]:
    """The statements that write what has been collected, steps before what refers to them; they are given out once."""
    statements = list(_statements(pending))
    pending.clear()
    return statements


def notification(channel: str, payload: str) -> Statement:
    """Wakes the listeners of a channel at the commit."""
    return _NOTIFY, [channel, payload]


def news_of_room() -> Statement:
    """Wakes the dispatcher at the commit, where runs of the tenant wait for their turn."""
    return _TELL_OF_ROOM, []


def _statements(pending: Pending) -> Iterable[Statement]:
    mine = [pending.row.tenant_id, pending.row.id]
    if pending.opened:
        yield _OPENED, [*mine, _rows(map(_values, pending.opened))]
    if pending.changed:
        yield _CHANGED, [_rows(map(_values, pending.changed.values()))]
    if pending.artifacts:
        yield _insertion("artifacts", pending.artifacts[0]), [*mine, _rows(pending.artifacts)]
    if pending.logs:
        yield _LOGGED, [*mine, _rows(pending.logs)]
    if pending.events:
        yield _HAPPENED, [*mine, _rows(pending.events)]
    differing = {name: value for name, value in _values(pending.row).items() if value != pending.sent[name]}
    if differing:
        yield _update(differing, pending.row.id)


def _update(values: Mapping[str, Any], execution_id: UUID) -> Statement:
    changes = sql.SQL(", ").join(sql.SQL("{} = %s").format(sql.Identifier(name)) for name in values)
    query = sql.SQL("update executions set {} where id = %s").format(changes)
    return query, [*(_column(name, value) for name, value in values.items()), execution_id]


def _rows(rows: Iterable[Mapping[str, Any]]) -> str:
    return orjson.dumps([{name: _field(name, value) for name, value in row.items()} for row in rows], str).decode()


def _field(name: str, value: Any) -> Any:
    return orjson.Fragment(storable_json(value)) if name in _JSON and value is not None else value


def _column(name: str, value: Any) -> Any:
    if value is None:
        return None
    if name in _JSON:
        return storable_json(value).decode()
    return value.value if isinstance(value, StrEnum) else value


def _values(row: Head | Step) -> dict[str, Any]:
    return {name: getattr(row, name) for name in row.__slots__}


def _step(row: tuple[Any, ...]) -> Step:
    step = Step(**dict(zip(_READ_OF_STEPS, row, strict=True)))
    step.status = StepStatus(step.status)
    return step


def milliseconds(start: datetime, end: datetime) -> int:
    """From `start` to `end`, never negative."""
    return max(0, round((end - start).total_seconds() * 1000))


def spent(before: Decimal | None, more: Decimal | None) -> Decimal | None:
    """Unknown as soon as one part is unknown."""
    return None if before is None or more is None else before + more
