"""A run whose process has died: what it was doing is done again, what it had done stays, and nobody takes it twice."""

from dataclasses import dataclass
from typing import Any
from uuid import UUID

import httpx
import pytest
from sqlalchemy import select, update
from sqlmodel import col

from agents.result import Usage
from flows.plan import Plan
from flows.runtime.ports import RunOutcome, StepAttempt, StepOutcome, Wait
from flows.spec import WaitKind
from flows.states import Environment, ExecutionStatus, StepStatus
from platform_api.access.scope import system_scope
from platform_api.db.engine import Sessions
from platform_api.db.models import Execution, ExecutionEvent, StepRun
from platform_api.errors import IllegalMove, TakenOver
from platform_api.kit import clock
from platform_api.kit.ids import new_id
from platform_api.resources.executions.claims import Claims
from platform_api.resources.executions.journal import Journal
from platform_api.resources.executions.past import load_past
from platform_api.resources.executions.recovery import MOST_LOSSES, Loss, LostRun, Recovery, find_lost
from tests.factories.api import Api, owner, step
from tests.fakes.orchestrator import FakeOrchestrator

pytestmark = pytest.mark.case(32)

DONE = StepOutcome(status=StepStatus.COMPLETED, output=1)


@dataclass(kw_only=True)
class Begun:
    """A run that a process has begun and left without a word."""

    sessions: Sessions
    orchestrator: FakeOrchestrator
    run: LostRun
    journal: Journal
    taken_over: list[bool]

    @property
    def id(self) -> UUID:
        return self.run.execution_id

    async def recover(self, *, died: bool = True) -> Loss:
        return await Recovery(sessions=self.sessions, orchestrator=self.orchestrator).recover(self.run, died=died)

    async def take_up(self) -> Journal:
        journal = Journal(self.sessions, self.run.tenant_id)
        await journal.run_started(self.id, prefect_flow_run_id=self.run.flow_run_id, run_count=2)
        return journal

    async def row(self, execution_id: UUID | None = None) -> Execution:
        async with system_scope(self.sessions) as scope:
            return await scope.session.get_one(Execution, execution_id or self.id)

    async def steps(self, execution_id: UUID | None = None) -> dict[tuple[str, int], StepRun]:
        async with system_scope(self.sessions) as scope:
            mine = select(StepRun).where(col(StepRun.execution_id) == (execution_id or self.id))
            return {(row.path, row.attempt): row for row in await scope.session.scalars(mine)}


async def begun(
    api: Api, orchestrator: FakeOrchestrator, sessions: Sessions, *steps: dict[str, Any], **fields: Any
) -> Begun:
    workflow = await api.active_workflow(**({"steps": list(steps)} if steps else {}), **fields)
    execution_id = UUID((await api.made(f"/workflows/{workflow['id']}/execute", {}))["executionId"])
    taken_over: list[bool] = []
    journal = Journal(sessions, api.tenant_id, on_taken_over=lambda: taken_over.append(True))
    flow_run_id = new_id()
    await journal.run_started(execution_id, prefect_flow_run_id=flow_run_id, run_count=1)
    run = LostRun(
        execution_id=execution_id,
        tenant_id=api.tenant_id,
        flow_run_id=flow_run_id,
        environment=Environment.DEVELOPMENT,
    )
    return Begun(sessions=sessions, orchestrator=orchestrator, run=run, journal=journal, taken_over=taken_over)


@pytest.fixture
async def api(client: httpx.AsyncClient) -> Api:
    return await owner(client)


@pytest.fixture
async def chain(api: Api, orchestrator: FakeOrchestrator, sessions: Sessions) -> Begun:
    """`first` is done, `second` is being done."""
    agent = await api.active_agent()
    run = await begun(api, orchestrator, sessions, step("first", agent), step("second", agent, dependsOn=["first"]))
    first = attempt("first")
    await run.journal.step_started(run.id, first, inputs={})
    await run.journal.step_finished(run.id, first, DONE)
    await run.journal.step_started(run.id, attempt("second"), inputs={})
    return run


def attempt(path: str, number: int = 1) -> StepAttempt:
    return StepAttempt(step_key=path.rpartition(".")[2], path=path, attempt=number)


async def past_of(run: Begun) -> Any:
    row = await run.row()
    async with system_scope(run.sessions) as scope:
        return await load_past(scope.session, run.id, Plan.model_validate(row.plan))


