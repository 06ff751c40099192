"""Connections that are kept from one step to the next."""

import asyncio
import weakref

from agents.egress.guard import Resolver, resolve
from agents.egress.policy import EgressPolicy
from agents.egress.transport import GuardedTransport


class Transports:
    """One pool of connections for each event loop and policy: what one policy let through serves no other."""

    def __init__(self, resolver: Resolver = resolve) -> None:
        self._resolver = resolver
        self._kept: weakref.WeakKeyDictionary[asyncio.AbstractEventLoop, dict[EgressPolicy, GuardedTransport]] = (
            weakref.WeakKeyDictionary()
        )

    def get(self, policy: EgressPolicy) -> GuardedTransport:
        """The running event loop's. Belongs to this object: do not close it."""
        kept = self._kept.setdefault(asyncio.get_running_loop(), {})
        if policy not in kept:
            kept[policy] = GuardedTransport(policy, resolver=self._resolver)
        return kept[policy]

    async def aclose(self) -> None:
        """Closes the connections of the running event loop."""
        for transport in self._kept.pop(asyncio.get_running_loop(), {}).values():
            await transport.aclose()
