"""`POST /executions/{id}/cancel` in every state, and what sees a cancel through."""

import asyncio
import random
from datetime import timedelta
from typing import Any
from uuid import UUID, uuid4

import httpx
import pytest
from psycopg import AsyncConnection
from sqlalchemy import select, update
from sqlmodel import col

from flows.orchestrator import RunState
from flows.plan import Plan
from flows.runtime.ports import Run, RunOutcome, StepAttempt, StepOutcome, Wait
from flows.spec import WaitKind
from flows.states import ExecutionStatus, StepStatus, is_final
from platform_api.access.scope import system_scope, tenant_scope
from platform_api.db.engine import Sessions
from platform_api.db.models import AuditLog, Execution, ExecutionEvent, StepRun, StepWait
from platform_api.errors import IllegalMove
from platform_api.kit import clock
from platform_api.resources.executions.cancel_sweep import CancelSweep, PrefectCancels
from platform_api.resources.executions.journal import CANCEL_CHANNEL, Journal
from tests.factories.api import Api, owner, step
from tests.fakes.orchestrator import FakeOrchestrator
from tests.fixtures.http import error_of

DONE = RunOutcome(status=ExecutionStatus.COMPLETED)


class Started:
    """An execution of two steps, moved through its states by hand."""

    def __init__(self, api: Api, sessions: Sessions, execution_id: str) -> None:
        self.api = api
        self.sessions = sessions
        self.id = UUID(execution_id)
        self.journal = Journal(sessions, api.tenant_id)
        self.flow_run_id = uuid4()

    async def begin(self) -> None:
        await self.journal.run_started(self.id, prefect_flow_run_id=self.flow_run_id, run_count=1)

    async def open_step(self, key: str = "one") -> StepAttempt:
        attempt = StepAttempt(step_key=key, path=key, attempt=1)
        await self.journal.step_started(self.id, attempt, inputs={})
        return attempt

    async def wait(self) -> StepAttempt:
        attempt = StepAttempt(step_key="one", path="one", attempt=1)
        wait = Wait(kind=WaitKind.APPROVAL, opened_at=clock.now(), message="Go on?")
        await self.journal.wait_opened(self.id, attempt, wait)
        await self.journal.run_suspended(self.id)
        return attempt

    async def child(self) -> Run:
        """A nested run, begun and suspended with its parent."""
        plan = Plan.model_validate((await self.row()).plan)
        run = await self.journal.child_opened(self.id, await self.open_step("two"), plan, {})
        await self.journal.run_started(run.execution_id, prefect_flow_run_id=uuid4(), run_count=1)
        return run

    async def cancel(self) -> httpx.Response:
        return await self.api.post(f"/executions/{self.id}/cancel")

    async def row(self, execution_id: UUID | None = None) -> Execution:
        async with tenant_scope(self.sessions, self.api.tenant_id) as scope:
            return await scope.session.get_one(Execution, execution_id or self.id)

    async def rows(self, model: Any) -> list[Any]:
        async with tenant_scope(self.sessions, self.api.tenant_id) as scope:
            return list(await scope.session.scalars(select(model).where(model.execution_id == self.id)))

    async def ends(self) -> list[str]:
        """The final statuses that its events tell."""
        told = [each.payload["status"] for each in await self.rows(ExecutionEvent) if each.type == "execution.status"]
        return [status for status in told if is_final(ExecutionStatus(status))]


@pytest.fixture
async def run(client: httpx.AsyncClient, sessions: Sessions) -> Started:
    api = await owner(client)
    agent = await api.active_agent()
    workflow = await api.active_workflow(steps=[step("one", agent), step("two", agent, dependsOn=["one"])])
    started = await api.made(f"/workflows/{workflow['id']}/execute", {})
    return Started(api, sessions, started["executionId"])


async def test_what_has_not_started_ends_at_once(run: Started, orchestrator: FakeOrchestrator) -> None:
    answer = await run.cancel()
    assert answer.status_code == 202
    assert answer.json()["data"]["status"] == "CANCELLED"
    assert answer.json()["data"]["cancelRequestedAt"] is not None
    row = await run.row()
    assert (row.status, row.error) == (
        ExecutionStatus.CANCELLED,
        {"code": "CANCELLED", "message": "The run was cancelled"},
    )
    assert row.steps_skipped == row.steps_total == 2
    assert orchestrator.cancelled == [row.prefect_flow_run_id]
    with pytest.raises(IllegalMove):
        await run.begin()


async def test_a_waiting_run_ends_with_its_waits_and_what_is_nested_in_it(
    run: Started, orchestrator: FakeOrchestrator
) -> None:
    await run.begin()
    child = await run.child()
    await run.journal.run_suspended(child.execution_id)
    await run.wait()
    assert (await run.cancel()).json()["data"]["status"] == "CANCELLED"
    nested = await run.row(child.execution_id)
    assert (nested.status, nested.parent_execution_id) == (ExecutionStatus.CANCELLED, run.id)
    assert {each.status for each in await run.rows(StepRun)} == {StepStatus.CANCELLED}
    assert [each.closed_at is None for each in await run.rows(StepWait)] == [False]
    assert set(orchestrator.cancelled) == {run.flow_run_id, nested.prefect_flow_run_id}


