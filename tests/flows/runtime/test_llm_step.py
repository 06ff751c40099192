"""A step whose agent asks a model: what is recorded and shown of it, and what the run's limits do to it."""

import asyncio
from collections.abc import Sequence
from dataclasses import replace
from decimal import Decimal
from typing import Any

import pytest

from agents.calls import Call, usage_of
from agents.errors import AgentError
from agents.llm.executor import LlmExecutor
from agents.providers.provider import Price, Provider, ProviderKind, ProviderModel
from agents.result import Usage
from agents.spec import AgentSpec, AgentType
from flows.runtime.ports import RunOutcome
from flows.runtime.step import WORKER_LOST
from flows.states import ExecutionStatus
from tests.fakes.runtime import Drive, ScriptedExecutor, a_run, a_step, an_agent

KEY = "sk-canary-77aa01"


class Given:
    """A tenant's providers: one, which is FAKE."""

    def __init__(self, *answers: dict[str, Any]) -> None:
        price = Price(prompt=Decimal(3), completion=Decimal(15))
        self.provider = Provider(
            id="p",
            name="fake",
            kind=ProviderKind.FAKE,
            api_key=KEY,
            models=(ProviderModel(name="m", price=price),),
            script={"answers": list(answers)},
        )

    async def usable(self) -> Sequence[Provider]:
        return (self.provider,)


def asker(name: str = "a", **config: Any) -> AgentSpec:
    """An agent that asks the model `m`."""
    return an_agent(id=name, name=name, type="LLM", config={"model": "m", "prompt": "{{ inputs.q }}", **config})


def a_drive(*answers: dict[str, Any], agents: dict[str, AgentSpec] | None = None, **plan: Any) -> Drive:
    """A run of one step that asks a model, and of others."""
    steps = plan.pop("steps", (a_step("ask", inputs={"q": "Was it late?"}),))
    run = a_run(*steps, agent=asker(), **plan)
    if agents:
        run = replace(run, plan=run.plan.model_copy(update={"agents": {**run.plan.agents, **agents}}))
    drive = Drive(run=run)
    tool = ScriptedExecutor(_tool)
    executors = {AgentType.LLM: LlmExecutor(), AgentType.API: tool}
    drive.ports = replace(drive.ports, providers=Given(*answers), executors=executors)
    drive.executor = tool
    return drive


def _tool(_spec: AgentSpec, inputs: dict[str, Any], _context: Any) -> Any:
    return {"delay": 42, "of": inputs.get("flight")}


async def test_the_answer_its_usage_and_its_pieces() -> None:
    drive = a_drive({"text": "It was late.", "usage": {"promptTokens": 1000, "completionTokens": 100}})
    outcome = await drive.once()
    assert outcome.status is ExecutionStatus.COMPLETED
    assert outcome.outputs["ask"]["text"] == "It was late."
    recorded = drive.journal.outcomes["ask", 1]
    assert recorded.usage == Usage(prompt_tokens=1000, completion_tokens=100, cost=Decimal("0.0045"))
    assert "".join(text for _, text in drive.journal.told) == "It was late."
    assert {path for path, _ in drive.journal.told} == {"ask"}


async def test_keys_of_providers_are_masked_wherever_they_turn_up() -> None:
    """Piece by piece too: none of them holds the key, and neither do all of them together."""
    drive = a_drive({"text": f"The key is {KEY}, keep it. " * 3, "pieces": 40, "pieceDelaySeconds": 0.01})
    outcome = await drive.once()
    shown = "".join(text for _, text in drive.journal.told)
    assert shown == outcome.outputs["ask"]["text"] == "The key is ***, keep it. " * 3
    assert KEY not in str(drive.journal.outcomes) + str(drive.journal.lines) + str(drive.journal.told)


async def test_what_a_failed_attempt_used_is_recorded_too() -> None:
    drive = a_drive(
        {"json": {"no": 1}, "usage": {"promptTokens": 10, "completionTokens": 5}},
        agents={"a": asker(responseSchema={"type": "object", "required": ["late"]})},
    )
    outcome = await drive.once()
    assert outcome.error is not None
    assert outcome.error["code"] == "OUTPUT_INVALID"
    assert drive.journal.outcomes["ask", 1].usage.prompt_tokens == 20, "of the answer and of its repair"


