"""LLM runs as a worker drives them: the tenant's providers, budgets that hold while they run, tests of providers."""

import asyncio
from collections import Counter
from collections.abc import AsyncIterator
from decimal import Decimal
from typing import Any
from uuid import UUID

import httpx
import pytest
from sqlalchemy import select
from sqlmodel import col

from deployments.wiring import Wiring
from flows.states import ExecutionStatus
from platform_api.access.scope import system_scope
from platform_api.db.engine import Sessions
from platform_api.db.models import Execution
from platform_api.resources.provider_tests import service as provider_tests
from tests.factories.api import Api, owner, step
from tests.factories.canary import tables_with
from tests.factories.driving import driven, run_of
from tests.fixtures.http import error_of

KEY = "sk-canary-91d2f0"
PRICED = [{"name": "m", "price": {"prompt": 10, "completion": 100}}]
ANSWER = {"text": "It was late.", "usage": {"promptTokens": 100, "completionTokens": 10}}


@pytest.fixture
async def api(client: httpx.AsyncClient) -> Api:
    return await owner(client)


async def a_provider(api: Api, *answers: dict[str, Any], **fields: Any) -> dict[str, Any]:
    body = {"name": "fake", "kind": "FAKE", "models": PRICED, "credentials": {"apiKey": KEY}, **fields}
    return await api.made("/llm-providers", {**body, "script": {"answers": list(answers or (ANSWER,))}})


async def a_project(api: Api, **fields: Any) -> str:
    return str((await api.made("/projects", {"name": f"P{fields}", **fields}))["project"]["id"])


async def a_workflow(api: Api, project: str | None, *, steps: int = 1, **fields: Any) -> dict[str, Any]:
    config = {"model": "m", "prompt": "Was it late?", **fields.pop("config", {})}
    agent = await api.active_agent(type="LLM", config=config, projectId=project)
    return await api.active_workflow(
        steps=[step(f"ask{number}", agent) for number in range(steps)], projectId=project, **fields
    )


async def usage(api: Api, project: str) -> dict[str, Any]:
    data: dict[str, Any] = (await api.get(f"/projects/{project}/usage")).json()["data"]
    return data


@pytest.mark.case(31)
async def test_a_run_is_charged_once_and_its_providers_key_stays_hidden(
    api: Api, wiring: Wiring, sessions: Sessions
) -> None:
    """Case 31."""
    await a_provider(api, {**ANSWER, "text": f"The key is {KEY}."})
    project = await a_project(api, budget={"maxTokens": 1000, "maxCost": 0.01}, limits={"maxTokens": 440})
    shown, outcome = await run_of(api, wiring, await a_workflow(api, project, steps=2))
    assert outcome.status is ExecutionStatus.COMPLETED
    assert outcome.outputs["ask0"]["text"] == "The key is ***."
    assert shown["usage"] == {
        "promptTokens": 200,
        "completionTokens": 20,
        "totalCost": 0.004,
        "percentOfTokenLimit": 50.0,
        "percentOfCostLimit": None,
        "exceeded": None,
    }
    found = await usage(api, project)
    assert (found["promptTokens"], found["completionTokens"], found["totalCost"]) == (200, 20, 0.004)
    assert (found["percentOfTokenLimit"], found["percentOfCostLimit"], found["reservedTokens"]) == (22.0, 40.0, 0)
    async with system_scope(sessions) as scope:
        found_in = await tables_with(scope.session, KEY)
    assert set(found_in) == {"llm_providers", "audit_logs"}, "the script, which is what this test wrote into it"