async def test_of_a_run_that_is_going_on_its_process_is_told(
    run: Started, orchestrator: FakeOrchestrator, database_url: str
) -> None:
    await run.begin()
    await run.open_step()
    async with await AsyncConnection.connect(database_url, autocommit=True) as connection:
        await connection.execute(f"listen {CANCEL_CHANNEL}")
        assert (await run.cancel()).json()["data"]["status"] == "RUNNING"
        heard = [notice.payload async for notice in connection.notifies(timeout=10, stop_after=1)]
    assert heard == [str(run.flow_run_id)]
    assert orchestrator.cancelling == [run.flow_run_id]
    first = (await run.row()).cancel_requested_at
    again = await run.cancel()
    assert (again.status_code, (await run.row()).cancel_requested_at) == (202, first)
    await run.journal.run_finished(run.id, RunOutcome(status=ExecutionStatus.CANCELLED, error={"code": "CANCELLED"}))
    late = await run.cancel()
    error_of(late, 409, "INVALID_STATE")
    assert await run.ends() == ["CANCELLED"]


@pytest.mark.parametrize("status", ["COMPLETED", "FAILED", "CANCELLED", "TIMEOUT"])
async def test_what_is_over_is_not_cancelled(run: Started, status: str, orchestrator: FakeOrchestrator) -> None:
    await run.begin()
    await run.journal.run_finished(run.id, RunOutcome(status=ExecutionStatus(status)))
    answer = await run.cancel()
    assert status in error_of(answer, 409, "INVALID_STATE")["message"]
    assert (await run.row()).cancel_requested_at is None
    assert orchestrator.cancelling == orchestrator.cancelled == []


async def test_a_nested_run_ends_with_the_run_around_it_alone(run: Started) -> None:
    await run.begin()
    child = await run.child()
    answer = await run.api.post(f"/executions/{child.execution_id}/cancel")
    assert str(run.id) in error_of(answer, 409, "INVALID_STATE")["message"]


async def test_prefect_may_be_away(run: Started, orchestrator: FakeOrchestrator) -> None:
    orchestrator.available = False
    assert (await run.cancel()).status_code == 202
    assert (await run.row()).status is ExecutionStatus.CANCELLED


async def test_a_cancel_is_audited_once(run: Started) -> None:
    await run.begin()
    await run.cancel()
    async with tenant_scope(run.sessions, run.api.tenant_id) as scope:
        mine = (col(AuditLog.resource_id) == run.id, col(AuditLog.action) == "execution.cancel")
        (entry,) = await scope.session.scalars(select(AuditLog).where(*mine))
    assert entry.user_id == run.api.user_id
    assert entry.before["cancelRequestedAt"] is None
    assert entry.after["cancelRequestedAt"] is not None


@pytest.mark.case(37)
@pytest.mark.parametrize("seed", range(12))
async def test_whatever_meets_whatever_a_run_ends_once(run: Started, seed: int) -> None:
    """Case 37: cancels at any moment of a run that ends, waits or is lost; one final status, nothing left open."""
    chance = random.Random(seed)

    async def soon(call: Any) -> None:
        await asyncio.sleep(chance.random() * 0.03)
        try:
            await call()
        except IllegalMove:
            return

    async def life() -> None:
        await run.begin()
        attempt = await run.open_step()
        await run.journal.step_finished(run.id, attempt, StepOutcome(status=StepStatus.COMPLETED, output=1))
        if chance.random() < 0.5:
            await run.journal.run_suspended(run.id)
            await run.begin()
        await run.journal.run_finished(run.id, DONE)

    answers: list[httpx.Response] = []

    async def cancel() -> None:
        answers.append(await run.cancel())

    async def lose() -> None:
        await run.journal.abandoned(run.id, code="WORKER_LOST", message="gone")

    others = chance.sample([cancel, lose, cancel], k=chance.randint(0, 3))
    await asyncio.gather(soon(life), soon(cancel), *map(soon, others))
    row = await run.row()
    if row.status is ExecutionStatus.RUNNING:
        assert row.cancel_requested_at is not None
        await run.journal.run_finished(run.id, RunOutcome(status=ExecutionStatus.CANCELLED))
    elif not is_final(row.status):
        assert await CancelSweep(run.sessions).sweep() >= 1
    row = await run.row()
    assert is_final(row.status)
    assert await run.ends() == [row.status.value]
    assert {each.status_code for each in answers} <= {202, 409}
    assert all(each.status not in (StepStatus.RUNNING, StepStatus.PAUSED) for each in await run.rows(StepRun))
    numbers = [each.seq for each in await run.rows(ExecutionEvent)]
    assert sorted(numbers) == list(range(1, row.last_seq + 1))


