"""Runs that ask a model, from request to record: real tables, journal, driver and executor; Prefect is left out."""

from collections.abc import AsyncIterator, Sequence
from contextlib import AsyncExitStack
from decimal import Decimal
from pathlib import Path
from typing import Any
from uuid import UUID, uuid4

import pytest

from agents.llm.executor import LlmExecutor
from agents.providers.provider import Price, Provider, ProviderKind, ProviderModel
from agents.spec import AgentType
from flows.plan import Plan
from flows.runtime.driver import RunDriver
from flows.runtime.log import RunLog
from flows.runtime.ports import LogLine, Ports, Run
from platform_api.access.scope import system_scope
from platform_api.db.engine import Sessions
from platform_api.db.models import Execution
from platform_api.kit.result_store import LocalResultStore
from platform_api.main import create_app
from platform_api.resources.executions.journal import Journal
from platform_api.settings import Settings
from tests.factories.api import Api, agent_body, owner, step, workflow_body
from tests.factories.events import Event, arriving
from tests.fakes.orchestrator import FakeOrchestrator
from tests.fakes.runtime import ScriptedExecutor
from tests.fixtures.served import served

KEY = "sk-canary-91bd20"
SCRIPT = [
    {"when": '"delay": 42', "json": {"late": True}, "usage": {"promptTokens": 300, "completionTokens": 20}},
    {
        "toolCalls": [{"name": "lookup", "arguments": {"flight": "LH1"}}],
        "text": f"Looking with {KEY} … ",
        "usage": {"promptTokens": 200, "completionTokens": 30},
    },
]
LATE = {"type": "object", "required": ["late"], "properties": {"late": {"type": "boolean"}}}


class Given:
    """A tenant with one FAKE provider."""

    async def usable(self) -> Sequence[Provider]:
        model = ProviderModel(name="m", price=Price(prompt=Decimal(3), completion=Decimal(15)))
        script = {"answers": SCRIPT}
        return (Provider(id="p", name="fake", kind=ProviderKind.FAKE, api_key=KEY, models=(model,), script=script),)


@pytest.fixture
async def api(settings: Settings) -> AsyncIterator[Api]:
    async with served(create_app(settings, FakeOrchestrator())) as running:
        yield await owner(running.client)


async def driven(sessions: Sessions, execution_id: UUID, folder: Path) -> None:
    """What a worker does with the run."""
    async with system_scope(sessions) as scope:
        row = await scope.session.get_one(Execution, execution_id)
    run = Run(
        execution_id=row.id,
        plan=Plan.model_validate(row.plan),
        inputs=row.inputs or {},
        environment=row.environment,
        trigger_type=row.trigger_type,
    )
    journal = Journal(sessions, row.tenant_id)
    tool = ScriptedExecutor(lambda _spec, inputs, _context: {"delay": 42, "flight": inputs["flight"]})
    executors = {AgentType.LLM: LlmExecutor(), AgentType.CODE: tool}
    ports = Ports(journal=journal, results=LocalResultStore(folder), executors=executors, providers=Given())

    async def write(lines: list[LogLine]) -> None:
        await journal.logged(row.id, lines)

    async with RunLog(write, lambda *_: None) as log:
        await RunDriver(run, ports, log).drive(flow_run_id=uuid4(), run_count=1)


async def asking(api: Api, **limits: Any) -> dict[str, Any]:
    """A workflow whose one step asks a model that may look flights up."""
    lookup = await api.active_agent(inputSchema={"type": "object", "properties": {"flight": {"type": "string"}}})
    config = {
        "model": "m",
        "prompt": "Was {{ inputs.flight }} late?",
        "responseSchema": LATE,
        "tools": [{"agentId": lookup["id"], "name": "lookup"}],
    }
    agent = await api.active_agent(**agent_body(type="LLM", config=config))
    steps = [step("ask", agent, inputs={"flight": "{{ inputs.flight }}"})]
    schema = {"type": "object", "properties": {"flight": {"type": "string"}}}
    body = workflow_body(steps=steps, inputSchema=schema, output="{{ ask.output.data.late }}", limits=limits)
    return await api.active_workflow(**body)