async def test_what_was_under_way_is_done_again_and_what_was_done_stays(chain: Begun) -> None:
    assert await chain.recover() is Loss.TAKEN_BACK
    row, steps = await chain.row(), await chain.steps()
    assert (row.status, row.losses, row.suspended_at) == ("PAUSED", 1, None)
    assert (row.steps_completed, row.steps_failed) == (1, 0)
    assert row.active_ms > 0
    lost = steps["second", 1]
    assert (lost.status, lost.error and lost.error["code"]) == ("FAILED", "WORKER_LOST")
    past = await past_of(chain)
    assert (set(past.finished), dict(past.attempts)) == ({"first"}, {"first": 1, "second": 1})
    assert chain.orchestrator.put_back_runs == [chain.run.flow_run_id]


async def test_the_run_goes_on_under_the_same_id_and_ends_well(chain: Begun) -> None:
    await chain.recover()
    journal, again = await chain.take_up(), attempt("second", 2)
    await journal.step_started(chain.id, again, inputs={})
    await journal.step_finished(chain.id, again, DONE)
    await journal.run_finished(chain.id, RunOutcome(status=ExecutionStatus.COMPLETED))
    row = await chain.row()
    assert (row.status, row.steps_completed, row.steps_failed) == ("COMPLETED", 2, 0)
    async with system_scope(chain.sessions) as scope:
        mine = select(col(ExecutionEvent.seq)).where(col(ExecutionEvent.execution_id) == chain.id)
        assert sorted(await scope.session.scalars(mine)) == list(range(1, row.last_seq + 1))


async def test_containers_and_waits_stay_open(api: Api, orchestrator: FakeOrchestrator, sessions: Sessions) -> None:
    agent = await api.active_agent()
    loop = {"items": [1, 2], "steps": [step("inner", agent)]}
    ask = {"stepKey": "ask", "type": "WAIT", "config": {"kind": "approval"}}
    run = await begun(api, orchestrator, sessions, {"stepKey": "each", "type": "LOOP", "config": loop}, ask)
    await run.journal.step_started(run.id, attempt("each"), inputs=None)
    await run.journal.step_started(run.id, attempt("each[0].inner"), inputs={})
    await run.journal.wait_opened(run.id, attempt("ask"), Wait(kind=WaitKind.APPROVAL, opened_at=clock.now()))
    assert await run.recover() is Loss.TAKEN_BACK
    found = {path: row.status for (path, _), row in (await run.steps()).items()}
    assert found == {"each": "PAUSED", "ask": "PAUSED", "each[0].inner": "FAILED"}
    assert set((await past_of(run)).open) == {"each", "ask"}


async def test_nested_runs_come_back_with_the_run_around_them(
    api: Api, orchestrator: FakeOrchestrator, sessions: Sessions
) -> None:
    inner = await api.active_workflow()
    agent = await api.active_agent(type="WORKFLOW", config={"workflowId": inner["id"]})
    run = await begun(api, orchestrator, sessions, step("sub", agent))
    plan = Plan.model_validate((await run.row()).plan)
    sub = attempt("sub")
    await run.journal.step_started(run.id, sub, inputs={})
    child = await run.journal.child_opened(run.id, sub, next(iter(plan.children.values())), {})
    await run.journal.run_started(child.execution_id, prefect_flow_run_id=None, run_count=1)
    await run.journal.step_started(child.execution_id, attempt("load"), inputs={})
    assert await run.recover() is Loss.TAKEN_BACK
    nested = await run.row(child.execution_id)
    assert (nested.status, nested.losses) == ("PAUSED", 1)
    assert (await run.steps(child.execution_id))["load", 1].status == "FAILED"
    assert (await run.steps())["sub", 1].status == "PAUSED"
    journal = await run.take_up()
    again = await journal.child_opened(run.id, sub, child.plan, {})
    assert (again.execution_id, dict(again.past.attempts)) == (child.execution_id, {"load": 1})
    with pytest.raises(TakenOver):
        await run.journal.step_started(child.execution_id, attempt("load", 2), inputs={})


async def test_a_step_that_must_not_be_done_twice_fails_the_run_by_name(chain: Begun) -> None:
    plan = (await chain.row()).plan
    plan["steps"][1]["repeatable"] = False
    await changed(chain, plan=plan)
    assert await chain.recover() is Loss.GIVEN_UP
    row = await chain.row()
    assert (row.status, row.error and row.error["code"]) == ("FAILED", "WORKER_LOST")
    assert row.error is not None
    assert "second" in row.error["message"]
    assert chain.orchestrator.ends == {chain.run.flow_run_id: "FAILED"}
    assert chain.orchestrator.put_back_runs == []


