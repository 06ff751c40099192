"""An executor whose providers a test names, and a server that speaks the OpenAI protocol."""

from collections.abc import AsyncIterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, cast

import pytest

from agents.context import AgentContext, DatasetStore
from agents.errors import Problem
from agents.llm.circuit import Circuits
from agents.llm.executor import LlmExecutor
from agents.providers.budget import Unbounded
from agents.providers.provider import Provider, ProviderKind
from agents.result import AgentResult
from agents.spec import AgentSpec, AgentType, Limits
from tests.agents.conftest import LOCAL
from tests.agents.http_server import Server

KEY = "sk-canary-5f1c9e7a"


def fake(*answers: dict[str, Any], name: str = "fake", **changes: Any) -> Provider:
    """A FAKE provider with that script."""
    return Provider(id=name, name=name, kind=ProviderKind.FAKE, script={"answers": list(answers)}, **changes)


def remote(server: Server, *, name: str = "remote", kind: str = "OPENAI_COMPATIBLE", **changes: Any) -> Provider:
    """A provider that is the test's server."""
    base: dict[str, Any] = {"base_url": server.url("/v1"), "api_key": KEY, "models": ()}
    return Provider(id=name, name=name, kind=ProviderKind(kind), **(base | changes))


class TellingTheType:
    """Stands in for the compiler's check of schemas: knows `type`, `required` and `properties`."""

    def __call__(self, schema: Mapping[str, Any], value: Any) -> Sequence[Problem]:
        if schema.get("type") == "object" and not isinstance(value, dict):
            return [Problem(path="", code="TYPE", message="it is no object")]
        missing = [name for name in schema.get("required", ()) if name not in value]
        return [Problem(path=name, code="MISSING", message="it is required") for name in missing]


@dataclass
class Harness:
    """Runs LLM agents and keeps what they tell."""

    executor: LlmExecutor
    shown: list[str] = field(default_factory=list)
    lines: list[tuple[str, str, dict[str, Any]]] = field(default_factory=list)
    pauses: list[float] = field(default_factory=list)

    async def run(self, config: dict[str, Any], *providers: Provider, **around: Any) -> AgentResult:
        limits = Limits(**around.pop("limits", {}))
        spec = AgentSpec(
            id="a1", version=1, name="asker", type=AgentType.LLM, config={"model": "m", **config}, limits=limits
        )
        context = AgentContext(
            limits=limits,
            log=lambda level, message, **more: self.lines.append((level, message, more)),
            datasets=cast(DatasetStore, None),
            idempotency_key="key-1",
            egress=around.pop("egress", LOCAL),
            providers=Given(providers),
            tell_text=around.pop("tell_text", self.shown.append),
            check_schema=TellingTheType(),
            budget=around.pop("budget", Unbounded()),
            **around,
        )
        return await self.executor.run(spec, {}, context)

    async def output(self, config: dict[str, Any], *providers: Provider, **around: Any) -> dict[str, Any]:
        return cast(dict[str, Any], (await self.run(config, *providers, **around)).output)


@dataclass
class Given:
    """A tenant with those providers."""

    providers: Sequence[Provider]

    async def usable(self) -> Sequence[Provider]:
        return self.providers


@pytest.fixture
async def harness(monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Harness]:
    """Pauses between turns take no time here; they are kept in `pauses`."""
    clock = [0.0]
    made = Harness(LlmExecutor(circuits=Circuits(lambda: clock[0])))

    async def pause(seconds: float) -> None:
        made.pauses.append(seconds)
        clock[0] += seconds

    monkeypatch.setattr("agents.llm.asking.pause", pause)
    yield made
    await made.executor.aclose()
