"""The waits of a run: opened and closed with the record of their step, answered at most once and only while open.

A wait is open until its step has ended, and answered from the moment that somebody has answered; between the two its
run takes the answer up. What is past its time takes none, even before the run has noticed.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any
from uuid import UUID

from sqlalchemy import ColumnElement, Select, delete, literal, or_, select, update
from sqlalchemy.ext.asyncio import AsyncSession
from sqlalchemy.orm import defer
from sqlmodel import col

from flows.runtime.ports import Answer, Question, StepAttempt, Wait
from flows.spec import WaitKind
from flows.states import ExecutionStatus, StepStatus
from platform_api.access.scope import TenantScope
from platform_api.db.models import Execution, StepRun, StepWait
from platform_api.errors import IllegalMove
from platform_api.kit import clock
from platform_api.kit.schemas import zulu
from platform_api.resources.executions.record import Head, Record

QUESTIONS = frozenset({WaitKind.APPROVAL.value, WaitKind.INPUT.value})
"""Kinds that a person answers."""

OPERATOR = "operator"
"""Who has answered in the Prefect UI, which knows no users."""

REST, PREFECT, EVENT = "REST", "PREFECT", "EVENT"

_AS_THEY_ARE = ("due_at", "message", "form", "event_type", "filter")
"""What a wait's row holds in the words of the runtime."""

UNCLOSED = col(StepWait.closed_at).is_(None)
UNANSWERED = col(StepWait.answered_at).is_(None)


async def open_wait(record: Record, attempt: StepAttempt, wait: Wait) -> Wait:
    """Opens the record of a WAIT step as PAUSED; one that `attempt` opened before is given back as it is.

    Raises `IllegalMove` when its run is not running.
    """
    row = await _at(record, attempt.path)
    if row is not None and row.step_run_id == attempt.step_run_id and row.closed_at is None:
        return _as_opened(row)
    if record.row.status is not ExecutionStatus.RUNNING:
        raise IllegalMove(f"execution {record.row.id}", record.row.status, f"the start of step {attempt.path}")
    record.open_step(attempt, StepStatus.PAUSED, input=_shown(wait), started_at=wait.opened_at)
    await record.flush()
    if row is not None:  # of an attempt that has ended; a path has one wait
        await record.session.execute(delete(StepWait).where(col(StepWait.id) == row.id))
    record.session.add(_row(record.row, attempt, wait))
    if wait.kind.value in QUESTIONS:
        record.event("approval.requested", {"stepKey": attempt.step_key, "path": attempt.path, **_shown(wait)})
    return wait


async def unread_answers(session: AsyncSession, execution_id: UUID) -> list[StepWait]:
    """Waits of a run that were answered, and whose step was stopped before it took the answer up."""
    mine = (col(StepWait.execution_id) == execution_id, ~UNANSWERED, col(StepRun.status) == StepStatus.CANCELLED)
    joined = select(StepWait).join(StepRun, col(StepRun.id) == col(StepWait.step_run_id))
    return list(await session.scalars(joined.where(*mine).order_by(col(StepWait.id))))


async def take_over_answer(record: Record, before: StepWait) -> None:
    """Opens an answered wait of another run in this one, which takes the answer up when it comes there."""
    wait = _as_opened(before)
    attempt = StepAttempt(step_key=before.path.rpartition(".")[2], path=before.path, attempt=1)
    record.open_step(attempt, StepStatus.PAUSED, input=_shown(wait), started_at=clock.now())
    await record.flush()
    row = _row(record.row, attempt, wait)
    row.answer, row.answered_at = before.answer, before.answered_at
    row.answered_by, row.via = before.answered_by, before.via
    record.session.add(row)


async def close_wait(record: Record, step_run_id: UUID) -> None:
    """Nothing answers it any more: its step has ended."""
    mine = (col(StepWait.step_run_id) == step_run_id, UNCLOSED)
    await record.session.execute(update(StepWait).where(*mine).values(closed_at=clock.now()))


