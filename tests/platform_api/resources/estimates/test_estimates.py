"""What runs will cost, told before they are made."""

from typing import Any

import httpx
import pytest

from agents.providers.pricing import CATALOGUE
from tests.factories.api import Api, owner, step
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


@pytest.mark.case(11)
async def test_who_may(api: Api, client: httpx.AsyncClient) -> None:
    """Case 11."""
    agent, workflow = await api.active_agent(), await api.active_workflow()
    stranger = await owner(client)
    for path in (f"/agents/{agent['id']}", f"/workflows/{workflow['id']}"):
        assert (await estimated(api, path))["steps"] == []
        error_of(await stranger.post(f"{path}/estimate"), 404, "NOT_FOUND")
