"""A model asked on the running stack: provider, agent and workflow over REST, tokens live, usage on record."""

import asyncio
import json
from typing import Any

import pytest

from tests.factories.api import step, workflow_body
from tests.factories.events import arriving
from tests.fixtures.live import OVER, Live

pytestmark = [pytest.mark.e2e]

SCRIPT = {
    "answers": [
        {"when": '"minutes": 42', "text": "LH1 was 42 minutes late.", "pieceDelaySeconds": 0.3},
        {"toolCalls": [{"name": "delay_of", "arguments": {"flight": "LH1"}}]},
    ]
}


async def test_a_workflow_asks_a_model_that_calls_code(live: Live) -> None:
    provider = {
        "name": "rehearsal",
        "kind": "FAKE",
        "models": [{"name": "m", "price": {"prompt": 3, "completion": 15}}],
        "script": SCRIPT,
    }
    await live.api.made("/llm-providers", provider)
    tool = await live.code("return {'minutes': 42, 'flight': input['flight']}")
    tools = [{"agentId": tool["id"], "name": "delay_of"}]
    agent = await live.agent("LLM", {"model": "m", "prompt": "{{ inputs.question }}", "tools": tools})
    steps = [step("ask", agent, inputs={"question": "Was it late?"})]
    body: dict[str, Any] = workflow_body(steps=steps, output="{{ ask.output }}", limits={"maxTokens": 10_000})
    execution_id = await live.start(await live.api.active_workflow(**body))

    told = []
    url = f"/api/v1/executions/{execution_id}/stream"
    async with asyncio.timeout(90), live.api.client.stream("GET", url, headers=live.api.headers) as answer:
        async for event in arriving(answer):
            told.append(event)
            if event.event == "execution.status" and event.data["status"] in OVER:
                break

    execution = await live.ended(execution_id)
    assert execution["status"] == "COMPLETED", execution
    output = execution["outputs"]
    assert output["text"] == "LH1 was 42 minutes late."
    assert [(call["name"], call["ok"]) for call in output["toolCalls"]] == [("delay_of", True)]
    assert execution["usage"]["promptTokens"] == output["usage"]["promptTokens"] > 0
    assert execution["usage"]["totalCost"] == pytest.approx(output["usage"]["cost"])
    assert 0 < execution["usage"]["percentOfTokenLimit"] < 100
    pieces = [event.data["text"] for event in told if event.event == "token"]
    assert "".join(pieces) == output["text"], json.dumps([event.event for event in told])
    assert len(pieces) > 1, "it comes while it is said"
