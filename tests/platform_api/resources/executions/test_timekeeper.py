"""Suspended runs come back when their wait is over, was answered, or is none; each as Prefect has it."""

from datetime import timedelta
from uuid import UUID

import httpx
import pytest
from sqlalchemy import text, update
from sqlmodel import col

from flows.orchestrator import RunState
from flows.runtime.ports import RunOutcome
from flows.states import ExecutionStatus
from platform_api.access.scope import system_scope
from platform_api.db.engine import Sessions
from platform_api.db.models import Execution
from platform_api.kit import clock
from platform_api.resources.executions.claims import Claims
from platform_api.resources.executions.timekeeper import (
    ASKED_FOR,
    LOOK_AROUND,
    SETTLED_AFTER,
    TAKEN_FOR,
    Timekeeper,
)
from platform_api.resources.executions.waits import REST, take_answer
from tests.factories.api import Api, owner
from tests.factories.waits import Waiting, a_waiting_run
from tests.fakes.orchestrator import FakeOrchestrator

_LOCK = text("select pg_advisory_xact_lock(hashtextextended('turbocat-timekeeper', 0))")


@pytest.fixture
async def api(client: httpx.AsyncClient) -> Api:
    return await owner(client)


@pytest.fixture
async def run(api: Api, sessions: Sessions, orchestrator: FakeOrchestrator) -> Waiting:
    return await a_waiting_run(api, sessions, orchestrator)


@pytest.fixture
def timekeeper(sessions: Sessions, orchestrator: FakeOrchestrator) -> Timekeeper:
    return Timekeeper(sessions, orchestrator)


def resumed(run: Waiting) -> int:
    """The database is shared with other tests, whose runs a tick resumes too."""
    return run.orchestrator.resumed.count(run.flow_run_id)


async def answered(run: Waiting, path: str = "ask") -> None:
    """Answered without anybody telling the run."""
    wait = (await run.waits())[path]
    async with system_scope(run.sessions) as scope:
        assert await take_answer(scope.session, wait.id, {"approved": True}, by=None, via=REST)


async def test_a_run_comes_back_when_it_is_due_and_not_before(run: Waiting, timekeeper: Timekeeper) -> None:
    await run.opens("pause", "duration", due_at=clock.now() + timedelta(hours=1))
    await run.suspends()
    await timekeeper.tick()
    assert resumed(run) == 0
    with clock.freeze(clock.now() + timedelta(hours=1, seconds=1)):
        await timekeeper.tick()
        assert resumed(run) == 1
        await timekeeper.tick()
        assert resumed(run) == 1
    with clock.freeze(clock.now() + timedelta(hours=1, seconds=1) + ASKED_FOR):
        await timekeeper.tick()
    assert resumed(run) == 2


async def test_an_answer_that_nobody_was_told_of_is_found(run: Waiting, timekeeper: Timekeeper) -> None:
    await run.opens("ask")
    await run.suspends()
    await answered(run)
    run.orchestrator.available = False
    await timekeeper.tick()
    run.orchestrator.available = True
    await timekeeper.tick()
    assert resumed(run) == 1


async def test_a_run_at_work_is_left_alone(run: Waiting, timekeeper: Timekeeper) -> None:
    await run.opens("ask")
    await answered(run)
    await timekeeper.tick()
    assert resumed(run) == 0


async def test_a_wait_of_a_nested_run_brings_the_outermost_back(
    api: Api, run: Waiting, timekeeper: Timekeeper, sessions: Sessions, orchestrator: FakeOrchestrator
) -> None:
    inner = await a_waiting_run(api, sessions, orchestrator)
    async with system_scope(sessions) as scope:
        child = update(Execution).where(col(Execution.id) == inner.execution_id)
        await scope.session.execute(child.values(parent_execution_id=run.execution_id, prefect_flow_run_id=None))
    await inner.opens("ask")
    question = await run.journal.question(run.execution_id)
    assert question is not None
    assert question.path == "ask"
    await inner.journal.run_suspended(inner.execution_id)
    await run.suspends()
    await answered(inner)
    await timekeeper.tick()
    assert resumed(run) == 1