async def read_answers(session: AsyncSession, execution_id: UUID) -> dict[str, Answer]:
    """The answers to the run's open waits, by path."""
    mine = (col(StepWait.execution_id) == execution_id, UNCLOSED, ~UNANSWERED)
    found = await session.scalars(select(StepWait).where(*mine))
    return {row.path: _answer(row) for row in found}


async def oldest_question(session: AsyncSession, execution_id: UUID) -> Question | None:
    """The oldest open question of the run and of those nested in it."""
    asked = (col(StepWait.kind).in_(QUESTIONS), UNCLOSED, UNANSWERED, still_takes_answers())
    oldest = _family_waits(execution_id).where(*asked).order_by(col(StepWait.id))
    found = (await session.execute(oldest.limit(1))).one_or_none()
    if found is None:
        return None
    row: StepWait = found[0]
    return Question(wait_id=row.id, path=row.path, kind=WaitKind(row.kind), message=row.message, form=row.form)


@dataclass(frozen=True)
class PlacedWait:
    """A wait of an execution or of a run nested in it; `path` is its place as the outer one sees it."""

    wait: StepWait
    path: str


async def open_waits(session: AsyncSession, execution_id: UUID) -> list[PlacedWait]:
    """What the execution waits for, oldest first; what has been answered it waits for no more."""
    return await _placed(session, _family_waits(execution_id).where(UNCLOSED, UNANSWERED))


async def waits_of(session: AsyncSession, execution_id: UUID) -> list[PlacedWait]:
    """All waits that the execution and the runs nested in it have reached, over or not."""
    return await _placed(session, _family_waits(execution_id))


async def _placed(session: AsyncSession, waits: Select[tuple[StepWait, str]]) -> list[PlacedWait]:
    found = await session.execute(waits.order_by(col(StepWait.id)))
    return [PlacedWait(wait, f"{place}{wait.path}") for wait, place in found.tuples()]


async def take_answer(
    session: AsyncSession, wait_id: UUID, data: Mapping[str, Any], *, by: UUID | None, via: str
) -> bool:
    """Answers the wait, unless it is closed, answered or past its time: of several answers one counts."""
    given = {"answer": dict(data), "answered_at": clock.now(), "answered_by": by, "via": via}
    still_open = (col(StepWait.id) == wait_id, UNCLOSED, UNANSWERED, still_takes_answers())
    taken = await session.execute(update(StepWait).where(*still_open).values(**given).returning(col(StepWait.id)))
    return taken.scalar_one_or_none() is not None


def still_takes_answers() -> ColumnElement[bool]:
    """The condition that a wait's time is not over."""
    return or_(col(StepWait.due_at).is_(None), col(StepWait.due_at) > clock.now())


@dataclass(frozen=True, kw_only=True)
class AwaitedEvent:
    """An open wait for an event; `names` are those that its filter may use beside `event`."""

    wait_id: UUID
    execution_id: UUID
    filter: str | None
    names: dict[str, Any]


async def event_waits(scope: TenantScope, kind: str, *, after: UUID | None, limit: int) -> list[AwaitedEvent]:
    """The tenant's open waits for events of this type, oldest first, from the one behind `after` on.

    A caller that is bound to a project reaches the runs of that project alone.
    """
    open_now = (UNCLOSED, UNANSWERED, still_takes_answers())
    mine = (col(StepWait.tenant_id) == scope.tenant_id, col(StepWait.event_type) == kind, *open_now)
    workflow = col(Execution.plan)["workflow"].label("workflow")
    statement = (
        select(StepWait, col(Execution.inputs), col(Execution.environment), col(Execution.trigger_type), workflow)
        .join(Execution, col(Execution.id) == col(StepWait.execution_id))
        .where(*mine)
    )
    if scope.caller.project_id is not None:
        lies_in = col(Execution.plan)[("workflow", "projectId")].astext
        statement = statement.where(lies_in == str(scope.caller.project_id))
    if after is not None:
        statement = statement.where(col(StepWait.id) > after)
    rows = await scope.session.execute(statement.order_by(col(StepWait.id)).limit(limit))
    return [
        AwaitedEvent(
            wait_id=wait.id,
            execution_id=wait.execution_id,
            filter=wait.filter,
            names={
                "inputs": inputs,
                "execution": {
                    "id": str(wait.execution_id),
                    "environment": environment.value,
                    "triggerType": trigger.value,
                },
                "workflow": {name: workflow[name] for name in ("id", "name", "slug", "version")},
            },
        )
        for wait, inputs, environment, trigger, workflow in rows
    ]


