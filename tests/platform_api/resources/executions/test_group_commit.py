"""What is written at the same time goes together: fewer transactions, the same record, one caller's refusal its own."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any
from uuid import UUID, uuid4

import pytest
from psycopg import AsyncConnection
from sqlalchemy import text

from flows.plan import Plan, PlanStep, PlanWorkflow
from flows.runtime.ports import LogLine, RunOutcome, StepAttempt, StepOutcome
from flows.spec import StepType
from flows.states import ExecutionStatus, StepStatus
from platform_api.access.scope import DirectScope, direct_scope, tenant_scope
from platform_api.db.engine import Sessions
from platform_api.db.models import Execution, ExecutionEvent, ExecutionLog, StepRun
from platform_api.errors import IllegalMove
from platform_api.resources.executions import lanes
from platform_api.resources.executions.journal import EVENTS_CHANNEL, Journal, admit
from platform_api.resources.executions.past import load_past
from tests.factories.tenants import create_tenant
from tests.factories.workflows import create_workflow
from tests.platform_api.resources.executions.test_journal import Record, an_attempt

COMPLETED = StepOutcome(status=StepStatus.COMPLETED, output={"n": 1})


@pytest.fixture
async def record(sessions: Sessions) -> Record:
    """A run that has begun."""
    tenant = await create_tenant(sessions)
    async with tenant_scope(sessions, tenant.id) as scope:
        keys = [{"stepKey": f"s{number}"} for number in range(40)]
        row = await admit(scope, Execution(tenant_id=tenant.id, plan={"steps": keys}, inputs={}))
    record = Record(sessions, tenant.id, row.id)
    await record.start()
    return record


@pytest.fixture
def transactions(monkeypatch: pytest.MonkeyPatch) -> list[UUID]:
    """Every transaction that a journal has committed."""
    made: list[UUID] = []

    @asynccontextmanager
    async def counted(sessions: Sessions, tenant_id: UUID) -> AsyncIterator[DirectScope]:
        async with direct_scope(sessions, tenant_id) as scope:
            yield scope
        made.append(tenant_id)

    monkeypatch.setattr(lanes, "direct_scope", counted)
    return made


def light(path: str) -> StepAttempt:
    return StepAttempt(step_key=path, path=path, attempt=1, light=True)


async def whole(record: Record, attempt: StepAttempt) -> None:
    await record.journal.step_started(record.id, attempt, inputs={"n": 0})
    await record.journal.step_finished(record.id, attempt, COMPLETED)


async def test_a_light_step_is_one_transaction(record: Record, transactions: list[UUID]) -> None:
    for number in range(10):
        await whole(record, light(f"s{number}"))
    assert len(transactions) == 10
    steps = await record.rows(StepRun)
    assert {(step.status, str(step.input), step.output["n"]) for step in steps} == {("COMPLETED", "{'n': 0}", 1)}
    told = [event.payload["status"] for event in await record.rows(ExecutionEvent) if event.type == "step.status"]
    assert sorted(told) == ["COMPLETED"] * 10 + ["RUNNING"] * 10
    assert (await record.execution()).steps_completed == 10
    assert await record.numbering() == list(range(1, 23))


async def test_another_steps_start_is_durable_before_it_runs(record: Record, transactions: list[UUID]) -> None:
    attempt = an_attempt()
    await record.journal.step_started(record.id, attempt, inputs={})
    assert len(transactions) == 1
    (step,) = await record.rows(StepRun)
    assert step.status is StepStatus.RUNNING


async def test_a_light_start_goes_by_itself_when_its_end_takes_longer(record: Record) -> None:
    await record.journal.step_started(record.id, light("s1"), inputs={})
    assert await record.rows(StepRun) == []
    for _ in range(100):
        if await record.rows(StepRun):
            break
        await asyncio.sleep(0.02)
    (step,) = await record.rows(StepRun)
    assert step.status is StepStatus.RUNNING


async def test_steps_at_once_share_their_transactions_and_wakes(
    record: Record, transactions: list[UUID], database_url: str
) -> None:
    async with await AsyncConnection.connect(database_url, autocommit=True) as connection:
        await connection.execute(f"listen {EVENTS_CHANNEL}")
        await asyncio.gather(*(whole(record, light(f"each[{number}].x")) for number in range(100)))
        heard = [each async for each in connection.notifies(timeout=0.5) if each.payload == str(record.id)]
    assert len(transactions) == len(heard) < 20
    row = await record.execution()
    assert (len(await record.rows(StepRun)), row.steps_completed, row.last_seq) == (100, 0, 202)
    assert await record.numbering() == list(range(1, 203))


async def test_log_lines_ride_along(record: Record, transactions: list[UUID]) -> None:
    attempt = light("s1")
    line = LogLine(level="INFO", message="x", step_key="s1", step_run_id=attempt.step_run_id)
    await record.journal.step_started(record.id, attempt, inputs={})
    await asyncio.gather(
        record.journal.logged(record.id, [line] * 3), record.journal.step_finished(record.id, attempt, COMPLETED)
    )
    assert len(transactions) == 1
    assert len(await record.rows(ExecutionLog)) == 3


async def test_a_refused_write_fails_its_caller_alone(record: Record, transactions: list[UUID]) -> None:
    ended = light("s1")
    await whole(record, ended)
    before = len(transactions)
    writes = [whole(record, light(f"s{number}")) for number in range(2, 8)]
    writes.insert(3, record.journal.step_finished(record.id, ended, COMPLETED))
    results = await asyncio.gather(*writes, return_exceptions=True)
    assert [type(each) for each in results if each is not None] == [IllegalMove]
    assert isinstance(results[3], IllegalMove)
    assert len(transactions) - before <= 2
    assert (await record.execution()).steps_completed == 7


async def test_a_write_that_the_database_refuses_fails_its_caller_alone(record: Record) -> None:
    await whole(record, light("s1"))
    double = StepAttempt(step_key="s1", path="s1", attempt=1)
    results = await asyncio.gather(
        whole(record, light("s2")),
        record.journal.step_started(record.id, double, inputs={}),
        whole(record, light("s3")),
        return_exceptions=True,
    )
    assert results[0] is None
    assert results[2] is None
    assert "UniqueViolation" in type(results[1]).__name__
    assert (await record.execution()).steps_completed == 3
    assert await record.numbering() == list(range(1, 9))


async def test_a_light_start_that_is_refused_is_told_at_its_end(record: Record) -> None:
    attempt = light("s1")
    await record.journal.run_finished(record.id, RunOutcome(status=ExecutionStatus.CANCELLED))
    await record.journal.step_started(record.id, attempt, inputs={})
    with pytest.raises(IllegalMove):
        await record.journal.step_finished(record.id, attempt, COMPLETED)
    assert await record.rows(StepRun) == []


async def test_a_caller_that_is_cancelled_leaves_nothing_that_was_not_begun(record: Record) -> None:
    async with tenant_scope(record.sessions, record.tenant_id) as scope:
        locking = text("select 1 from executions where id = :id for update")
        await scope.session.execute(locking, {"id": record.id})
        first = asyncio.create_task(whole(record, an_attempt("s1")))
        await asyncio.sleep(0.2)
        second = asyncio.create_task(whole(record, an_attempt("s2")))
        await asyncio.sleep(0.05)
        second.cancel()
        await asyncio.gather(second, return_exceptions=True)
    await first
    assert [step.path for step in await record.rows(StepRun)] == ["s1"]


async def test_a_connection_that_breaks_in_the_middle_loses_and_doubles_nothing(
    record: Record, database_url: str
) -> None:
    async def breaking() -> None:
        async with await AsyncConnection.connect(database_url, autocommit=True) as connection:
            for _ in range(8):
                await asyncio.sleep(0.05)
                await connection.execute(
                    "select pg_terminate_backend(pid) from pg_stat_activity"
                    " where datname = current_database() and application_name = 'tests' and pid <> pg_backend_pid()"
                )

    async def steps(lane: int) -> None:
        for number in range(25):
            await whole(record, light(f"each[{number}].l{lane}"))

    await asyncio.gather(breaking(), *(steps(lane) for lane in range(4)))
    assert len(await record.rows(StepRun)) == 100
    assert {step.status for step in await record.rows(StepRun)} == {StepStatus.COMPLETED}
    assert await record.numbering() == list(range(1, 203))


async def test_progress_is_told_now_and_then_and_at_its_end(record: Record) -> None:
    for done in range(1, 101):
        await record.journal.progressed(record.id, "each", done=done, total=100)
    await record.journal.run_finished(record.id, RunOutcome(status=ExecutionStatus.COMPLETED))
    told = [event.payload for event in await record.rows(ExecutionEvent) if event.type == "progress"]
    assert told == [{"path": "each", "done": 1, "total": 100}, {"path": "each", "done": 100, "total": 100}]


class TestSuspension:
    async def test_open_steps_wait_with_their_run_and_go_on_with_it(self, record: Record) -> None:
        attempt = an_attempt("s1")
        await record.journal.step_started(record.id, attempt, inputs={"n": 1})
        begun = (await record.execution()).started_at
        await record.journal.run_suspended(record.id)
        row = await record.execution()
        (step,) = await record.rows(StepRun)
        assert (row.status, step.status) == (ExecutionStatus.PAUSED, StepStatus.PAUSED)
        assert row.suspended_at is not None
        flow_run_id = uuid4()
        await record.journal.run_started(record.id, prefect_flow_run_id=flow_run_id, run_count=2)
        await record.journal.step_started(record.id, attempt, inputs={"n": 2})
        await record.journal.step_finished(record.id, attempt, COMPLETED)
        row = await record.execution()
        (step,) = await record.rows(StepRun)
        assert (row.started_at, row.prefect_flow_run_id, row.prefect_run_count) == (begun, flow_run_id, 2)
        assert row.resumed_at is not None
        assert (step.status, step.input, step.attempt) == (StepStatus.COMPLETED, {"n": 1}, 1)

    async def test_time_that_it_waited_does_not_count(self, record: Record) -> None:
        await asyncio.sleep(0.05)
        await record.journal.run_suspended(record.id)
        first = (await record.execution()).active_ms
        await asyncio.sleep(0.3)
        await record.start()
        await record.journal.run_suspended(record.id)
        assert 50 <= first <= (await record.execution()).active_ms < first + 250

    async def test_only_what_runs_is_suspended(self, record: Record) -> None:
        await record.journal.run_suspended(record.id)
        with pytest.raises(IllegalMove):
            await record.journal.run_suspended(record.id)


class TestPast:
    async def past(self, record: Record, *steps: PlanStep) -> Any:
        workflow = PlanWorkflow(id="", name="W", slug="w", version=1, tenant_id="", tenant_slug="t")
        async with tenant_scope(record.sessions, record.tenant_id) as scope:
            return await load_past(scope.session, record.id, Plan(workflow=workflow, steps=steps))

    def plan_step(self, key: str, **fields: Any) -> PlanStep:
        return PlanStep.model_validate({"step_key": key, "name": key, "type": StepType.AGENT, **fields})

    async def end(self, record: Record, key: str, status: StepStatus, number: int = 1, code: str = "X") -> None:
        attempt = an_attempt(key, number)
        await record.journal.step_started(record.id, attempt, inputs={})
        error = None if status is StepStatus.COMPLETED else {"code": code, "message": "x"}
        outcome = StepOutcome(status=status, output={"of": key}, output_ref=None, error=error)
        await record.journal.step_finished(record.id, attempt, outcome)

    async def test_the_newest_attempt_says_how_a_step_stands(self, record: Record) -> None:
        await self.end(record, "s1", StepStatus.FAILED, 1)
        await self.end(record, "s1", StepStatus.COMPLETED, 2)
        opened = an_attempt("s2")
        await record.journal.step_started(record.id, opened, inputs={})
        past = await self.past(record, self.plan_step("s1"), self.plan_step("s2"))
        assert past.finished["s1"].output == {"of": "s1"}
        assert past.open["s2"].step_run_id == opened.step_run_id
        assert past.attempts == {"s1": 2, "s2": 1}

    async def test_what_is_to_be_tried_again_has_not_ended(self, record: Record) -> None:
        retry = {"max_attempts": 2, "retry_on": ["X"]}
        for key, code in (("s1", "X"), ("s2", "OTHER"), ("s3", "WORKER_LOST")):
            await self.end(record, key, StepStatus.FAILED, code=code)
        await self.end(record, "s4", StepStatus.CANCELLED)
        steps = [self.plan_step(key, retry=retry) for key in ("s1", "s2")]
        past = await self.past(record, *steps, self.plan_step("s3"), self.plan_step("s4"))
        assert set(past.finished) == {"s2"}
        assert past.attempts == {"s1": 1, "s2": 1, "s3": 1, "s4": 1}


class TestNestedRuns:
    @pytest.fixture
    async def plan(self, record: Record) -> Plan:
        async with tenant_scope(record.sessions, record.tenant_id) as scope:
            row = await scope.session.get_one(Execution, record.id)
        tenant = type("Tenant", (), {"id": row.tenant_id})
        workflow = await create_workflow(record.sessions, tenant)  # type: ignore[arg-type]
        named = PlanWorkflow(id=str(workflow.id), name="W", slug="w", version=3, tenant_id="", tenant_slug="t")
        steps = [PlanStep(step_key=key, name=key, type=StepType.AGENT) for key in ("x", "y")]
        return Plan(workflow=named, steps=tuple(steps))

    async def row(self, record: Record, execution_id: UUID) -> Execution:
        return await Record(record.sessions, record.tenant_id, execution_id).execution()

    async def test_it_has_a_record_of_its_own_below_its_step(self, record: Record, plan: Plan) -> None:
        run = await record.journal.child_opened(record.id, an_attempt("each[1].sub"), plan, {"n": 1})
        row = await self.row(record, run.execution_id)
        assert (row.parent_execution_id, row.parent_path, row.depth) == (record.id, "each[1].sub", 1)
        assert (row.status, row.steps_total, row.workflow_version) == (ExecutionStatus.PENDING, 2, 3)
        assert (run.depth, run.inputs, run.past.finished) == (1, {"n": 1}, {})

    async def test_one_that_was_interrupted_is_found_again_with_its_past(self, record: Record, plan: Plan) -> None:
        attempt = an_attempt("sub")
        run = await record.journal.child_opened(record.id, attempt, plan, {})
        child = Record(record.sessions, record.tenant_id, run.execution_id)
        await child.start()
        await whole(child, light("x"))
        await child.journal.run_suspended(child.id)
        again = await record.journal.child_opened(record.id, attempt, plan, {})
        assert again.execution_id == run.execution_id
        assert set(again.past.finished) == {"x"}

    async def test_one_that_has_ended_is_followed_by_another(self, record: Record, plan: Plan) -> None:
        run = await record.journal.child_opened(record.id, an_attempt("sub"), plan, {})
        child = Record(record.sessions, record.tenant_id, run.execution_id)
        await child.start()
        await child.journal.run_finished(child.id, RunOutcome(status=ExecutionStatus.FAILED))
        assert (await record.journal.child_opened(record.id, an_attempt("sub", 2), plan, {})).execution_id != child.id

    @pytest.mark.parametrize(("status", "taken_over"), [("FAILED", {"x"}), ("COMPLETED", set())])
    async def test_in_a_retry_it_goes_on_from_the_run_before(
        self, record: Record, plan: Plan, status: str, taken_over: set[str]
    ) -> None:
        run = await record.journal.child_opened(record.id, an_attempt("sub"), plan, {})
        child = Record(record.sessions, record.tenant_id, run.execution_id)
        await child.start()
        await whole(child, light("x"))
        await child.journal.run_finished(child.id, RunOutcome(status=ExecutionStatus(status)))
        retry = record
        for _ in range(2):
            async with tenant_scope(record.sessions, record.tenant_id) as scope:
                row = Execution(tenant_id=record.tenant_id, plan={"steps": []}, inputs={}, retry_of=retry.id)
                retry = Record(record.sessions, record.tenant_id, (await admit(scope, row)).id)
        again = await retry.journal.child_opened(retry.id, an_attempt("sub"), plan, {})
        assert again.execution_id != child.id
        assert set(again.past.finished) == taken_over
        assert (await self.row(record, again.execution_id)).retry_of == (child.id if taken_over else None)

    async def test_it_ends_with_the_run_around_it(self, record: Record, plan: Plan) -> None:
        run = await record.journal.child_opened(record.id, an_attempt("sub"), plan, {})
        inner = await Journal(record.sessions, record.tenant_id).child_opened(
            run.execution_id, an_attempt("x"), plan, {}
        )
        assert await record.journal.abandoned(record.id, code="WORKER_LOST", message="gone")
        for execution_id in (record.id, run.execution_id, inner.execution_id):
            assert (await self.row(record, execution_id)).status is ExecutionStatus.FAILED
