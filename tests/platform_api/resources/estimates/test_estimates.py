"""What runs will cost, told before they are made."""

from typing import Any

import httpx
import pytest

from agents.providers.pricing import CATALOGUE
from tests.factories.api import Api, agent_body, owner, step, workflow_body
from tests.fixtures.http import error_of

ASKING = {"model": "claude-sonnet-4-5", "prompt": "{{ inputs.text }}", "maxTokens": 1000}


@pytest.fixture
async def api(client: httpx.AsyncClient) -> Api:
    made = await owner(client)
    await made.made("/llm-providers", {"name": "Anthropic", "kind": "ANTHROPIC"})
    return made


async def estimated(api: Api, path: str, body: Any = None) -> dict[str, Any]:
    answer = await api.post(f"{path}/estimate", body)
    assert answer.status_code == 200, answer.text
    data: dict[str, Any] = answer.json()["data"]
    return data


async def test_an_agent_with_what_it_is_given(api: Api) -> None:
    agent = await api.active_agent(type="LLM", config=ASKING)
    found = await estimated(api, f"/agents/{agent['id']}", {"input": {"text": "word " * 2000}})
    (only,) = found["steps"]
    assert (only["provider"], only["model"], only["problem"]) == ("Anthropic", "claude-sonnet-4-5", None)
    assert 2000 <= only["promptTokens"]["least"] <= only["promptTokens"]["most"] <= 5000
    assert only["completionTokens"] == {"least": 1, "most": 1000}
    assert only["mostCost"] == pytest.approx((only["promptTokens"]["most"] * 3 + 1000 * 15) / 1_000_000)
    assert found["mostCost"] == only["mostCost"]
    assert found["pricesAsOf"] == CATALOGUE.as_of.isoformat()
    bare = await estimated(api, f"/agents/{agent['id']}")
    assert bare["steps"][0]["promptTokens"]["most"] < 50, "templates that are not filled in count as written"


async def test_a_workflow_with_all_that_it_holds(api: Api) -> None:
    asking = await api.active_agent(type="LLM", config={**ASKING, "prompt": "Was it late?"})
    unknown = await api.active_agent(type="LLM", config={**ASKING, "model": "gpt-5", "prompt": "?"})
    plain = await api.active_agent()
    loop = {"stepKey": "each", "type": "LOOP", "config": {"items": [1, 2], "steps": [step("ask", asking)]}}
    inner = await api.active_workflow(steps=[step("one", asking), loop, step("code", plain)])
    nest = await api.active_agent(type="WORKFLOW", config={"workflowId": inner["id"]})
    outer = await api.active_workflow(steps=[step("nest", nest), step("other", unknown)])
    found = await estimated(api, f"/workflows/{outer['id']}")
    steps = {each["path"]: each for each in found["steps"]}
    assert set(steps) == {"nest.one", "nest.each.ask", "other"}
    assert [steps[path]["isRepeated"] for path in ("nest.one", "nest.each.ask")] == [False, True]
    assert "gpt-5" in steps["other"]["problem"]
    assert (steps["other"]["mostCost"], found["mostCost"]) == (None, None), "one is not known, so the sum is not"
    assert found["mostTokens"] > 2000


def loop(key: str, items: Any, *steps: dict[str, Any], **config: Any) -> dict[str, Any]:
    return {"stepKey": key, "type": "LOOP", "config": {"items": items, "steps": list(steps), **config}}


async def test_a_draft_is_reckoned_as_it_will_run(api: Api) -> None:
    """Neither the workflow nor its agents have to be ACTIVE for it."""
    agent = await api.made("/agents", agent_body(type="LLM", config={**ASKING, "prompt": "Late?"}))
    body = workflow_body(steps=[step("ask", agent)])
    workflow = await api.made("/workflows", body)
    found = await estimated(api, f"/workflows/{workflow['id']}")
    (only,) = found["steps"]
    assert (only["runs"], only["bounds"], found["bounds"]) == ({"least": 1, "most": 1}, [], [])
    assert found["mostCost"] == only["mostCost"] > found["leastCost"] == only["leastCost"] > 0
    assert (await estimated(api, f"/agents/{agent['id']}"))["mostCost"] == only["mostCost"]


