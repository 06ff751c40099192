"""Runs of LLM agents on FAKE providers: answers, schemas, tools, budgets, failover, what is recorded and shown."""

import asyncio
from decimal import Decimal
from typing import Any

import pytest

from agents.errors import AgentError, AgentTimeout, BudgetExceeded, ConfigInvalid, ModelFailed, OutputInvalid
from agents.llm.circuit import COOL_DOWN_SECONDS
from agents.providers.budget import BoundedBudget, Budget
from agents.providers.provider import Price, ProviderModel
from agents.result import AgentResult, Usage
from agents.spec import AgentSpec, AgentType, Limits
from tests.agents.llm.conftest import Harness, fake

LATE = {"type": "object", "required": ["late"], "properties": {"late": {"type": "boolean"}}}
PRICED = (ProviderModel(name="m", price=Price(prompt=Decimal(3), completion=Decimal(15))),)


async def test_an_answer_tells_who_gave_it_and_what_it_cost(harness: Harness) -> None:
    provider = fake({"text": "It was late.", "usage": {"promptTokens": 1000, "completionTokens": 100}}, models=PRICED)
    budget = BoundedBudget(Limits(max_tokens=11_000), "workflow")
    output = await harness.output({"prompt": "Was it?"}, provider, limits={"max_cost": 0.009}, budget=budget)
    assert output["text"] == "It was late."
    assert (output["provider"], output["model"], output["finishReason"]) == ("fake", "m", "stop")
    assert output["usage"] == {
        "promptTokens": 1000,
        "completionTokens": 100,
        "cachedTokens": 0,
        "cost": 0.0045,
        "isEstimate": False,
        "priceKnown": True,
    }
    assert [(share["of"], share["limit"], share["percent"]) for share in output["limits"]] == [
        ("agent", "maxCost", 50.0),
        ("workflow", "maxTokens", 10.0),
    ]
    assert "".join(harness.shown) == "It was late."
    assert len(harness.shown) == 3


async def test_without_stream_the_answer_is_not_shown(harness: Harness) -> None:
    output = await harness.output({"prompt": "Was it?", "stream": False}, fake())
    assert output["text"] == "You said: Was it?"
    assert harness.shown == []


async def test_messages_go_before_the_prompt(harness: Harness) -> None:
    config = {"messages": [{"role": "user", "content": "a"}, {"role": "assistant", "content": "b"}]}
    assert (await harness.output({**config, "prompt": "c"}, fake()))["text"] == "You said: c"
    assert (await harness.output(config, fake()))["text"] == "You said: b"


async def test_an_answer_that_does_not_fit_is_repaired_once(harness: Harness) -> None:
    provider = fake({"when": "cannot be used", "text": '```json\n{"late": true}\n```'}, {"text": "Yes."})
    output = await harness.output({"prompt": "Late?", "responseSchema": LATE}, provider)
    assert output["data"] == {"late": True}
    assert output["repaired"]
    assert output["calls"] == 2


async def test_an_answer_that_does_not_fit_twice_fails(harness: Harness) -> None:
    with pytest.raises(OutputInvalid, match="late: it is required"):
        await harness.run({"prompt": "Late?", "responseSchema": LATE}, fake({"json": {"no": 1}}))


async def test_a_fake_provider_without_a_script_answers_a_sample(harness: Harness) -> None:
    output = await harness.output({"prompt": "Late?", "responseSchema": LATE}, fake())
    assert output["data"] == {"late": True}


class Tools:
    """Agents that a model may call."""

    def __init__(self) -> None:
        self.calls: list[tuple[str, dict[str, Any]]] = []

    def agent(self, agent_id: str) -> AgentSpec:
        schema = {"type": "object", "properties": {"city": {"type": "string"}}}
        return AgentSpec(
            id=agent_id, version=1, name=f"The {agent_id}!", type=AgentType.API, config={}, input_schema=schema
        )

    async def run(self, agent_id: str, inputs: dict[str, Any], budget: Budget) -> AgentResult:
        self.calls.append((agent_id, inputs))
        if agent_id == "broken":
            raise AgentError("it is broken", code="HTTP_5XX")
        budget.tell(Usage(prompt_tokens=10, completion_tokens=5))
        return AgentResult(output={"weather": f"rain in {inputs.get('city')}"})