async def root_of(session: AsyncSession, execution_id: UUID) -> Execution | None:
    """The execution that Prefect runs: this one, or the outermost of those that it is nested in."""
    above: UUID | None = execution_id
    row = None
    while above is not None:
        row = (await session.scalars(light_executions().where(col(Execution.id) == above))).one_or_none()
        above = row.parent_execution_id if row else None
    return row


def light_executions() -> Select[tuple[Execution]]:
    """Executions without what can be megabytes."""
    heavy = (Execution.plan, Execution.inputs, Execution.outputs)
    return select(Execution).options(*(defer(column, raiseload=True) for column in heavy))  # type: ignore[arg-type]


def _family_waits(execution_id: UUID) -> Select[tuple[StepWait, str]]:
    """The waits of a run and of those nested in it, each with what stands before its path in the outermost."""
    own = select(col(Execution.id), literal("").label("place")).where(col(Execution.id) == execution_id)
    me = own.cte("family", recursive=True)
    place = me.c.place + col(Execution.parent_path) + "."
    nested = select(col(Execution.id), place).where(col(Execution.parent_execution_id) == me.c.id)
    family = me.union_all(nested)
    return select(StepWait, family.c.place).join(family, family.c.id == col(StepWait.execution_id))


async def _at(record: Record, path: str) -> StepWait | None:
    await record.flush()
    mine = (col(StepWait.execution_id) == record.row.id, col(StepWait.path) == path)
    return (await record.session.scalars(select(StepWait).where(*mine))).one_or_none()


def _row(execution: Head, attempt: StepAttempt, wait: Wait) -> StepWait:
    return StepWait(
        tenant_id=execution.tenant_id,
        execution_id=execution.id,
        step_run_id=attempt.step_run_id,
        path=attempt.path,
        kind=wait.kind.value,
        created_at=wait.opened_at,
        assignees=list(wait.assignees),
        **{name: getattr(wait, name) for name in _AS_THEY_ARE},
    )


def _as_opened(row: StepWait) -> Wait:
    return Wait(
        kind=WaitKind(row.kind),
        opened_at=row.created_at,
        assignees=tuple(row.assignees),
        **{name: getattr(row, name) for name in _AS_THEY_ARE},
    )


def _answer(row: StepWait) -> Answer:
    assert row.answered_at is not None
    person = str(row.answered_by) if row.answered_by else None
    by = OPERATOR if row.via == PREFECT else person
    return Answer(data=row.answer or {}, by=by, via=row.via or "", at=row.answered_at)


def _shown(wait: Wait) -> dict[str, Any]:
    shown = {
        "kind": wait.kind.value,
        "message": wait.message,
        "schema": wait.form,
        "dueAt": _instant(wait.due_at),
        "eventType": wait.event_type,
    }
    return {name: value for name, value in shown.items() if name != "eventType" or value is not None}


def _instant(value: datetime | None) -> str | None:
    return zulu(value) if value is not None else None


def named(waits: Sequence[PlacedWait], path: str) -> list[PlacedWait]:
    """The waits that a path names; the end of a path, such as a bare key, names every place that ends so."""
    exact = [each for each in waits if each.path == path]
    return exact or [each for each in waits if each.path.endswith(f".{path}")]