class TestSweep:
    async def request(self, run: Started, ago: timedelta) -> None:
        async with tenant_scope(run.sessions, run.api.tenant_id) as scope:
            values = {"cancel_requested_at": clock.now() - ago}
            await scope.session.execute(update(Execution).where(col(Execution.id) == run.id).values(**values))

    async def test_a_run_that_was_just_being_suspended_ends(self, run: Started) -> None:
        await run.begin()
        await self.request(run, timedelta(seconds=0.1))
        await run.wait()
        assert await CancelSweep(run.sessions).sweep() >= 1
        assert (await run.row()).status is ExecutionStatus.CANCELLED

    async def test_a_run_that_nobody_drives_ends_after_a_while(self, run: Started) -> None:
        await run.begin()
        await self.request(run, timedelta(seconds=2))
        await CancelSweep(run.sessions).sweep()
        assert (await run.row()).status is ExecutionStatus.RUNNING
        await self.request(run, timedelta(seconds=5))
        await CancelSweep(run.sessions).sweep()
        assert (await run.row()).status is ExecutionStatus.CANCELLED

    async def test_what_was_not_heard_is_told_again(self, run: Started, database_url: str) -> None:
        await run.begin()
        await self.request(run, timedelta(seconds=2))
        async with await AsyncConnection.connect(database_url, autocommit=True) as connection:
            await connection.execute(f"listen {CANCEL_CHANNEL}")
            await CancelSweep(run.sessions).sweep()
            heard = {notice.payload async for notice in connection.notifies(timeout=2)}
        assert str(run.flow_run_id) in heard

    async def test_a_lost_run_whose_end_was_asked_for_is_cancelled_not_failed(self, run: Started) -> None:
        await run.begin()
        await run.open_step()
        await run.cancel()
        await run.journal.abandoned(run.id, code="WORKER_LOST", message="gone")
        row = await run.row()
        assert (row.status, row.error and row.error["code"]) == (ExecutionStatus.CANCELLED, "CANCELLED")


class TestCancelsInPrefect:
    """Somebody cancels a run in Prefect's UI that no process holds."""

    @pytest.fixture
    def cancels(self, run: Started, orchestrator: FakeOrchestrator) -> PrefectCancels:
        return PrefectCancels(run.sessions, orchestrator)

    def prefect_has(self, run: Started, orchestrator: FakeOrchestrator, ago: timedelta = timedelta(0)) -> None:
        state = RunState(type="CANCELLED", since=clock.now() - ago)
        orchestrator.run_states[run.flow_run_id] = state

    async def test_one_round_ends_a_run_that_waits(
        self, run: Started, orchestrator: FakeOrchestrator, cancels: PrefectCancels
    ) -> None:
        await run.begin()
        await run.wait()
        await cancels.look()
        assert (await run.row()).status is ExecutionStatus.PAUSED
        self.prefect_has(run, orchestrator, ago=timedelta(seconds=3))
        assert await cancels.look() == 1
        row = await run.row()
        assert (row.status, (row.error or {})["message"]) == ("CANCELLED", "The run was cancelled in Prefect")
        assert [wait.closed_at is not None for wait in await run.rows(StepWait)] == [True]
        assert await cancels.look() == 0

    async def test_what_was_cancelled_before_the_worker_started_is_found(
        self, run: Started, orchestrator: FakeOrchestrator, cancels: PrefectCancels
    ) -> None:
        await run.begin()
        await run.wait()
        self.prefect_has(run, orchestrator, ago=timedelta(minutes=50))
        assert await cancels.look() == 1

    async def test_the_process_of_one_that_runs_is_told(
        self, run: Started, orchestrator: FakeOrchestrator, cancels: PrefectCancels
    ) -> None:
        await run.begin()
        self.prefect_has(run, orchestrator)
        await cancels.look()
        row = await run.row()
        assert (row.status, row.cancel_requested_at is not None) == (ExecutionStatus.RUNNING, True)

    async def test_a_prefect_that_is_away_is_asked_again(
        self, run: Started, orchestrator: FakeOrchestrator, cancels: PrefectCancels
    ) -> None:
        await run.begin()
        await run.wait()
        self.prefect_has(run, orchestrator, ago=timedelta(minutes=50))
        orchestrator.available = False
        assert await cancels.look() == 0
        orchestrator.available = True
        assert await cancels.look() == 1

    async def test_nothing_is_asked_while_nothing_is_open(
        self, run: Started, orchestrator: FakeOrchestrator, cancels: PrefectCancels
    ) -> None:
        await run.begin()
        await run.journal.run_finished(run.id, DONE)
        async with system_scope(run.sessions) as scope:  # the database is shared with other tests
            still_open = col(Execution.status).in_(("PENDING", "RUNNING", "PAUSED"))
            await scope.session.execute(update(Execution).where(still_open).values(prefect_flow_run_id=None))
        await cancels.look()
        assert orchestrator.asked_for_cancels == 0