async def test_calls_add_up_to_steps_to_the_run_and_to_the_project(api: Api, wiring: Wiring) -> None:
    """To the last digit that is kept, with a provider that fails first and a tool that asks a model itself."""
    odd = [{"name": "m", "price": {"prompt": 0.0371, "completion": 1.3333, "cached": 0.0019}}]
    usage_told = {"promptTokens": 333, "completionTokens": 77, "cachedTokens": 123}
    await a_provider(api, {"error": {"status": 503}}, name="down", priority=1, models=odd)
    asks = {
        "times": 1,
        "when": "Was it",
        "toolCalls": [{"name": "helper", "arguments": {"q": "?"}}],
        "usage": usage_told,
    }
    await a_provider(api, asks, {"text": "Late.", "usage": {**usage_told, "promptTokens": 331}}, models=odd)
    project = await a_project(api, budget={"maxTokens": 100_000})
    helper = await api.active_agent(type="LLM", config={"model": "m", "prompt": "Help."}, projectId=project)
    tools = [{"agentId": helper["id"], "name": "helper"}]
    workflow = await a_workflow(api, project, steps=3, config={"tools": tools})
    shown, outcome = await run_of(api, wiring, workflow)
    assert outcome.status is ExecutionStatus.COMPLETED, outcome
    steps = (await api.get(f"/executions/{shown['id']}/steps")).json()["data"]
    found = await usage(api, project)
    for name in ("promptTokens", "completionTokens"):
        of_steps = [step_["usage"][name] for step_ in steps]
        assert [sum(call[name] for call in step_["calls"]) for step_ in steps] == of_steps
        assert sum(of_steps) == shown["usage"][name] == found[name] > 0
    costs = [[Decimal(str(call["cost"])) for call in step_["calls"]] for step_ in steps]
    assert [sum(each) for each in costs] == [Decimal(str(step_["usage"]["totalCost"])) for step_ in steps]
    assert sum(map(sum, costs)) == Decimal(str(shown["usage"]["totalCost"])) == Decimal(str(found["totalCost"]))
    by_status = Counter((call["kind"], call["provider"], call["status"]) for step_ in steps for call in step_["calls"])
    assert by_status["TOOL", None, "COMPLETED"] == 3
    assert by_status["MODEL", "fake", "COMPLETED"] == 9
    failures = [call for step_ in steps for call in step_["calls"] if call["provider"] == "down"]
    assert {(call["status"], (call["reason"] or "").partition(":")[0]) for call in failures} >= {
        ("FAILED", "it answered 503")
    }


async def test_a_projects_budget_stops_the_run_that_meets_it(api: Api, wiring: Wiring) -> None:
    """In the middle of the answer, not afterwards; the next one does not begin."""
    await a_provider(api, {"text": "word " * 400, "pieces": 100})
    project = await a_project(api, budget={"maxTokens": 200, "period": "MONTH"})
    workflow = await a_workflow(api, project)
    shown, outcome = await run_of(api, wiring, workflow)
    assert outcome.status is ExecutionStatus.FAILED
    assert shown["error"]["code"] == "BUDGET_EXCEEDED"
    used = shown["usage"]["promptTokens"] + shown["usage"]["completionTokens"]
    assert used <= 200
    assert (await usage(api, project))["promptTokens"] + (await usage(api, project))["completionTokens"] == used
    after = await api.post(f"/workflows/{workflow['id']}/execute")
    if used == 200:
        error_of(after, 402, "BUDGET_EXCEEDED")
    else:
        assert after.status_code == 201


async def test_runs_at_once_share_what_the_project_has_left(api: Api, wiring: Wiring) -> None:
    """They wait for each other rather than fail as long as it may do, and together they do not go beyond it."""
    await a_provider(api, {"text": "word " * 80, "delaySeconds": 0.05})
    project = await a_project(api, budget={"maxTokens": 480})
    workflow = await a_workflow(api, project, config={"maxTokens": 110})
    runs = await asyncio.gather(*(run_of(api, wiring, workflow) for _ in range(7)))
    statuses = [outcome.status for _, outcome in runs]
    assert statuses.count(ExecutionStatus.COMPLETED) == 4
    assert {shown["error"]["code"] for shown, _ in runs if shown["error"]} == {"BUDGET_EXCEEDED"}
    found = await usage(api, project)
    used = found["promptTokens"] + found["completionTokens"]
    assert used == sum(shown["usage"]["promptTokens"] + shown["usage"]["completionTokens"] for shown, _ in runs)
    assert 430 < used <= 480


