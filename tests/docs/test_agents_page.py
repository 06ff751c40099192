"""Each example of docs/agents.md, run as it stands there: by the executor that it names, or, where it runs a workflow,
made by REST and driven as a worker does."""

import asyncio
import json
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import httpx
import pytest

from agents.api.executor import ApiExecutor
from agents.code.executor import CodeExecutor
from agents.data.executor import DataExecutor
from agents.executor import Executor
from agents.llm.executor import LlmExecutor
from agents.llm.fake import script_problems
from agents.providers.provider import NoProviders, Provider, ProviderKind, ProviderModel
from agents.spec import AgentSpec, AgentType
from agents.validation import config_problems
from deployments.wiring import Wiring
from flows.states import ExecutionStatus
from platform_api.kit.result_store import LocalResultStore
from tests.agents.conftest import LOCAL
from tests.agents.http_server import http_server, json_reply
from tests.factories.api import Api, owner, step
from tests.factories.driving import run_of
from tests.fakes.runtime import Drive, a_run, a_step

PAGE = Path(__file__).parents[2] / "docs" / "agents.md"
SERVICE = "https://flights.example"
"""The address of the page's service, which a server of the test stands in for."""
VARYING = {"durationMs", "dataset"}
_BLOCK = re.compile(r"^```json (\w+)(?: (\w+))?\n(.*?)^```$", re.MULTILINE | re.DOTALL)


@dataclass
class Example:
    """An agent of the page with what stands around it."""

    provider: dict[str, Any]
    service: list[dict[str, Any]] = field(default_factory=list)
    """What the service that an API agent calls answers, one after another."""
    tools: dict[str, dict[str, Any]] = field(default_factory=dict)
    inner: list[tuple[str, str, dict[str, Any]]] = field(default_factory=list)
    """Kind, name and body of the agents and workflows that a WORKFLOW agent needs, in the order in which it does."""
    agent: dict[str, Any] = field(default_factory=dict)
    input: dict[str, Any] = field(default_factory=dict)
    output: dict[str, Any] = field(default_factory=dict)


def examples() -> Iterator[Example]:
    current = Example({})
    for kind, name, text in _BLOCK.findall(PAGE.read_text()):
        document = json.loads(text)
        if name and kind in ("agent", "workflow"):
            current = current if current.inner and not current.agent else Example({})
            current.inner.append((kind, name, document))
        elif kind == "provider":
            current = Example(document)
        elif kind == "tool":
            current.tools[name] = document
        elif kind == "service":
            current = Example({}, service=document)
        elif kind == "agent" and current.agent:  # one that asks no model needs no provider
            current = Example({}, agent=document)
        else:
            setattr(current, kind, document)
        if kind == "output":
            yield current


def filled(document: dict[str, Any], ids: dict[str, str]) -> dict[str, Any]:
    """With the ids that it speaks of."""
    text = re.sub(r"<id of (\w+)>", lambda match: ids[match[1]], json.dumps(document))
    return dict(json.loads(text))


@dataclass
class Given:
    provider: Provider

    async def usable(self) -> Sequence[Provider]:
        return (self.provider,)


def spec(key: str, body: dict[str, Any]) -> AgentSpec:
    assert config_problems(AgentType(body["type"]), body["config"]) == []
    return AgentSpec.model_validate({"id": key, "version": 1, **body})


def answer(body: dict[str, Any]) -> bytes:
    headers = {name.replace("-", "_"): value for name, value in body.get("headers", {}).items()}
    return json_reply(body.get("body"), body["status"], **headers)


def provider(body: dict[str, Any]) -> Provider:
    assert script_problems(body["script"]) == []
    models = tuple(ProviderModel.model_validate(each) for each in body.get("models", ()))
    return Provider(id="p", name=body["name"], kind=ProviderKind(body["kind"]), models=models, script=body["script"])


EXAMPLES = list(examples())
BY_THEMSELVES = [example for example in EXAMPLES if not example.inner]
WITH_A_WORKFLOW = [example for example in EXAMPLES if example.inner]


def test_there_is_an_example_of_every_kind() -> None:
    assert {example.agent["type"] for example in EXAMPLES} == set(AgentType)


@pytest.mark.parametrize("example", BY_THEMSELVES, ids=lambda example: example.agent["name"])
async def test_an_example_gives_what_the_page_shows(example: Example, tmp_path: Path) -> None:
    async with http_server() as service:
        service.answers = [answer(each) for each in example.service] or service.answers
        agent = json.loads(json.dumps(example.agent).replace(SERVICE, service.url("")))
        agent = filled(agent, {name: name for name in example.tools})
        output = await output_of(replace(example, agent=agent), tmp_path)
    expected = {name: output[name] if name in VARYING else value for name, value in example.output.items()}
    assert {name: output[name] for name in expected} == expected
    if not example.tools:
        assert set(output) == set(expected), "the page shows all of it"


async def output_of(example: Example, tmp_path: Path) -> dict[str, Any]:
    inputs = {name: f"{{{{ inputs.{name} }}}}" for name in example.input}
    run = a_run(a_step("it", inputs=inputs), agent=spec("a", example.agent), inputs=example.input)
    tools = {name: spec(name, body) for name, body in example.tools.items()}
    drive = Drive(run=replace(run, plan=run.plan.model_copy(update={"agents": {**run.plan.agents, **tools}})))
    executors: dict[AgentType, Executor] = {
        AgentType.API: ApiExecutor(),
        AgentType.CODE: CodeExecutor(),
        AgentType.DATA: DataExecutor(),
        AgentType.LLM: LlmExecutor(),
    }
    drive.ports = replace(
        drive.ports,
        executors=executors,
        egress=LOCAL,
        providers=Given(provider(example.provider)) if example.provider else NoProviders(),
        results=LocalResultStore(tmp_path),
    )
    try:
        outcome = await drive.once()
    finally:
        await asyncio.gather(*(executor.aclose() for executor in executors.values()))
    assert outcome.status is ExecutionStatus.COMPLETED, outcome.error
    output: dict[str, Any] = outcome.outputs["it"]
    return output


@pytest.mark.parametrize("example", WITH_A_WORKFLOW, ids=lambda example: example.agent["name"])
async def test_an_example_with_a_workflow_gives_what_the_page_shows(
    example: Example, client: httpx.AsyncClient, wiring: Wiring
) -> None:
    api = await owner(client)
    agent = await api.active_agent(**await body_of(example, api))
    inputs = {name: f"{{{{ inputs.{name} }}}}" for name in example.input}
    outer = await api.active_workflow(steps=[step("it", agent, inputs=inputs)])
    shown, outcome = await run_of(api, wiring, outer, inputs=example.input)
    assert outcome.outputs["it"] == example.output
    nested = (await api.get("/executions", parentExecutionId=shown["id"])).json()["data"]
    assert [execution["status"] for execution in nested] == ["COMPLETED"]


async def body_of(example: Example, api: Api) -> dict[str, Any]:
    """The example's agent, once what it needs has been made."""
    ids: dict[str, str] = {}
    for kind, name, body in example.inner:
        make = api.active_agent if kind == "agent" else api.active_workflow
        ids[name] = (await make(**filled(body, ids)))["id"]
    return filled(example.agent, ids)