async def test_loops_branches_and_retries_multiply(api: Api) -> None:
    """By the items that are written down or given; what is not known is bounded, and it is said by what."""
    agent = await api.active_agent(type="LLM", config={**ASKING, "prompt": "Late?"})
    retried = step("retried", agent, onError="RETRY", retry={"maxAttempts": 4})
    branches = {"a": {"steps": [step("ask", agent)]}, "b": {"steps": [step("ask", agent)]}}
    steps = [
        loop("written", [1, "{{ inputs.n }}", 3], step("ask", agent)),
        loop("given", "{{ inputs.names }}", retried, loop("inner", [1, 2], step("ask", agent)), batchSize=2),
        loop("unknown", "{{ first.output.data }}", step("ask", agent), maxIterations=50),
        {"stepKey": "both", "type": "PARALLEL", "config": {"branches": branches}},
        {"stepKey": "race", "type": "PARALLEL", "config": {"branches": branches, "wait": "any"}},
        step("first", agent),
    ]
    steps[2]["dependsOn"] = ["first"]
    schema = {"type": "object", "properties": {"names": {"type": "array"}, "n": {"type": "integer"}}}
    workflow = await api.active_workflow(steps=steps, inputSchema=schema)
    found = await estimated(api, f"/workflows/{workflow['id']}", {"inputs": {"names": list("abcde")}})
    runs = {each["path"]: (each["runs"]["least"], each["runs"]["most"]) for each in found["steps"]}
    assert runs == {
        "written.ask": (3, 3),
        "given.retried": (3, 12),
        "given.inner.ask": (6, 6),
        "unknown.ask": (0, 50),
        "both.a.ask": (1, 1),
        "both.b.ask": (1, 1),
        "race.a.ask": (0, 1),
        "race.b.ask": (0, 1),
        "first": (1, 1),
    }
    most, least = (sum(each[end] for each in runs.values()) for end in (1, 0))
    once = next(each for each in found["steps"] if each["path"] == "first")
    assert found["mostCost"] == pytest.approx(once["mostCost"] * most)
    assert found["leastCost"] == pytest.approx(once["leastCost"] * least)
    assert found["mostTokens"] == (once["promptTokens"]["most"] + once["completionTokens"]["most"]) * most
    assert any("`unknown` are not known yet" in bound and "of 50" in bound for bound in found["bounds"])
    assert any("tried up to 4 times" in bound for bound in found["bounds"])
    bare = await estimated(api, f"/workflows/{workflow['id']}")
    assert next(each for each in bare["steps"] if each["path"] == "given.inner.ask")["runs"] == {
        "least": 0,
        "most": 20000,
    }


async def test_what_may_be_left_out_costs_nothing_at_least(api: Api) -> None:
    agent = await api.active_agent(type="LLM", config={**ASKING, "prompt": "Late?"})
    condition = {"stepKey": "which", "type": "CONDITION", "config": {"expression": "inputs.x == 1", "then": ["ask"]}}
    loops = {"stepKey": "again", "type": "LOOP", "config": {"while": "index < 3", "steps": [step("ask", agent)]}}
    workflow = await api.active_workflow(steps=[condition, step("ask", agent, dependsOn=["which"]), loops])
    found = await estimated(api, f"/workflows/{workflow['id']}")
    assert [each["runs"]["least"] for each in found["steps"]] == [0, 0]
    assert (found["leastCost"], found["leastTokens"]) == (0, 0)


async def test_the_model_that_answers_by_an_alias_is_reckoned_with(api: Api) -> None:
    models = [{"name": "llama3", "price": {"prompt": 1, "completion": 1}, "aliases": ["*"]}]
    await api.made("/llm-providers", {"name": "local", "kind": "FAKE", "models": models, "priority": 1})
    agent = await api.active_agent(type="LLM", config={**ASKING, "prompt": "Late?"})
    (only,) = (await estimated(api, f"/agents/{agent['id']}"))["steps"]
    assert (only["provider"], only["model"]) == ("local", "llama3")


@pytest.mark.case(11)
async def test_who_may(api: Api, client: httpx.AsyncClient) -> None:
    """Case 11."""
    agent, workflow = await api.active_agent(), await api.active_workflow()
    stranger = await owner(client)
    for path in (f"/agents/{agent['id']}", f"/workflows/{workflow['id']}"):
        assert (await estimated(api, path))["steps"] == []
        error_of(await stranger.post(f"{path}/estimate"), 404, "NOT_FOUND")