async def test_a_run_that_waits_for_nothing_goes_on(run: Waiting, timekeeper: Timekeeper) -> None:
    await run.suspends()
    await timekeeper.tick()
    assert resumed(run) == 0
    with clock.freeze(clock.now() + SETTLED_AFTER + LOOK_AROUND):
        await timekeeper.tick()
    assert resumed(run) == 1


async def test_a_run_that_was_cancelled_in_prefect_is_cancelled(run: Waiting, timekeeper: Timekeeper) -> None:
    await run.opens("ask")
    await run.suspends()
    run.prefect_has("CANCELLED")
    for _ in range(100):
        with clock.freeze(clock.now() + LOOK_AROUND):
            await timekeeper.tick()
        if (await run.row()).status is not ExecutionStatus.PAUSED:
            break
        timekeeper = _at_once(timekeeper)
    assert (await run.row()).status is ExecutionStatus.CANCELLED
    assert (await run.waits())["ask"].closed_at is not None


def _at_once(timekeeper: Timekeeper) -> Timekeeper:
    timekeeper._looked_at = None
    return timekeeper


async def test_a_run_that_prefect_has_lost_fails(run: Waiting, timekeeper: Timekeeper) -> None:
    await run.opens("ask")
    await run.suspends()
    await answered(run)
    del run.orchestrator.run_states[run.flow_run_id]
    await timekeeper.tick()
    row = await run.row()
    assert (row.status, (row.error or {})["code"]) == (ExecutionStatus.FAILED, "RUN_DELETED")


@pytest.mark.parametrize(("state", "patience"), [("RUNNING", SETTLED_AFTER), ("PENDING", TAKEN_FOR)])
async def test_a_run_that_never_left_or_never_came_back_is_put_back(
    run: Waiting, timekeeper: Timekeeper, state: str, patience: timedelta
) -> None:
    await run.opens("ask")
    await run.suspends()
    await answered(run)
    run.prefect_has(state)
    await timekeeper.tick()
    assert run.flow_run_id not in run.orchestrator.put_back_runs
    run.prefect_has(state, since=clock.now() - patience)
    await timekeeper.tick()
    assert run.flow_run_id in run.orchestrator.put_back_runs


async def test_a_run_that_is_driven_is_not_put_back(run: Waiting, timekeeper: Timekeeper, database_url: str) -> None:
    await run.opens("ask")
    await run.suspends()
    await answered(run)
    run.prefect_has("RUNNING", since=clock.now() - SETTLED_AFTER)
    claims = Claims(database_url)
    async with claims.holding(run.execution_id):
        await timekeeper.tick()
        assert run.flow_run_id not in run.orchestrator.put_back_runs
    await claims.aclose()


@pytest.mark.case(34)
async def test_a_run_that_ended_since_it_was_found_due_is_not_begun_anew(
    run: Waiting, timekeeper: Timekeeper, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A round on a busy machine takes seconds: what it found at its start may be over when its turn comes."""
    await run.opens("ask")
    await run.suspends()
    await answered(run)

    async def too_late(flow_run_id: UUID) -> RunState:
        if flow_run_id == run.flow_run_id:
            await run.journal.run_started(run.execution_id, prefect_flow_run_id=flow_run_id, run_count=1)
            await run.journal.run_finished(run.execution_id, RunOutcome(status=ExecutionStatus.COMPLETED))
        return RunState(type="COMPLETED", since=clock.now())

    monkeypatch.setattr(run.orchestrator, "resume", too_late)
    await timekeeper.tick()
    assert (await run.row()).status is ExecutionStatus.COMPLETED
    assert run.flow_run_id not in run.orchestrator.put_back_runs


async def test_one_of_several_workers_keeps_time(run: Waiting, timekeeper: Timekeeper) -> None:
    await run.opens("ask")
    await run.suspends()
    await answered(run)
    async with system_scope(run.sessions) as scope:
        await scope.session.execute(_LOCK)
        await timekeeper.tick()
        assert resumed(run) == 0
    await timekeeper.tick()
    assert resumed(run) == 1