async def streamed(api: Api, sessions: Sessions, workflow: dict[str, Any], folder: Path) -> tuple[str, list[Event]]:
    """A run of the workflow, and what one who listened from its beginning was told."""
    started = await api.made(f"/workflows/{workflow['id']}/execute", {"inputs": {"flight": "LH1"}})
    execution_id = started["executionId"]
    async with AsyncExitStack() as stack:
        url = f"/api/v1/executions/{execution_id}/stream"
        answer = await stack.enter_async_context(api.client.stream("GET", url, headers=api.headers))
        events = arriving(answer)
        told = [await anext(events)]
        await driven(sessions, UUID(execution_id), folder)
        told += [event async for event in events]
    return execution_id, told


async def test_a_run_that_asks_a_model(api: Api, sessions: Sessions, tmp_path: Path) -> None:
    execution_id, told = await streamed(api, sessions, await asking(api, maxTokens=1100, maxCost=1), tmp_path)

    execution = (await api.get(f"/executions/{execution_id}")).json()["data"]
    assert (execution["status"], execution["outputs"]) == ("COMPLETED", True)
    assert execution["usage"] == {
        "promptTokens": 500,
        "completionTokens": 50,
        "totalCost": 0.00225,
        "percentOfTokenLimit": 50.0,
        "percentOfCostLimit": 0.22,
        "exceeded": None,
    }
    (recorded,) = (await api.get(f"/executions/{execution_id}/steps")).json()["data"]
    assert recorded["usage"]["totalCost"] == 0.00225 == pytest.approx(sum(call["cost"] for call in recorded["calls"]))
    assert [(call["kind"], call["status"]) for call in recorded["calls"]] == [
        ("MODEL", "COMPLETED"),
        ("TOOL", "COMPLETED"),
        ("MODEL", "COMPLETED"),
    ]
    assert recorded["calls"][1]["arguments"] == '{"flight": "LH1"}'
    assert recorded["output"]["provider"] == "fake"
    assert [call["name"] for call in recorded["output"]["toolCalls"]] == ["lookup"]
    assert [share["percent"] for share in recorded["output"]["limits"] if share["of"] == "workflow"] == [50.0, 0.23]

    pieces = [event.data for event in told if event.event == "token"]
    assert "".join(piece["text"] for piece in pieces) == 'Looking with *** … {"late": true}'
    assert {(piece["stepKey"], piece["path"]) for piece in pieces} == {("ask", "ask")}
    assert told[-1].data["status"] == "COMPLETED"

    logs = (await api.get(f"/executions/{execution_id}/logs")).text
    assert KEY not in str(execution) + str(recorded) + str(told) + logs
    assert "fake answered with m" in logs


async def test_a_run_that_would_be_too_dear_fails_with_what_it_used(
    api: Api, sessions: Sessions, tmp_path: Path
) -> None:
    """A call of which it is known before that it does not fit is not made; one that says so at its end is paid."""
    execution_id, _ = await streamed(api, sessions, await asking(api, maxTokens=400), tmp_path)
    stopped = (await api.get(f"/executions/{execution_id}")).json()["data"]
    assert stopped["error"]["code"] == "BUDGET_EXCEEDED"
    assert 0 < stopped["usage"]["percentOfTokenLimit"] < 100
    execution_id, _ = await streamed(api, sessions, await asking(api, maxTokens=520), tmp_path)
    execution = (await api.get(f"/executions/{execution_id}")).json()["data"]
    assert execution["status"] == "FAILED"
    assert execution["error"]["code"] == "BUDGET_EXCEEDED"
    assert execution["error"]["details"]["limits"][0]["percent"] > 100
    assert execution["usage"]["promptTokens"] + execution["usage"]["completionTokens"] == 550
    assert execution["usage"]["exceeded"] == "tokens"
