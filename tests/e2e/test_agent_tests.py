"""Tests of single agents, and what templates make, on the real stack."""

from typing import Any

import httpx
import pytest

from tests.factories.api import agent_body
from tests.fixtures.live import Live

pytestmark = [pytest.mark.e2e]


async def draft(live: Live, code: str, **fields: Any) -> dict[str, Any]:
    config = {"language": "python", "code": f"def main(input):\n    {code}\n"}
    return await live.api.made("/agents", agent_body(config=config, **fields))


async def tried(live: Live, agent: dict[str, Any], **given: Any) -> tuple[httpx.Response, dict[str, Any]]:
    answer = await live.api.post(f"/agents/{agent['id']}/test", {"input": given})
    return answer, answer.json()["data"]


async def test_a_draft_runs_once_and_says_how_it_went(live: Live) -> None:
    agent = await draft(live, "print('at work'); return {'sum': input['a'] + input['b'], 'raw': input['c']}")
    answer, found = await tried(live, agent, a=40, b=2, c="{{ 7 * 7 }}")
    assert answer.status_code == 200, answer.text
    assert (found["status"], found["error"]) == ("COMPLETED", None)
    assert found["output"] == {"sum": 42, "raw": "{{ 7 * 7 }}"}
    assert "at work" in [line["message"] for line in found["logs"]]
    assert found["durationMs"] > 0

    execution = await live.data(f"/executions/{found['executionId']}")
    assert (execution["agentId"], execution["workflowId"]) == (agent["id"], None)
    run = await live.flow_run(execution)
    assert (run["state_type"], "agent-test" in run["tags"]) == ("COMPLETED", True)
    after = await live.data(f"/agents/{agent['id']}")
    assert (after["health"]["runs"], after["health"]["successRate"]) == (1, 1.0)
    assert after["runtimeState"] == "stopped"


async def test_failures_are_answers(live: Live) -> None:
    broken = await draft(live, "raise ValueError('no')")
    answer, found = await tried(live, broken)
    assert (answer.status_code, found["status"], found["error"]["code"]) == (200, "FAILED", "CODE_ERROR")
    slow = await draft(live, "import time; time.sleep(60)", limits={"timeoutSeconds": 0.5})
    answer, found = await tried(live, slow)
    assert (answer.status_code, found["error"]["code"]) == (200, "TIMEOUT")


async def test_prefect_cannot_start_one_by_itself(live: Live) -> None:
    await tried(live, await draft(live, "return 1"))
    deployment = (await live.prefect.get("deployments/name/agent-runs/agent-runs")).json()
    assert deployment["entrypoint"] == "deployments.entrypoint.agent_runs"
    body = {"parameters": {}, "state": {"type": "SCHEDULED"}}
    made = await live.prefect.post(f"deployments/{deployment['id']}/create_flow_run", json=body)
    run = await live.flow_run({"prefectFlowRunId": made.json()["id"]})
    assert run["state_type"] == "FAILED"
    assert "/test" in run["state"]["message"]


async def test_the_first_steps_run_from_their_template(live: Live) -> None:
    answer = await live.api.client.get("/api/v1/templates", params={"isOfficial": True, "search": "First steps"})
    (template,) = answer.json()["data"]
    body = {"name": "Mine", "customizations": {"title": "Sales"}}
    workflow = await live.api.made(f"/templates/{template['id']}/instantiate", body)
    assert (await live.api.patch(f"/workflows/{workflow['id']}", {"status": "ACTIVE"})).status_code == 200
    execution = await live.run(workflow)
    assert execution["status"] == "COMPLETED", execution
    lines = execution["outputs"]["markdown"].splitlines()
    assert lines[0] == "# Sales"
    assert lines[2:] == [
        "| region | total | orders |",
        "|---|---|---|",
        "| East | 409.25 | 2 |",
        "| North | 162.5 | 2 |",
        "| South | 95.75 | 2 |",
    ]
    graph = await live.data(f"/workflows/{workflow['id']}/graph", executionId=execution["id"])
    assert {node["status"] for node in graph["nodes"]} == {"COMPLETED"}


@pytest.mark.parametrize(
    ("name", "customizations", "given", "expected"),
    [
        ("Count words", {"most": 1}, {"text": "Night and night"}, {"words": 3, "different": 2}),
        ("Find outliers", {}, {"rows": [{"value": n} for n in (1, 2, 3, 2, 1, 90)]}, {"outliers": [{"value": 90}]}),
        ("Group and add up", {}, {"rows": [{"category": "a", "amount": n} for n in (1, 2)]}, {"rows": 1}),
        ("Clean a table", {}, {"rows": [{"id": 1}, {"id": 1}, {"id": None}]}, {"rows": 1}),
    ],
)
async def test_official_agents_do_what_they_say(
    live: Live, name: str, customizations: dict[str, Any], given: dict[str, Any], expected: dict[str, Any]
) -> None:
    answer = await live.api.client.get("/api/v1/templates", params={"isOfficial": True, "search": name})
    path = f"/templates/{answer.json()['data'][0]['id']}/instantiate"
    agent = await live.api.made(path, {"customizations": customizations})
    _, found = await tried(live, agent, **given)
    assert found["status"] == "COMPLETED", found
    assert {key: found["output"][key] for key in expected} == expected
