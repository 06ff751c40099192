"""What a program with a network can reach: nothing but what its agent and its tenant both name, through the guard.

The program's own network has one port in it, an HTTP proxy, whose other side is here (`guest.network` says how it gets
here). Names are looked up on this side, so the program needs no resolver, and cannot be sent to another address by one.
"""

import asyncio
import socket

from agents.code.backend import Network
from agents.code.guest import network
from agents.context import Log
from agents.egress.guard import Guard
from agents.egress.hosts import AllowedHosts
from agents.egress.tunnel import Head, Proxy
from agents.errors import AgentError

MAX_LOGGED = 100
"""Connections of one run; of more the log says that there were more."""


class ProgramNetwork(Proxy):
    """The network of one run."""

    def __init__(self, guard: Guard, hosts: AllowedHosts, log: Log) -> None:
        super().__init__(guard)
        self._hosts = hosts
        self._log = log
        self._logged = 0

    async def __call__(self, listener: socket.socket) -> None:
        """As `backend.Network`."""
        async with self.serving(listener):
            await asyncio.get_running_loop().create_future()

    def check(self, head: Head) -> None:
        """Raises `EgressRefused` for a host that the agent, or the tenant, does not name."""
        self._hosts.check(head.host, head.port)

    def connected(self, head: Head) -> None:
        """Only then: what the guard refuses is none."""
        self._tell("INFO", f"the program connects to {head.host}:{head.port}")

    def refused(self, error: AgentError) -> None:
        """A program may keep what it is told to itself."""
        self._tell("WARN", f"the program was held back: {error}")

    def _tell(self, level: str, message: str) -> None:
        self._logged += 1
        if self._logged <= MAX_LOGGED:
            self._log(level, message)
        elif self._logged == MAX_LOGGED + 1:
            self._log("WARN", f"the program makes more than {MAX_LOGGED} connections; the log leaves out the others")


async def serve(channel: socket.socket, given: Network) -> None:
    """Until it is cancelled: `given`, with the listening socket that the run hands out over `channel`."""
    with channel:
        channel.setblocking(False)
        await _until_readable(channel)
        try:
            listener = network.taken(channel)
        except OSError:  # the run ended before it had one, and says so itself
            return
    with listener:
        await given(listener)


async def _until_readable(channel: socket.socket) -> None:
    loop = asyncio.get_running_loop()
    ready = asyncio.Event()
    loop.add_reader(channel, ready.set)
    try:
        await ready.wait()
    finally:
        loop.remove_reader(channel)
