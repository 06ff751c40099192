"""The time of something inside a suspended run is over: the run is woken for it, and nothing in it stays open."""

from datetime import timedelta
from uuid import UUID, uuid4

import httpx
import pytest
from sqlalchemy import select
from sqlmodel import col

from flows.plan import Plan
from flows.runtime.ports import StepAttempt
from flows.states import ExecutionStatus, StepStatus
from platform_api.access.scope import system_scope
from platform_api.db.engine import Sessions
from platform_api.db.models import Execution, StepRun
from platform_api.kit import clock
from platform_api.resources.executions.past import load_past
from platform_api.resources.executions.timekeeper import Timekeeper
from tests.factories.api import owner
from tests.factories.waits import Waiting, a_waiting_run
from tests.fakes.orchestrator import FakeOrchestrator


@pytest.fixture
async def run(client: httpx.AsyncClient, sessions: Sessions, orchestrator: FakeOrchestrator) -> Waiting:
    return await a_waiting_run(await owner(client), sessions, orchestrator)


async def opens_step(run: Waiting, path: str) -> StepAttempt:
    attempt = StepAttempt(step_key=path.rpartition(".")[2], path=path, attempt=1)
    await run.journal.step_started(run.execution_id, attempt, inputs={})
    return attempt


async def plan_of(run: Waiting) -> Plan:
    return Plan.model_validate((await run.row()).plan)


async def statuses(run: Waiting) -> dict[str, StepStatus]:
    async with system_scope(run.sessions) as scope:
        mine = select(StepRun).where(col(StepRun.execution_id) == run.execution_id)
        return {row.path: row.status for row in await scope.session.scalars(mine)}


async def status_of(run: Waiting, execution_id: UUID) -> ExecutionStatus:
    async with system_scope(run.sessions) as scope:
        return (await scope.session.get_one(Execution, execution_id)).status


async def test_a_run_is_woken_when_something_in_it_is_out_of_time(run: Waiting) -> None:
    await run.opens("box[0].ask")
    due = clock.now() + timedelta(minutes=1)
    await run.journal.run_suspended(run.execution_id, wake_at=due)
    run.prefect_has("PAUSED")
    timekeeper = Timekeeper(run.sessions, run.orchestrator)
    await timekeeper.tick()
    assert run.flow_run_id not in run.orchestrator.resumed
    with clock.freeze(due):
        await timekeeper.tick()
    assert run.flow_run_id in run.orchestrator.resumed


async def test_the_next_suspension_says_anew_when(run: Waiting) -> None:
    await run.journal.run_suspended(run.execution_id, wake_at=clock.now())
    await run.journal.run_started(run.execution_id, prefect_flow_run_id=run.flow_run_id, run_count=1)
    await run.journal.run_suspended(run.execution_id)
    assert (await run.row()).wake_at is None


async def test_what_takes_a_run_up_is_told_when_open_records_began(run: Waiting) -> None:
    await opens_step(run, "box")
    await run.suspends()
    async with system_scope(run.sessions) as scope:
        begun_at = await scope.session.scalar(
            select(col(StepRun.started_at)).where(col(StepRun.execution_id) == run.execution_id)
        )
        past = await load_past(scope.session, run.execution_id, await plan_of(run))
    assert begun_at is not None
    assert past.open["box"].begun_at == begun_at


async def test_nothing_stays_open_inside_a_step_that_is_over(run: Waiting) -> None:
    plan = await plan_of(run)
    for path in ("box", "box2", "box[1].sub"):
        await opens_step(run, path)
    for path in ("box[0].ask", "ask"):
        await run.opens(path)
    sub = StepAttempt(step_key="sub", path="box[1].sub", attempt=1)
    inside = await run.journal.child_opened(run.execution_id, sub, plan, {})
    await run.journal.run_started(inside.execution_id, prefect_flow_run_id=uuid4(), run_count=1)
    beside = StepAttempt(step_key="box2", path="box2", attempt=1)
    outside = await run.journal.child_opened(run.execution_id, beside, plan, {})
    await run.journal.inside_closed(run.execution_id, "box", reason="its time was over")
    assert await statuses(run) == {
        "box": StepStatus.RUNNING,
        "box2": StepStatus.RUNNING,
        "box[1].sub": StepStatus.CANCELLED,
        "box[0].ask": StepStatus.CANCELLED,
        "ask": StepStatus.PAUSED,
    }
    assert {path: wait.closed_at is None for path, wait in (await run.waits()).items()} == {
        "box[0].ask": False,
        "ask": True,
    }
    assert await status_of(run, inside.execution_id) is ExecutionStatus.CANCELLED
    assert await status_of(run, outside.execution_id) is ExecutionStatus.PENDING
