"""What calls of models had used when their process died: on record of step and run, and paid by the project, once."""

from decimal import Decimal
from uuid import UUID

import httpx
import pytest

from agents.calls import Call, CallKind, CallStatus
from agents.result import Usage
from flows.plan import Plan
from flows.runtime.ports import RunOutcome, StepOutcome
from flows.states import ExecutionStatus, StepStatus
from platform_api.db.engine import Sessions
from platform_api.errors import IllegalMove
from platform_api.kit import clock
from platform_api.resources.budgets.ledger import NOTHING
from platform_api.resources.executions.recovery import MOST_LOSSES, Loss
from tests.factories.api import Api, owner, step
from tests.factories.budgets import budget_of, charged
from tests.fakes.orchestrator import FakeOrchestrator
from tests.platform_api.resources.executions.test_recovery import Begun, attempt, begun

pytestmark = pytest.mark.case(32)


@pytest.fixture
async def api(client: httpx.AsyncClient) -> Api:
    return await owner(client)


def a_call(prompt: int, completion: int, cost: str | None, status: CallStatus = CallStatus.RUNNING) -> Call:
    return Call(
        kind=CallKind.MODEL,
        status=status,
        number=1,
        agent_id="a",
        started_at=clock.now(),
        provider="gateway",
        model="m",
        prompt_tokens=prompt,
        completion_tokens=completion,
        cost=None if cost is None else Decimal(cost),
        is_estimate=True,
    )


async def a_project(api: Api) -> str:
    return str((await api.made("/projects", {"name": "P", "budget": {"maxTokens": 10_000}}))["project"]["id"])


async def asking(api: Api, orchestrator: FakeOrchestrator, sessions: Sessions, *calls: Call) -> tuple[Begun, UUID]:
    """A run in a project that is in the middle of such calls, of which its process had charged 30 tokens."""
    project = await a_project(api)
    agent = await api.active_agent(projectId=project)
    run = await begun(api, orchestrator, sessions, step("ask", agent), projectId=project)
    await ask(run, *calls)
    await spend(run, UUID(project))
    return run, UUID(project)


async def ask(run: Begun, *calls: Call, number: int = 1) -> None:
    made = attempt("ask", number)
    await run.journal.step_started(run.id, made, inputs={})
    await run.journal.calls_noted(run.id, made, calls)


async def spend(run: Begun, project: UUID) -> None:
    """As the process does until it dies: it never closes what it has open."""
    budget = budget_of(run.sessions, run.run.tenant_id, project, run.id)
    await budget.ask(Usage(prompt_tokens=20, completion_tokens=1), Usage(prompt_tokens=20, completion_tokens=4096))
    budget.tell(Usage(prompt_tokens=20, completion_tokens=10, cost=Decimal("0.01")))
    async with budget._turn:
        await budget._settle(budget._holds.of_all())
    budget._unsettled = NOTHING


async def test_what_was_noted_of_a_call_is_recorded_and_the_rest_of_it_charged(
    api: Api, orchestrator: FakeOrchestrator, sessions: Sessions
) -> None:
    done = a_call(100, 50, "0.2", CallStatus.COMPLETED)
    run, project = await asking(api, orchestrator, sessions, done, a_call(20, 30, "0.05"))
    assert (await charged(sessions, api.tenant_id, project)).amount.tokens == 30
    assert await run.recover() is Loss.TAKEN_BACK
    lost = (await run.steps())["ask", 1]
    assert [call["status"] for call in lost.calls] == ["COMPLETED", "LOST"]
    assert (lost.prompt_tokens, lost.completion_tokens, lost.cost) == (120, 80, Decimal("0.25"))
    row = await run.row()
    assert (row.prompt_tokens, row.completion_tokens, row.cost) == (120, 80, Decimal("0.25"))
    paid = await charged(sessions, api.tenant_id, project)
    assert (paid.prompt_tokens, paid.completion_tokens, paid.cost) == (120, 80, Decimal("0.25"))
    found = (await api.get(f"/projects/{project}/usage")).json()["data"]
    assert (found["reservedTokens"], found["totalCost"]) == (0, 0.25), "nothing is set aside for it any more"


