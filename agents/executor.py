"""The one contract behind which every kind of agent works."""

from typing import Any, Protocol

from agents.context import AgentContext
from agents.result import AgentResult
from agents.spec import AgentSpec


class Executor(Protocol):
    """Runs agents of one kind."""

    async def run(self, spec: AgentSpec, inputs: dict[str, Any], context: AgentContext) -> AgentResult:
        """Does the work once.

        `spec.config` arrives with its templates filled in and `inputs` already checked against `inputSchema`.
        Raises `AgentError`; anything else is a defect of the executor.
        """
        ...

    async def aclose(self) -> None:
        """Lets go of what it keeps between runs in the running event loop (connections)."""
        ...