async def test_a_nested_run_spends_what_the_outer_may(api: Api, wiring: Wiring) -> None:
    """Of the run's limit and of its project's budget; both records and the project agree."""
    await a_provider(api)
    project = await a_project(api, budget={"maxTokens": 10_000})
    nested = await a_workflow(api, project)
    agent = await api.active_agent(type="WORKFLOW", config={"workflowId": nested["id"]}, projectId=project)
    steps = [step("one", agent), step("two", agent, dependsOn=["one"]), step("three", agent, dependsOn=["two"])]
    outer = await api.active_workflow(steps=steps, projectId=project, limits={"maxTokens": 300})
    shown, _ = await run_of(api, wiring, outer)
    assert shown["error"]["code"] == "BUDGET_EXCEEDED"
    assert shown["stepsCompleted"] == 2
    assert shown["usage"]["promptTokens"] >= 200
    assert (await usage(api, project))["promptTokens"] == shown["usage"]["promptTokens"], "charged once"


async def drive_tests(wiring: Wiring, sessions: Sessions, api: Api) -> None:
    """Does the worker's part for tests of providers as they come in."""
    while True:
        async with system_scope(sessions) as scope:
            mine = select(col(Execution.id)).where(
                col(Execution.tenant_id) == api.tenant_id, col(Execution.status) == ExecutionStatus.PENDING.value
            )
            waiting = list(await scope.session.scalars(mine))
        for execution_id in waiting:
            await driven(wiring, execution_id, None)
        await asyncio.sleep(0.02)


@pytest.fixture
async def worker(wiring: Wiring, sessions: Sessions, api: Api, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[None]:
    monkeypatch.setattr(provider_tests, "GRACE_SECONDS", 60.0)
    task = asyncio.create_task(drive_tests(wiring, sessions, api))
    yield
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)


async def result_of(api: Api, provider: dict[str, Any], **body: Any) -> dict[str, Any]:
    answer = await api.post(f"/llm-providers/{provider['id']}/test", body)
    assert answer.status_code == 200, answer.text
    data: dict[str, Any] = answer.json()["data"]
    return data


@pytest.mark.usefixtures("worker")
class TestProviderTests:
    async def test_one_that_answers_also_when_runs_may_not_ask_it(self, api: Api) -> None:
        found = await result_of(api, await a_provider(api, isActive=False))
        assert (found["ok"], found["model"], found["models"], found["answer"]) == (True, "m", ["fake"], "It was late.")
        assert found["latencyMs"] >= 0
        assert (found["totalCost"], found["error"], found["status"]) == (0.002, None, "COMPLETED")
        execution = (await api.get(f"/executions/{found['executionId']}")).json()["data"]
        assert (execution["workflowId"], execution["agentId"]) == (None, None)

    async def test_one_that_does_not(self, api: Api) -> None:
        body = {"name": "nowhere", "kind": "OPENAI_COMPATIBLE", "baseUrl": "http://turbocat.invalid/v1"}
        found = await result_of(api, await api.made("/llm-providers", {**body, "credentials": {"apiKey": KEY}}))
        assert (found["ok"], found["status"]) == (False, "FAILED")
        assert found["error"]["code"] == "PROVIDER_UNAVAILABLE"
        assert "`baseUrl`" in found["error"]["hint"]
        assert KEY not in str(found)

    async def test_the_model_that_is_asked_can_be_named(self, api: Api) -> None:
        found = await result_of(api, await a_provider(api, models=[]), model="other")
        assert (found["ok"], found["model"]) == (True, "other")


async def test_a_test_that_no_worker_has_taken_up_goes_on(
    api: Api, monkeypatch: pytest.MonkeyPatch, client: httpx.AsyncClient
) -> None:
    monkeypatch.setattr(provider_tests, "GRACE_SECONDS", -60.0)
    provider = await a_provider(api)
    answer = await api.post(f"/llm-providers/{provider['id']}/test")
    assert (answer.status_code, answer.json()["data"]["ok"]) == (202, None)
    error_of(await (await owner(client)).post(f"/llm-providers/{provider['id']}/test"), 404, "NOT_FOUND")
    assert UUID(answer.json()["data"]["executionId"])