async def test_each_loss_is_charged_once_also_when_the_run_is_given_up(
    api: Api, orchestrator: FakeOrchestrator, sessions: Sessions
) -> None:
    run, project = await asking(api, orchestrator, sessions, a_call(20, 30, "0.05"))
    for number in range(MOST_LOSSES):
        assert await run.recover() is Loss.TAKEN_BACK
        run.journal = await run.take_up()
        await ask(run, a_call(20, 30, "0.05"), number=number + 2)
    assert await run.recover() is Loss.GIVEN_UP
    row, paid = await run.row(), await charged(sessions, api.tenant_id, project)
    times = MOST_LOSSES + 1
    assert (row.prompt_tokens, row.completion_tokens, row.cost) == (20 * times, 30 * times, Decimal("0.05") * times)
    assert (paid.prompt_tokens, paid.completion_tokens, paid.cost) == (
        row.prompt_tokens,
        row.completion_tokens,
        row.cost,
    )


async def test_what_was_charged_is_not_given_back(api: Api, orchestrator: FakeOrchestrator, sessions: Sessions) -> None:
    """A process charges four times a second and notes its calls once."""
    run, project = await asking(api, orchestrator, sessions, a_call(20, 2, "0.001"))
    await run.recover()
    paid = await charged(sessions, api.tenant_id, project)
    assert (paid.prompt_tokens, paid.completion_tokens, paid.cost) == (20, 10, Decimal("0.01"))


async def test_an_unknown_price_stays_unknown(api: Api, orchestrator: FakeOrchestrator, sessions: Sessions) -> None:
    run, project = await asking(api, orchestrator, sessions, a_call(20, 30, None))
    await run.recover()
    assert (await run.row()).cost is None
    paid = await charged(sessions, api.tenant_id, project)
    assert (paid.completion_tokens, paid.unpriced_tokens, paid.cost) == (30, 20, Decimal("0.01"))


async def test_a_nested_runs_losses_are_paid_by_the_project_around_it(
    api: Api, orchestrator: FakeOrchestrator, sessions: Sessions
) -> None:
    """Given up, they are in the record of the step that ran it too."""
    project = await a_project(api)
    inner = await api.active_workflow(projectId=project)
    agent = await api.active_agent(type="WORKFLOW", config={"workflowId": inner["id"]}, projectId=project)
    run = await begun(api, orchestrator, sessions, step("sub", agent), projectId=project)
    sub, load = attempt("sub"), attempt("load")
    plan = Plan.model_validate((await run.row()).plan)
    await run.journal.step_started(run.id, sub, inputs={})
    child = await run.journal.child_opened(run.id, sub, next(iter(plan.children.values())), {})
    await run.journal.run_started(child.execution_id, prefect_flow_run_id=None, run_count=1)
    await run.journal.step_started(child.execution_id, load, inputs={})
    await run.journal.calls_noted(child.execution_id, load, [a_call(20, 30, "0.05")])
    assert await run.recover() is Loss.TAKEN_BACK
    paid = await charged(sessions, api.tenant_id, UUID(project))
    assert (paid.prompt_tokens, paid.completion_tokens, paid.cost) == (20, 30, Decimal("0.05"))
    journal = await run.take_up()
    await journal.abandoned(run.id, code="WORKER_LOST", message="gone")
    assert ((await run.row()).prompt_tokens, (await run.steps())["sub", 1].prompt_tokens) == (20, 20)
    assert (await charged(sessions, api.tenant_id, UUID(project))).prompt_tokens == 20


async def test_a_call_is_noted_of_a_step_that_runs(
    api: Api, orchestrator: FakeOrchestrator, sessions: Sessions
) -> None:
    """What it says itself at its end goes before what was noted."""
    run, _ = await asking(api, orchestrator, sessions)
    made = attempt("other")
    with pytest.raises(IllegalMove):
        await run.journal.calls_noted(run.id, made, [])
    await run.journal.step_started(run.id, made, inputs={})
    await run.journal.calls_noted(run.id, made, [a_call(1, 1, "1")])
    call = a_call(5, 5, "0.5", CallStatus.COMPLETED)
    await run.journal.step_finished(
        run.id, made, StepOutcome(status=StepStatus.COMPLETED, usage=call.usage, calls=(call,))
    )
    ended = (await run.steps())["other", 1]
    assert ([each["status"] for each in ended.calls], ended.prompt_tokens) == (["COMPLETED"], 5)
    await run.journal.run_finished(run.id, RunOutcome(status=ExecutionStatus.COMPLETED))
    (shown,) = (
        each for each in (await api.get(f"/executions/{run.id}/steps")).json()["data"] if each["stepKey"] == "other"
    )
    (call_shown,) = shown["calls"]
    assert (call_shown["provider"], call_shown["cost"], call_shown["isEstimate"]) == ("gateway", 0.5, True)
    assert (call_shown["kind"], call_shown["status"], call_shown["tool"]) == ("MODEL", "COMPLETED", None)
