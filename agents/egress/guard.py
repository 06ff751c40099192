"""Decides what may be reached under a policy: first by what a URL says, then by what its name resolves to."""

import asyncio
import ipaddress
import re
import socket
from collections.abc import Awaitable, Callable
from concurrent.futures import ThreadPoolExecutor
from functools import partial

import httpx2

from agents.egress.addresses import Address, normal_name, parse_host, refusal
from agents.egress.allowlist import allowed_names, allowed_networks, is_in
from agents.egress.look_ups import in_turn
from agents.egress.policy import EgressPolicy
from agents.errors import ConnectionFailed, EgressRefused

Resolver = Callable[[str, int], Awaitable[list[str]]]
"""Host name and port to addresses, best first; raises `OSError` when there are none."""

SCHEMES = ("http", "https")
LOOPBACK = ("127.0.0.1", "::1")
SETTING = "EGRESS_ALLOW"
MAX_PORT = 65535
DEFAULT_PORTS = {"http": 80, "https": 443}
LOOK_UP_SECONDS = 10.0
MAX_LOOK_UPS = 64
PLAIN_URL = re.compile(r"https?://[A-Za-z0-9.\-:\[\]]+(/[A-Za-z0-9._~!$&'()*+,;=:@%/\-]*)?", re.IGNORECASE)
"""What every parser of URLs reads the same way: a library has one of its own."""


_look_ups = ThreadPoolExecutor(MAX_LOOK_UPS, thread_name_prefix="look-up")
"""Their own, so that a name server which never answers holds up nothing else that needs a thread."""


async def resolve(host: str, port: int) -> list[str]:
    """The system's resolver, off the event loop."""
    ask = partial(socket.getaddrinfo, host, port, type=socket.SOCK_STREAM)
    found = await asyncio.get_running_loop().run_in_executor(_look_ups, ask)
    return list(dict.fromkeys(str(address[0]) for *_, address in found))


class Guard:
    """Decides what may be reached under one policy."""

    def __init__(self, policy: EgressPolicy, resolver: Resolver = resolve) -> None:
        self._networks = allowed_networks(policy.allow)
        self._names = allowed_names(policy.allow)
        self._resolver = resolver
        self._tenant = policy.tenant

    def check_url(self, url: httpx2.URL) -> None:
        """What can be seen without a look-up: scheme, credentials in the URL, addresses spelled out."""
        if url.scheme not in SCHEMES:
            raise egress_refused(f"the scheme {url.scheme!r} is not allowed; use http or https")
        if not url.host:
            raise egress_refused("the URL has no host; write https://host/path")
        if url.userinfo:
            raise egress_refused("user name and password in a URL are not allowed; use `auth` instead")
        if url.port is not None and not 0 < url.port <= MAX_PORT:
            raise egress_refused(f"{url.port} is no port; ports go from 1 to {MAX_PORT}")
        host = url.raw_host.decode("ascii")
        literal = _literal(host)
        if literal is not None:
            self._permitted(host, [literal])

    async def addresses(self, host: str, port: int) -> list[str]:
        """The permitted addresses of `host` after a single look-up; never empty."""
        return [str(address) for address in self._permitted(host, await self._look_up(host, port))]

    async def check_host(self, host: str, port: int) -> list[str]:
        """For libraries that connect by themselves: the addresses of `host`, all of them permitted.

        One refused address refuses the host, since nobody knows which one the library will take. A library that can be
        told an address (`hostaddr` of PostgreSQL) is told one of these, so that no second look-up can say otherwise.
        """
        try:
            async with asyncio.timeout(LOOK_UP_SECONDS):
                found = await self._look_up(host, port)
        except TimeoutError:
            raise ConnectionFailed(f"{host}: the name was not resolved in time", path="url") from None
        except (OSError, UnicodeError):
            raise ConnectionFailed(f"{host}: the name cannot be resolved", path="url") from None
        return [str(each) for address in found for each in self._permitted(host, [address])]

    async def check_endpoint(self, url: str) -> list[str]:
        """The same for the http or https URL of a service, such as an object store's endpoint."""
        if not PLAIN_URL.fullmatch(url):
            raise egress_refused("the endpoint is no plain http or https URL; write https://host:port/path")
        try:
            parsed = httpx2.URL(url)
        except httpx2.InvalidURL:
            raise egress_refused("the endpoint cannot be understood; write https://host:port/path") from None
        self.check_url(parsed)
        return await self.check_host(parsed.raw_host.decode("ascii"), parsed.port or DEFAULT_PORTS[parsed.scheme])

    async def _look_up(self, host: str, port: int) -> list[Address]:
        literal = _literal(host)
        if literal is not None:
            return [literal]
        name = normal_name(host)
        if name == "localhost" or name.endswith(".localhost"):
            return [ipaddress.ip_address(text) for text in LOOPBACK]
        return _parsed(await in_turn(self._tenant, partial(self._resolver, host, port)))

    def _permitted(self, host: str, found: list[Address]) -> list[Address]:
        if normal_name(host) in self._names:
            return found
        refused = {address: reason for address in found if (reason := self._refusal(address))}
        permitted = [address for address in found if address not in refused]
        if permitted:
            return permitted
        raise egress_refused(
            f"{host} may not be reached: {_described(host, *next(iter(refused.items())))}; "
            f"the operator can allow it in {SETTING}",
            host=host,
        )

    def _refusal(self, address: Address) -> str | None:
        return None if is_in(address, self._networks) else refusal(address)


def _literal(host: str) -> Address | None:
    try:
        return parse_host(normal_name(host))
    except ValueError as error:
        raise egress_refused(str(error)) from None


def _described(host: str, address: Address, reason: str) -> str:
    """Never says what a name resolves to: the names of an inner network are none of a tenant's business."""
    spelled_out = _literal(host) is not None
    return f"{address} is {reason}" if spelled_out else f"its address is {reason}"


def _parsed(addresses: list[str]) -> list[Address]:
    if not addresses:
        raise OSError("the name has no address")
    return [ipaddress.ip_address(text) for text in addresses]


def egress_refused(message: str, **details: str) -> EgressRefused:
    return EgressRefused(message, path="url", details=details)