def calling(*names: str, **arguments: Any) -> dict[str, Any]:
    return {"toolCalls": [{"name": name, "arguments": arguments} for name in names], "times": 1}


async def test_a_tool_that_is_called_is_run_and_answered_to(harness: Harness) -> None:
    tools = Tools()
    provider = fake({"when": "rain in Oslo", "text": "Take an umbrella."}, calling("lookup", city="Oslo"))
    config = {"prompt": "Umbrella?", "tools": [{"agentId": "w1", "name": "lookup"}]}
    budget = BoundedBudget(Limits(max_tokens=10_000), "workflow")
    output = await harness.output(config, provider, launcher=tools, budget=budget)
    assert output["text"] == "Take an umbrella."
    assert tools.calls == [("w1", {"city": "Oslo"})]
    assert [(call["name"], call["ok"]) for call in output["toolCalls"]] == [("lookup", True)]
    used = output["usage"]["promptTokens"] + output["usage"]["completionTokens"] + 15
    assert budget.shares()[0].used == used


async def test_what_goes_wrong_with_tools_is_told_to_the_model(harness: Harness) -> None:
    tools = Tools()
    provider = fake({"when": "it is broken", "text": "Sorry."}, calling("nope", "The_broken"))
    output = await harness.output({"prompt": "Go", "tools": [{"agentId": "broken"}]}, provider, launcher=tools)
    assert output["text"] == "Sorry."
    assert {call["name"]: call.get("code") for call in output["toolCalls"]} == {
        "nope": "UNKNOWN_TOOL",
        "The_broken": "HTTP_5XX",
    }


async def test_a_model_that_only_calls_tools_is_stopped(harness: Harness) -> None:
    provider = fake({"toolCalls": [{"name": "lookup"}]})
    config = {"prompt": "Go", "tools": [{"agentId": "w", "name": "lookup"}], "maxToolRounds": 3}
    tools = Tools()
    with pytest.raises(ModelFailed) as failed:
        await harness.run(config, provider, launcher=tools)
    assert failed.value.code == "TOOL_ROUNDS"
    assert len(tools.calls) == 3


async def test_a_call_that_cannot_fit_is_not_made(harness: Harness) -> None:
    with pytest.raises(BudgetExceeded, match="agent's limit of 10") as refused:
        await harness.run({"prompt": "word " * 100}, fake(), limits={"max_tokens": 10})
    assert refused.value.details["limit"] == "maxTokens"
    assert harness.shown == []


@pytest.mark.parametrize("limits", [{"max_tokens": 60}, {"max_cost": 0.0005}])
async def test_an_answer_stops_at_what_is_left(harness: Harness, limits: dict[str, Any]) -> None:
    """The provider is asked for no more than what is left, and one that gives more is cut off."""
    budget = BoundedBudget(Limits(**limits), "workflow")
    with pytest.raises(BudgetExceeded) as exceeded:
        await harness.run({"prompt": "Tell"}, fake({"text": "word " * 5000}, models=PRICED), budget=budget)
    assert exceeded.value.details["limits"][0]["of"] == "workflow"
    assert budget.shares()[0].percent <= 100
    assert len(harness.shown) < 100


async def test_a_report_over_the_limit_exceeds_it(harness: Harness) -> None:
    provider = fake({"text": "short", "usage": {"promptTokens": 5, "completionTokens": 5000}}, models=PRICED)
    budget = BoundedBudget(Limits(max_tokens=1000), "workflow")
    with pytest.raises(BudgetExceeded, match="was exceeded: 5,005 tokens"):
        await harness.run({"prompt": "Tell"}, provider, budget=budget)
    assert budget.shares()[0].used == 5005


async def test_the_next_provider_answers_where_the_first_does_not(harness: Harness) -> None:
    down = fake({"error": {"status": 503, "message": "maintenance"}}, name="down", priority=1)
    up = fake({"text": "Here."}, name="up", priority=2)
    output = await harness.output({"prompt": "Tell"}, up, down)
    assert output["provider"] == "up"
    assert output["failures"] == [{"provider": "down", "reason": "it answered 503: maintenance"}]
    assert ("WARN", "The provider 'down' did not answer: it answered 503: maintenance", {"provider": "down"}) in (
        harness.lines
    )


