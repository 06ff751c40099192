"""An executor that is allowed to call it."""

from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import dataclass, field
from typing import Any, cast

import pytest

from agents.api.executor import ApiExecutor
from agents.context import AgentContext, DatasetStore
from agents.egress.policy import EgressPolicy
from agents.spec import AgentSpec, AgentType, Limits
from tests.agents.conftest import LOCAL


@dataclass
class Lines:
    """A log that keeps what was written."""

    written: list[tuple[str, str]] = field(default_factory=list)

    def __call__(self, level: str, message: str, **metadata: Any) -> None:
        self.written.append((level, message))


@pytest.fixture
async def executor() -> AsyncIterator[ApiExecutor]:
    executor = ApiExecutor()
    yield executor
    await executor.aclose()


@pytest.fixture
def log() -> Lines:
    return Lines()


Call = Callable[..., Awaitable[dict[str, Any]]]


@pytest.fixture
def call(executor: ApiExecutor, log: Lines) -> Call:
    """Runs a config and gives back the output; retries do not wait unless the test says so."""

    async def run(
        config: dict[str, Any], egress: EgressPolicy = LOCAL, timeout_seconds: float | None = 20, using: Any = None
    ) -> dict[str, Any]:
        whole = {"retry": {"maxAttempts": 1}, **config}
        spec = AgentSpec(id="a1", version=1, name="caller", type=AgentType.API, config=whole)
        context = AgentContext(
            limits=Limits(timeout_seconds=timeout_seconds),
            log=log,
            datasets=cast(DatasetStore, None),
            idempotency_key="key-1",
            egress=egress,
        )
        result = await (using or executor).run(spec, {}, context)
        return cast(dict[str, Any], result.output)

    return run
