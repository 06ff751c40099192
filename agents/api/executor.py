"""Runs API agents."""

import asyncio
from typing import Any

from agents.api.call import Call
from agents.api.config import read_config
from agents.api.tokens import TokenStore
from agents.context import AgentContext
from agents.egress.guard import Resolver, resolve
from agents.egress.transports import Transports
from agents.errors import AgentTimeout
from agents.result import AgentResult
from agents.spec import AgentSpec


class ApiExecutor:
    """Keeps connections, and OAuth2 tokens until they expire."""

    def __init__(self, resolver: Resolver = resolve) -> None:
        self._transports = Transports(resolver)
        self._tokens = TokenStore()

    async def run(self, spec: AgentSpec, inputs: dict[str, Any], context: AgentContext) -> AgentResult:
        """`inputs` have gone into the config already. The output is `{status, headers, data, durationMs, attempts}`."""
        call = Call(read_config(spec.config), context, self._transports.get(context.egress), self._tokens)
        limit = context.limits.timeout_seconds
        try:
            async with asyncio.timeout(limit):
                return await call.result()
        except TimeoutError:
            message = f"the call took longer than its limit of {limit:g} s; raise the agent's `timeoutSeconds`"
            raise AgentTimeout(message, details={"timeoutSeconds": limit}) from None

    async def aclose(self) -> None:
        """Closes the connections of the running event loop."""
        await self._transports.aclose()
