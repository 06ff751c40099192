"""The journal: allowed moves only, each with its event, one numbering, nothing written by a refused call."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from decimal import Decimal
from typing import Any
from uuid import UUID, uuid4

import pytest
from psycopg import AsyncConnection
from sqlalchemy import select
from sqlalchemy.exc import OperationalError
from sqlmodel import SQLModel

from agents.result import ArtifactFile, Usage
from flows.runtime.ports import LogLine, RunOutcome, StepAttempt, StepOutcome
from flows.states import ExecutionStatus, StepStatus
from platform_api.access.scope import DirectScope, direct_scope, tenant_scope
from platform_api.db.engine import Sessions
from platform_api.db.models import Artifact, Execution, ExecutionEvent, ExecutionLog, StepRun
from platform_api.errors import IllegalMove, NotFound
from platform_api.resources.executions import lanes, persistence
from platform_api.resources.executions.journal import EVENTS_CHANNEL, RUNS_CHANNEL, Journal, admit
from tests.factories.tenants import create_tenant

DONE = RunOutcome(status=ExecutionStatus.COMPLETED, outputs={"a": 1})


class Record:
    """One admitted execution and what the database holds of it."""

    def __init__(self, sessions: Sessions, tenant_id: UUID, execution_id: UUID) -> None:
        self.sessions = sessions
        self.tenant_id = tenant_id
        self.id = execution_id
        self.journal = Journal(sessions, tenant_id)

    async def start(self) -> None:
        await self.journal.run_started(self.id, prefect_flow_run_id=uuid4(), run_count=1)

    async def execution(self) -> Execution:
        async with tenant_scope(self.sessions, self.tenant_id) as scope:
            return await scope.session.get_one(Execution, self.id)

    async def rows(self, model: type[Any]) -> list[Any]:
        async with tenant_scope(self.sessions, self.tenant_id) as scope:
            statement = select(model).where(model.execution_id == self.id).order_by(model.id)
            return list((await scope.session.execute(statement)).scalars())

    async def numbering(self) -> list[int]:
        numbered: list[type[SQLModel]] = [ExecutionEvent, ExecutionLog]
        return sorted([row.seq for model in numbered for row in await self.rows(model)])


@pytest.fixture
async def record(sessions: Sessions) -> Record:
    tenant = await create_tenant(sessions)
    async with tenant_scope(sessions, tenant.id) as scope:
        row = await admit(
            scope,
            Execution(
                tenant_id=tenant.id, plan={"steps": [{"stepKey": key} for key in ("load", "join", "late")]}, inputs={}
            ),
        )
    return Record(sessions, tenant.id, row.id)


def an_attempt(key: str = "load", number: int = 1) -> StepAttempt:
    return StepAttempt(step_key=key, path=key, attempt=number)


async def test_admission_leaves_a_pending_row_with_its_event(record: Record) -> None:
    row = await record.execution()
    assert (row.status, row.steps_total, row.last_seq) == (ExecutionStatus.PENDING, 3, 1)
    (event,) = await record.rows(ExecutionEvent)
    assert (event.seq, event.type, event.payload) == (1, "execution.status", {"status": "PENDING"})


async def test_a_whole_run_is_recorded_under_one_numbering(record: Record) -> None:
    journal, attempt = record.journal, an_attempt()
    await record.start()
    await journal.step_started(record.id, attempt, inputs={"path": "x"})
    await journal.logged(record.id, [LogLine(level="INFO", message=str(number)) for number in range(3)])
    usage = Usage(prompt_tokens=5, completion_tokens=7, cost=Decimal("0.25"))
    await journal.step_finished(
        record.id, attempt, StepOutcome(status=StepStatus.COMPLETED, output={"rows": 2}, usage=usage)
    )
    await journal.steps_skipped(record.id, [an_attempt("late")], reason="nobody needs it")
    await journal.run_finished(record.id, DONE)
    row = await record.execution()
    assert row.status is ExecutionStatus.COMPLETED
    assert (row.steps_completed, row.steps_failed, row.steps_skipped) == (1, 0, 1)
    assert (row.prompt_tokens, row.completion_tokens, row.cost) == (5, 7, Decimal("0.25"))
    assert row.outputs == {"a": 1}
    assert row.duration_ms is not None
    assert await record.numbering() == list(range(1, row.last_seq + 1))
    done, skipped = sorted(await record.rows(StepRun), key=lambda step: step.status)
    assert (done.input, done.output, done.status) == ({"path": "x"}, {"rows": 2}, StepStatus.COMPLETED)
    assert skipped.error == {"code": "SKIPPED", "message": "nobody needs it"}


async def test_a_run_starts_once(record: Record) -> None:
    await record.start()
    before = await record.numbering()
    with pytest.raises(IllegalMove, match="RUNNING"):
        await record.start()
    assert await record.numbering() == before


@pytest.mark.case(34)
@pytest.mark.parametrize("status", ["COMPLETED", "FAILED", "CANCELLED", "TIMEOUT"])
async def test_a_final_status_never_changes(record: Record, status: str) -> None:
    await record.start()
    await record.journal.run_finished(record.id, RunOutcome(status=ExecutionStatus(status)))
    with pytest.raises(IllegalMove):
        await record.journal.run_finished(record.id, DONE)
    with pytest.raises(IllegalMove):
        await record.journal.step_started(record.id, an_attempt(), inputs={})
    assert (await record.execution()).status == status
    assert await record.rows(StepRun) == []


async def test_a_step_starts_only_in_a_running_run(record: Record) -> None:
    with pytest.raises(IllegalMove, match="PENDING"):
        await record.journal.step_started(record.id, an_attempt(), inputs={})
    assert await record.rows(StepRun) == []


async def test_a_step_result_is_recorded_once(record: Record) -> None:
    await record.start()
    attempt = an_attempt()
    await record.journal.step_started(record.id, attempt, inputs={})
    await record.journal.step_finished(record.id, attempt, StepOutcome(status=StepStatus.COMPLETED, output=1))
    with pytest.raises(IllegalMove):
        await record.journal.step_finished(record.id, attempt, StepOutcome(status=StepStatus.FAILED, output=2))
    (step,) = await record.rows(StepRun)
    assert (step.status, step.output) == (StepStatus.COMPLETED, 1)
    assert (await record.execution()).steps_completed == 1


async def test_attempts_that_are_followed_by_another_do_not_count(record: Record) -> None:
    await record.start()
    for number, last in ((1, False), (2, True)):
        attempt = an_attempt(number=number)
        await record.journal.step_started(record.id, attempt, inputs={})
        outcome = StepOutcome(status=StepStatus.FAILED, error={"code": "X", "message": "x"}, last=last)
        await record.journal.step_finished(record.id, attempt, outcome)
    assert (await record.execution()).steps_failed == 1
    assert [step.attempt for step in await record.rows(StepRun)] == [1, 2]


async def test_an_unknown_price_makes_the_cost_unknown(record: Record) -> None:
    await record.start()
    attempt = an_attempt()
    await record.journal.step_started(record.id, attempt, inputs={})
    outcome = StepOutcome(status=StepStatus.COMPLETED, usage=Usage(prompt_tokens=1, cost=None))
    await record.journal.step_finished(record.id, attempt, outcome)
    assert (await record.execution()).cost is None


async def test_artifacts_are_listed(record: Record) -> None:
    await record.start()
    attempt = an_attempt()
    await record.journal.step_started(record.id, attempt, inputs={})
    file = ArtifactFile(name="a.csv", media_type="text/csv", uri="tc://x", bytes=3, sha256="0" * 64, rows=1)
    await record.journal.step_finished(record.id, attempt, StepOutcome(status=StepStatus.COMPLETED, artifacts=(file,)))
    (artifact,) = await record.rows(Artifact)
    assert (artifact.name, artifact.bytes, artifact.rows) == ("a.csv", 3, 1)


async def test_an_abandoned_run_and_its_open_steps_fail_together(record: Record) -> None:
    await record.start()
    await record.journal.step_started(record.id, an_attempt(), inputs={})
    assert await record.journal.abandoned(record.id, code="WORKER_LOST", message="gone")
    row = await record.execution()
    assert row.status is ExecutionStatus.FAILED
    assert row.error == {"code": "WORKER_LOST", "message": "gone"}
    steps = {step.step_key: step for step in await record.rows(StepRun)}
    assert (steps["load"].status, steps["load"].error["code"]) == (StepStatus.FAILED, "WORKER_LOST")
    assert {steps["join"].status, steps["late"].status} == {StepStatus.SKIPPED}
    assert (row.steps_failed, row.steps_skipped) == (1, 2)
    assert row.steps_completed + row.steps_failed + row.steps_skipped == row.steps_total
    assert not await record.journal.abandoned(record.id, code="WORKER_LOST", message="gone")


async def test_a_run_that_ends_leaves_no_step_open(record: Record) -> None:
    await record.start()
    await record.journal.step_started(record.id, an_attempt(), inputs={})
    await record.journal.run_finished(record.id, RunOutcome(status=ExecutionStatus.FAILED, error={"code": "X"}))
    (step,) = await record.rows(StepRun)
    assert (step.status, step.error["code"]) == (StepStatus.FAILED, "INTERNAL_ERROR")


@pytest.mark.case(33)
async def test_a_write_whose_answer_was_lost_is_recorded_once(record: Record, monkeypatch: pytest.MonkeyPatch) -> None:
    """The commit happened, its caller saw the connection break: each write is made again and finds its work done."""
    committed = direct_scope
    lost: list[str] = []

    @asynccontextmanager
    async def forgetful(*arguments: Any) -> AsyncIterator[DirectScope]:
        async with committed(*arguments) as scope:
            yield scope
        if len(lost) % 2 == 0:
            lost.append("answer")
            raise OperationalError("commit", {}, Exception("server closed the connection"))
        lost.append("nothing")

    monkeypatch.setattr(lanes, "direct_scope", forgetful)
    attempt = an_attempt()
    await record.start()
    await record.journal.step_started(record.id, attempt, inputs={})
    await record.journal.logged(record.id, [LogLine(level="INFO", message="once")])
    await record.journal.step_finished(record.id, attempt, StepOutcome(status=StepStatus.COMPLETED))
    await record.journal.steps_skipped(record.id, [an_attempt("late")], reason="nobody needs it")
    await record.journal.run_finished(record.id, DONE)
    row = await record.execution()
    assert lost.count("answer") == 6
    assert (row.status, row.steps_completed, row.steps_skipped) == (ExecutionStatus.COMPLETED, 1, 1)
    assert len(await record.rows(StepRun)) == 2
    assert len(await record.rows(ExecutionLog)) == 1
    assert await record.numbering() == list(range(1, row.last_seq + 1))


async def test_a_database_that_stays_away_is_given_up(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(persistence, "PATIENCE_SECONDS", 0.2)
    calls: list[bool] = []

    async def write(again: bool) -> None:
        calls.append(again)
        raise OperationalError("select 1", {}, Exception("no route to host"))

    with pytest.raises(OperationalError):
        await persistence.persistently(write)
    assert calls[0] is False
    assert len(calls) > 1
    assert all(calls[1:])


async def test_writers_at_once_get_numbers_without_gap_or_double(record: Record) -> None:
    await record.start()
    lines = [LogLine(level="INFO", message="x")] * 3
    await asyncio.gather(*(record.journal.logged(record.id, lines) for _ in range(8)))
    assert await record.numbering() == list(range(1, 2 + 1 + 24))


async def test_each_change_wakes_listeners_after_its_commit(record: Record, database_url: str) -> None:
    async with await AsyncConnection.connect(database_url, autocommit=True) as connection:
        await connection.execute(f"listen {EVENTS_CHANNEL}")
        await connection.execute(f"listen {RUNS_CHANNEL}")
        await record.journal.submitted(record.id, uuid4())
        await record.start()
        heard = set()
        async for notice in connection.notifies(timeout=10):
            if notice.channel == RUNS_CHANNEL or notice.payload == str(record.id):
                heard.add(notice.channel)
            if len(heard) == 2:
                break
    assert heard == {EVENTS_CHANNEL, RUNS_CHANNEL}


async def test_a_submission_is_noted_once(record: Record) -> None:
    first = uuid4()
    await record.journal.submitted(record.id, first)
    await record.journal.submitted(record.id, uuid4())
    row = await record.execution()
    assert row.prefect_flow_run_id == first
    assert row.submitted_at is not None


async def test_a_journal_reaches_only_its_tenant(record: Record, sessions: Sessions) -> None:
    stranger = await create_tenant(sessions)
    with pytest.raises(NotFound):
        await Journal(sessions, stranger.id).run_finished(record.id, DONE)
    assert (await record.execution()).status is ExecutionStatus.PENDING


async def test_odd_text_does_not_break_the_record(record: Record) -> None:
    await record.start()
    attempt = an_attempt()
    await record.journal.step_started(record.id, attempt, inputs={"name": "\u202e\U0001f600\u0000"})
    await record.journal.step_finished(
        record.id, attempt, StepOutcome(status=StepStatus.COMPLETED, output={"a": "b\u0000c"})
    )
    (step,) = await record.rows(StepRun)
    assert step.status is StepStatus.COMPLETED
    assert "\x00" not in step.output["a"]
