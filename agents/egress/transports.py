"""Connections that are kept from one step to the next."""

import asyncio
import weakref
from dataclasses import dataclass, field

from agents.egress.connections import IDLE_SECONDS
from agents.egress.guard import Resolver, resolve
from agents.egress.policy import EgressPolicy
from agents.egress.transport import GuardedTransport

MAX_KEPT = 1000
"""Pools of one event loop beyond which those without a connection are forgotten, the longest unused first."""


@dataclass
class _Kept:
    """Of one event loop; `tidying` is when it looks for connections that nobody uses."""

    transports: dict[EgressPolicy, GuardedTransport] = field(default_factory=dict)
    tidying: asyncio.TimerHandle | None = None
    tidy: asyncio.Task[None] | None = None


class Transports:
    """One pool of connections for each event loop and policy, and so for each tenant: what one policy let through
    serves no other, and what one tenant's servers hold up is no other's connection."""

    def __init__(self, resolver: Resolver = resolve) -> None:
        self._resolver = resolver
        self._kept: weakref.WeakKeyDictionary[asyncio.AbstractEventLoop, _Kept] = weakref.WeakKeyDictionary()

    def get(self, policy: EgressPolicy) -> GuardedTransport:
        """The running event loop's. Belongs to this object: do not close it."""
        kept = self._kept.setdefault(asyncio.get_running_loop(), _Kept())
        transport = kept.transports.pop(policy, None) or GuardedTransport(policy, resolver=self._resolver)
        kept.transports[policy] = transport
        _forget_unused(kept.transports)
        if kept.tidying is None:
            _tidy_later(kept)
        return transport

    async def aclose(self) -> None:
        """Closes the connections of the running event loop."""
        kept = self._kept.pop(asyncio.get_running_loop(), _Kept())
        if kept.tidying is not None:
            kept.tidying.cancel()
        for transport in kept.transports.values():
            await transport.aclose()


def _tidy_later(kept: _Kept) -> None:
    def begin() -> None:
        kept.tidy = asyncio.ensure_future(_tidy(kept))

    kept.tidying = asyncio.get_running_loop().call_later(IDLE_SECONDS, begin)


async def _tidy(kept: _Kept) -> None:
    """A tenant who does not come back would leave its connections open for ever."""
    for transport in list(kept.transports.values()):
        await transport.close_expired()
    kept.tidying = None
    if any(transport.has_connections for transport in kept.transports.values()):
        _tidy_later(kept)


def _forget_unused(transports: dict[EgressPolicy, GuardedTransport]) -> None:
    surplus = len(transports) - MAX_KEPT
    if surplus <= 0:
        return
    unused = [policy for policy, transport in transports.items() if not transport.has_connections]
    for policy in unused[:surplus]:
        del transports[policy]