async def test_what_kills_its_worker_again_and_again_is_given_up(chain: Begun) -> None:
    for number in range(MOST_LOSSES):
        assert await chain.recover() is Loss.TAKEN_BACK
        journal = await chain.take_up()
        await journal.step_started(chain.id, attempt("second", number + 2), inputs={})
    assert await chain.recover() is Loss.GIVEN_UP
    row = await chain.row()
    assert (row.status, row.error and row.error["code"]) == ("FAILED", "WORKER_LOST")


async def test_a_worker_that_was_asked_to_stop_is_no_loss(chain: Begun) -> None:
    for number in range(MOST_LOSSES + 2):
        assert await chain.recover(died=False) is Loss.TAKEN_BACK
        journal = await chain.take_up()
        await journal.step_started(chain.id, attempt("second", number + 2), inputs={})
    assert (await chain.row()).losses == 0


async def test_a_plan_that_cannot_be_read_fails_the_run(chain: Begun) -> None:
    await changed(chain, plan={"format": 1, "steps": [{"stepKey": "first"}]})
    assert await chain.recover() is Loss.GIVEN_UP
    row = await chain.row()
    assert row.error is not None
    assert "can no longer be read" in row.error["message"]


async def test_a_run_whose_cancel_was_asked_for_is_cancelled(chain: Begun) -> None:
    await changed(chain, cancel_requested_at=clock.now())
    assert await chain.recover() is Loss.GIVEN_UP
    assert (await chain.row()).status == "CANCELLED"
    assert chain.orchestrator.ends == {chain.run.flow_run_id: "CANCELLED"}


async def test_a_run_that_somebody_claims_is_left_alone(chain: Begun, database_url: str) -> None:
    claims = Claims(database_url)
    async with claims.holding(chain.id), claims.holding(chain.id):
        pass
    async with claims.holding(chain.id):
        async with claims.holding(chain.id):
            pass
        assert await chain.recover() is Loss.DRIVEN
    assert (await chain.row()).status == "RUNNING"
    assert await chain.recover() is Loss.TAKEN_BACK
    await claims.aclose()


async def test_of_several_that_find_it_lost_one_hands_it_over(chain: Begun) -> None:
    assert [await chain.recover() for _ in range(3)] == [Loss.TAKEN_BACK, Loss.RESTING, Loss.RESTING]
    assert len(chain.orchestrator.put_back_runs) == 1
    assert (await chain.row()).losses == 1


async def test_a_process_that_was_thought_dead_writes_no_more_and_hears_of_it(chain: Begun) -> None:
    await chain.recover()
    await chain.take_up()
    for late in (
        chain.journal.step_started(chain.id, attempt("second", 2), inputs={}),
        chain.journal.step_finished(chain.id, attempt("second"), DONE),
        chain.journal.run_finished(chain.id, RunOutcome(status=ExecutionStatus.FAILED)),
    ):
        with pytest.raises(IllegalMove):
            await late
    assert chain.taken_over
    assert (await chain.row()).status == "RUNNING"


async def test_what_had_ended_is_said_to_prefect_and_left_as_it_is(chain: Begun) -> None:
    await chain.journal.run_finished(chain.id, RunOutcome(status=ExecutionStatus.TIMEOUT))
    assert await chain.recover() is Loss.ENDED
    assert chain.orchestrator.ends == {chain.run.flow_run_id: "TIMEOUT"}


async def test_prefect_may_be_away(chain: Begun) -> None:
    chain.orchestrator.available = False
    assert await chain.recover() is Loss.TAKEN_BACK
    assert (await chain.row()).status == "PAUSED"


async def test_usage_of_before_still_counts(chain: Begun) -> None:
    spent = attempt("spent")
    await chain.journal.step_started(chain.id, spent, inputs={})
    used = StepOutcome(status=StepStatus.COMPLETED, usage=Usage(prompt_tokens=7))
    await chain.journal.step_finished(chain.id, spent, used)
    await chain.recover()
    assert (await chain.row()).prompt_tokens == 7


async def test_a_flow_run_leads_to_its_execution(chain: Begun) -> None:
    assert chain.run.flow_run_id is not None
    async with system_scope(chain.sessions) as scope:
        assert await find_lost(scope.session, chain.run.flow_run_id) == chain.run
        assert await find_lost(scope.session, new_id()) is None


async def changed(run: Begun, **values: Any) -> None:
    async with system_scope(run.sessions) as scope:
        await scope.session.execute(update(Execution).where(col(Execution.id) == run.id).values(**values))
