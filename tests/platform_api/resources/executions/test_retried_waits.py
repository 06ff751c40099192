"""A retry asks nobody again who has answered, although the run was stopped before it took the answer up."""

from dataclasses import replace
from typing import Any
from uuid import UUID

import httpx
import pytest

from flows.plan import Plan
from flows.runtime.ports import StepAttempt, StepOutcome
from flows.states import StepStatus
from platform_api.access.scope import system_scope
from platform_api.db.engine import Sessions
from platform_api.resources.executions.past import load_past
from tests.factories.api import Api, owner, step
from tests.factories.waits import Waiting, a_waiting_run
from tests.fakes.orchestrator import FakeOrchestrator

ASK: dict[str, Any] = {"stepKey": "ask", "type": "WAIT", "dependsOn": ["load"], "config": {"kind": "approval"}}


@pytest.fixture
async def api(client: httpx.AsyncClient) -> Api:
    return await owner(client)


@pytest.fixture
async def run(api: Api, sessions: Sessions, orchestrator: FakeOrchestrator) -> Waiting:
    """Suspended with an open question behind a step that has run."""
    workflow = await api.active_workflow(steps=[step("load", await api.active_agent()), ASK])
    run = await a_waiting_run(api, sessions, orchestrator, workflow)
    load = StepAttempt(step_key="load", path="load", attempt=1)
    await run.journal.step_started(run.execution_id, load, inputs={})
    await run.journal.step_finished(run.execution_id, load, StepOutcome(status=StepStatus.COMPLETED, output={}))
    await run.opens("ask", message="Ship?")
    await run.suspends()
    return run


async def cancelled(api: Api, run: Waiting) -> None:
    assert (await api.post(f"/executions/{run.execution_id}/cancel")).status_code == 202


async def retried(api: Api, run: Waiting, **body: Any) -> tuple[Waiting, int]:
    answer = await api.made(f"/executions/{run.execution_id}/retry", body)
    return replace(run, execution_id=UUID(answer["executionId"])), answer["reusedSteps"]


async def answered(api: Api, run: Waiting) -> None:
    body = {"path": "ask", "approved": True, "comment": "fine"}
    assert (await api.post(f"/executions/{run.execution_id}/resume", body)).status_code == 200


async def test_the_answer_is_there_when_the_retry_comes_to_its_wait(api: Api, run: Waiting) -> None:
    await answered(api, run)
    await cancelled(api, run)
    again, reused = await retried(api, run)
    assert reused == 2
    answers = await again.journal.answers(again.execution_id)
    assert (answers["ask"].data, answers["ask"].by) == ({"approved": True, "comment": "fine"}, str(api.user_id))
    async with system_scope(again.sessions) as scope:
        past = await load_past(scope.session, again.execution_id, Plan.model_validate((await again.row()).plan))
    assert (set(past.finished), set(past.open)) == ({"load"}, {"ask"})
    assert (await again.waits())["ask"].step_run_id == past.open["ask"].step_run_id
    assert (await api.get(f"/executions/{again.execution_id}")).json()["data"]["waits"] == []


async def test_it_lasts_through_another_cancel(api: Api, run: Waiting) -> None:
    await answered(api, run)
    await cancelled(api, run)
    again, _ = await retried(api, run)
    await cancelled(api, again)
    third, reused = await retried(api, again)
    assert (reused, set(await third.journal.answers(third.execution_id))) == (2, {"ask"})


async def test_what_nobody_answered_is_asked_again(api: Api, run: Waiting) -> None:
    await cancelled(api, run)
    again, reused = await retried(api, run)
    assert (reused, await again.waits()) == (1, {})


@pytest.mark.parametrize("where", ["load", "ask"])
async def test_what_is_to_run_again_is_asked_again(api: Api, run: Waiting, where: str) -> None:
    await answered(api, run)
    await cancelled(api, run)
    again, reused = await retried(api, run, fromStep=where)
    assert (reused, await again.waits()) == (0 if where == "load" else 1, {})