@pytest.mark.parametrize("config", [{}, {"maxTokens": 300}, {"stream": False}], ids=["streams", "bounded", "whole"])
async def test_steps_that_run_at_once_stay_within_the_limits_of_their_run(config: dict[str, Any]) -> None:
    """Each sets aside what it may use before it asks, so that together they do not pass what one could not."""
    steps = tuple(a_step(f"ask{number}", inputs={"q": "?"}) for number in range(8))
    answer = {"text": "word " * 200, "pieceDelaySeconds": 0.001}
    drive = a_drive(answer, steps=steps, limits={"maxTokens": 1000}, agents={"a": asker(**config)})
    outcome = await drive.once()
    assert outcome.status is ExecutionStatus.FAILED
    assert outcome.error is not None
    assert outcome.error["code"] == "BUDGET_EXCEEDED"
    assert outcome.error["details"]["limits"][0]["of"] == "workflow"
    used = [each.usage.prompt_tokens + each.usage.completion_tokens for each in drive.journal.outcomes.values()]
    assert 750 < sum(used) <= 1000


async def test_what_a_run_used_before_counts() -> None:
    drive = a_drive({"text": "x"}, limits={"maxTokens": 1000})
    drive.run = replace(drive.run, usage=Usage(prompt_tokens=990, completion_tokens=9))
    outcome = await drive.once()
    assert outcome.error is not None
    assert outcome.error["code"] == "BUDGET_EXCEEDED"


async def test_what_bounds_more_than_one_run_is_asked_too() -> None:
    class Project:
        def __init__(self) -> None:
            self.told: list[Usage] = []

        async def ask(self, least: Usage, most: Usage) -> Any:
            raise AgentError("the project has nothing left", code="BUDGET_EXCEEDED")

        def over(self) -> None: ...

        def recall(self, before: Usage) -> None: ...

        def tell(self, more: Usage) -> None:
            self.told.append(more)

        def shares(self) -> Sequence[Any]:
            return ()

    drive = a_drive({"text": "x"})
    drive.ports = replace(drive.ports, budget_around=lambda _run, _outer: Project())
    outcome: RunOutcome = await drive.once()
    assert outcome.error is not None
    assert outcome.error["message"] == "the project has nothing left"


LOOKUP = {"agentId": "tool", "name": "lookup"}


def called(**arguments: Any) -> dict[str, Any]:
    return {"times": 1, "toolCalls": [{"name": "lookup", "arguments": arguments}]}


async def test_tools_are_agents_of_the_plan() -> None:
    schema = {"type": "object", "required": ["flight"], "properties": {"flight": {"type": "string"}}}
    tool = an_agent(id="tool", name="tool", type="API", inputSchema=schema, config={"url": "/{{ inputs.flight }}"})
    answers = ({"when": '"delay": 42', "text": "By 42 minutes."}, {"when": "INPUT_INVALID", **called(flight="LH1")})
    drive = a_drive(*answers, called(flight=7), agents={"a": asker(tools=[LOOKUP]), "tool": tool})
    outcome = await drive.once()
    assert outcome.outputs["ask"]["text"] == "By 42 minutes."
    assert [(call["ok"], call.get("code")) for call in outcome.outputs["ask"]["toolCalls"]] == [
        (False, "INPUT_INVALID"),
        (True, None),
    ]
    assert drive.executor.calls == [("tool", {"flight": "LH1"})]
    assert drive.executor.keys == ["ask:tool:1"]


async def test_models_that_call_models_share_the_budget_and_come_to_an_end() -> None:
    answers = ({"when": "NESTED_TOO_DEEP", "text": "Enough."}, {"when": '"text"', "text": "I heard."}, called(q="?"))
    endless = {"toolCalls": [{"name": "lookup", "arguments": {"q": "again"}}], "when": "again"}
    agents = {"a": asker(tools=[{**LOOKUP, "agentId": "a"}])}
    drive = a_drive(*answers[:2], endless, answers[2], agents=agents, limits={"maxTokens": 100_000})
    outcome = await drive.once()
    assert outcome.status is ExecutionStatus.COMPLETED
    recorded = drive.journal.outcomes["ask", 1].usage
    own = outcome.outputs["ask"]["usage"]
    assert recorded.prompt_tokens > own["promptTokens"], "what its tools used is recorded with the step"
    assert "".join(text for _, text in drive.journal.told) == outcome.outputs["ask"]["text"]