async def test_a_provider_that_refuses_is_not_gone_around(harness: Harness) -> None:
    bad = fake({"error": {"status": 401, "message": "bad key"}}, name="bad", priority=1)
    with pytest.raises(ModelFailed, match="answered 401: bad key") as failed:
        await harness.run({"prompt": "Tell"}, bad, fake(name="good", priority=2))
    assert failed.value.code == "PROVIDER_REFUSED"


async def test_providers_are_waited_for_as_they_ask(harness: Harness) -> None:
    busy = fake({"times": 1, "error": {"status": 429, "retryAfterSeconds": 7}}, {"text": "Now."})
    assert (await harness.output({"prompt": "Tell"}, busy))["text"] == "Now."
    assert harness.pauses == [7.0]


async def test_nobody_is_waited_for_too_long(harness: Harness) -> None:
    busy = fake({"error": {"status": 429, "retryAfterSeconds": 120}})
    with pytest.raises(ModelFailed, match="No provider answered: fake: it answered 429") as failed:
        await harness.run({"prompt": "Tell"}, busy)
    assert failed.value.code == "PROVIDER_UNAVAILABLE"
    assert harness.pauses == []


async def test_a_provider_that_keeps_failing_is_left_alone_for_a_while(harness: Harness) -> None:
    down, up = fake({"error": {}}, name="down", priority=1), fake({"text": "Here."}, name="up", priority=2)
    for _ in range(3):
        assert (await harness.output({"prompt": "Tell"}, down, up))["failures"][0]["reason"] == "as the script says"
    reason = (await harness.output({"prompt": "Tell"}, down, up))["failures"][0]["reason"]
    assert reason == f"it has failed before and is left alone for {COOL_DOWN_SECONDS:.0f} s more"


async def test_the_named_provider_alone_is_asked(harness: Harness) -> None:
    config = {"prompt": "Tell", "provider": "second"}
    assert (await harness.output(config, fake(priority=1), fake(name="second", priority=2)))["provider"] == "second"
    with pytest.raises(ModelFailed, match="no active provider 'second'; there are: fake"):
        await harness.run(config, fake())
    with pytest.raises(ModelFailed, match="offers the model 'm'"):
        await harness.run({"prompt": "Tell"}, fake(models=(ProviderModel(name="other"),)))
    with pytest.raises(ModelFailed, match="no active provider of models") as failed:
        await harness.run({"prompt": "Tell"})
    assert failed.value.code == "NO_PROVIDER"


async def test_a_slow_model_is_stopped_and_what_it_used_is_counted(harness: Harness) -> None:
    slow = fake({"text": "one two three", "pieces": 3, "pieceDelaySeconds": 600})
    budget = BoundedBudget(Limits(max_tokens=1000), "workflow")
    with pytest.raises(AgentTimeout) as late:
        await harness.run({"prompt": "Tell"}, slow, limits={"timeout_seconds": 1}, budget=budget)
    assert late.value.details["limits"][0]["used"] > 0
    assert harness.shown == ["one t"]


async def test_a_cancelled_run_ends_at_once_and_its_tools_with_it(harness: Harness) -> None:
    started, stopped = asyncio.Event(), asyncio.Event()

    class Waiting(Tools):
        async def run(self, agent_id: str, inputs: dict[str, Any], budget: Budget) -> AgentResult:
            started.set()
            try:
                await asyncio.sleep(3600)
            finally:
                stopped.set()
            raise AssertionError

    config = {"prompt": "Go", "tools": [{"agentId": "w", "name": "lookup"}]}
    run = asyncio.create_task(harness.run(config, fake(calling("lookup")), launcher=Waiting()))
    await started.wait()
    run.cancel()
    with pytest.raises(asyncio.CancelledError):
        await run
    assert stopped.is_set()


async def test_a_broken_script_is_the_providers_fault(harness: Harness) -> None:
    with pytest.raises(ConfigInvalid, match=r"answers\[0\]"):
        await harness.run({"prompt": "Tell"}, fake({"txt": "typo"}))
