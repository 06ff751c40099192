"""Runs API agents."""

import asyncio
import weakref
from typing import Any

from agents.api.call import Call
from agents.api.config import read_config
from agents.api.guard import GuardedTransport, Resolver, resolve
from agents.api.tokens import TokenStore
from agents.context import AgentContext, EgressPolicy
from agents.errors import AgentTimeout
from agents.result import AgentResult
from agents.spec import AgentSpec


class ApiExecutor:
    """Keeps one pool of connections for each event loop and egress policy, and OAuth2 tokens until they expire."""

    def __init__(self, resolver: Resolver = resolve) -> None:
        self._resolver = resolver
        self._tokens = TokenStore()
        self._pools: weakref.WeakKeyDictionary[asyncio.AbstractEventLoop, dict[EgressPolicy, GuardedTransport]] = (
            weakref.WeakKeyDictionary()
        )

    async def run(self, spec: AgentSpec, inputs: dict[str, Any], context: AgentContext) -> AgentResult:
        """`inputs` have gone into the config already. The output is `{status, headers, data, durationMs, attempts}`."""
        call = Call(read_config(spec.config), context, self._transport(context.egress), self._tokens)
        limit = context.limits.timeout_seconds
        try:
            async with asyncio.timeout(limit):
                return await call.result()
        except TimeoutError:
            message = f"the call took longer than its limit of {limit:g} s; raise the agent's `timeoutSeconds`"
            raise AgentTimeout(message, details={"timeoutSeconds": limit}) from None

    async def aclose(self) -> None:
        """Closes the connections of the running event loop."""
        for transport in self._pools.pop(asyncio.get_running_loop(), {}).values():
            await transport.aclose()

    def _transport(self, policy: EgressPolicy) -> GuardedTransport:
        pools = self._pools.setdefault(asyncio.get_running_loop(), {})
        if policy not in pools:
            pools[policy] = GuardedTransport(policy, resolver=self._resolver)
        return pools[policy]