async def test_every_call_is_on_record_and_they_add_up_to_the_step() -> None:
    """Those of models behind tools too; each was on record before it was made, and none holds a secret."""
    inner = {"when": "inner", "text": f"The key is {KEY}.", "usage": {"promptTokens": 7, "completionTokens": 3}}
    asks = called(q=f"inner {KEY}")
    drive = a_drive(
        inner,
        {"when": '"text"', "text": "I heard."},
        asks,
        agents={"a": asker(tools=[{**LOOKUP, "agentId": "b"}]), "b": asker("b")},
    )
    outcome = await drive.once()
    assert outcome.status is ExecutionStatus.COMPLETED, outcome
    recorded = drive.journal.outcomes["ask", 1]
    assert recorded.calls is not None
    assert [(call.number, call.kind, call.agent_id, call.depth, call.status) for call in recorded.calls] == [
        (1, "MODEL", "a", 0, "COMPLETED"),
        (2, "TOOL", "a", 0, "COMPLETED"),
        (3, "MODEL", "b", 1, "COMPLETED"),
        (4, "MODEL", "a", 0, "COMPLETED"),
    ]
    assert usage_of(recorded.calls) == recorded.usage
    assert recorded.calls[1].nested == recorded.calls[2].usage
    assert all(call.duration_ms is not None and call.started_at is not None for call in recorded.calls)
    assert [each.status for each in noted_of(drive)] == ["COMPLETED", "COMPLETED", "COMPLETED", "RUNNING"]
    assert KEY not in str(recorded.calls)
    assert "inner ***" in (recorded.calls[1].arguments or "")


def noted_of(drive: Drive) -> tuple[Call, ...]:
    """What was noted when the last call began."""
    (row,) = drive.journal.rows.values()
    return row.calls


async def test_many_calls_are_added_up() -> None:
    asks = {
        "toolCalls": [{"name": "lookup", "arguments": {}}] * 60,
        "usage": {"promptTokens": 5, "completionTokens": 1},
    }
    tool = an_agent(id="tool", name="tool", type="API", config={"url": "/"})
    drive = a_drive(asks, agents={"a": asker(tools=[LOOKUP], maxToolRounds=3), "tool": tool})
    await drive.once()
    recorded = drive.journal.outcomes["ask", 1]
    assert recorded.calls is not None
    assert len(recorded.calls) == 101
    assert (recorded.calls[-1].kind, recorded.calls[-1].calls) == ("OTHERS", 84)
    assert usage_of(recorded.calls) == recorded.usage


async def test_what_a_lost_process_noted_is_what_its_calls_have_used() -> None:
    drive = a_drive({"text": "one two three", "pieces": 3, "pieceDelaySeconds": 600})
    running = asyncio.create_task(drive.once())
    async with asyncio.timeout(30):
        while not drive.journal.told:  # noqa: ASYNC110 - the journal is a list
            await asyncio.sleep(0.01)
    running.cancel(WORKER_LOST)
    await asyncio.gather(running, return_exceptions=True)
    (noted,) = noted_of(drive)
    assert (noted.status, noted.provider, noted.model) == ("CANCELLED", "fake", "m")
    assert (noted.prompt_tokens, noted.completion_tokens) == (7, 2)
    assert drive.journal.outcomes == {}


async def test_a_cancelled_step_has_told_what_it_used() -> None:
    drive = a_drive({"text": "one two", "pieces": 2, "pieceDelaySeconds": 600})
    running = asyncio.create_task(drive.once())
    async with asyncio.timeout(30):
        while not drive.journal.told:  # noqa: ASYNC110 - the journal is a list
            await asyncio.sleep(0.01)
    running.cancel("stop")
    assert (await running).status is ExecutionStatus.CANCELLED
    assert drive.journal.outcomes["ask", 1].usage.completion_tokens > 0
    assert drive.journal.told == [("ask", "one ")]
