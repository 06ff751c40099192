"""The egress guard: the one way in which the platform opens a connection on behalf of a tenant.

    policy = EgressPolicy(allow=("10.0.0.0/8", "ollama.internal"))
    async with httpx.AsyncClient(transport=GuardedTransport(policy), trust_env=False) as client: ...

`GuardedTransport` checks each request's URL; below it `GuardedBackend` resolves the name once, drops every address that
the policy refuses, and connects to exactly one of the rest, while `Host` and the TLS name stay those of the URL. A
connection is only ever reused for the same host under the same policy. Redirects are the caller's to follow, each
through the guard again; proxies from the environment are not used. Anything refused raises `EgressRefused`.
"""

import asyncio
import ipaddress
import logging
import socket
import ssl
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable, Iterator
from contextlib import contextmanager
from functools import cache

import httpcore
import httpx

from agents.api.addresses import Address, allowed_names, allowed_networks, is_in, normal_name, parse_host, refusal
from agents.context import EgressPolicy
from agents.errors import EgressRefused

Resolver = Callable[[str, int], Awaitable[list[str]]]
"""Host name and port to addresses, best first; raises `OSError` when there are none."""

SCHEMES = ("http", "https")
LOOPBACK = ("127.0.0.1", "::1")
SETTING = "EGRESS_ALLOW"
MAX_CONNECTIONS, MAX_IDLE, IDLE_SECONDS = 200, 50, 30.0
MAX_ADDRESSES_TRIED = 4
MAX_PORT = 65535

# Its debug log spells out every header, credentials included.
logging.getLogger("hpack").setLevel(logging.INFO)


async def resolve(host: str, port: int) -> list[str]:
    """The system's resolver, off the event loop."""
    found = await asyncio.get_running_loop().getaddrinfo(host, port, type=socket.SOCK_STREAM)
    return list(dict.fromkeys(str(address[0]) for *_, address in found))


class Guard:
    """Decides what may be reached under one policy."""

    def __init__(self, policy: EgressPolicy, resolver: Resolver = resolve) -> None:
        self._networks = allowed_networks(policy.allow)
        self._names = allowed_names(policy.allow)
        self._resolver = resolver

    def check_url(self, url: httpx.URL) -> None:
        """What can be seen without a look-up: scheme, credentials in the URL, addresses spelled out."""
        if url.scheme not in SCHEMES:
            raise _refused(f"the scheme {url.scheme!r} is not allowed; use http or https")
        if not url.host:
            raise _refused("the URL has no host")
        if url.userinfo:
            raise _refused("user name and password in a URL are not allowed; use `auth` instead")
        if url.port is not None and not 0 < url.port <= MAX_PORT:
            raise _refused(f"{url.port} is no port")
        literal = _literal(url.host)
        if literal is not None:
            self._permitted(url.host, [literal])

    async def addresses(self, host: str, port: int) -> list[str]:
        """The permitted addresses of `host` after a single look-up; never empty."""
        literal = _literal(host)
        name = normal_name(host)
        if literal is not None:
            found = [literal]
        elif name == "localhost" or name.endswith(".localhost"):
            found = [ipaddress.ip_address(text) for text in LOOPBACK]
        else:
            found = _parsed(await self._resolver(host, port))
        return [str(address) for address in self._permitted(host, found)]

    def _permitted(self, host: str, found: list[Address]) -> list[Address]:
        if normal_name(host) in self._names:
            return found
        refused = {address: reason for address in found if (reason := self._refusal(address))}
        permitted = [address for address in found if address not in refused]
        if permitted:
            return permitted
        address, reason = next(iter(refused.items()))
        where = str(address) if host.strip("[]") == str(address) else f"{host} ({address})"
        raise _refused(
            f"{where} may not be reached: the address is {reason}; the operator can allow it in {SETTING}",
            host=host,
            address=str(address),
        )

    def _refusal(self, address: Address) -> str | None:
        return None if is_in(address, self._networks) else refusal(address)


class GuardedBackend(httpcore.AsyncNetworkBackend):
    """Opens TCP connections to permitted addresses only."""

    def __init__(self, guard: Guard, network: httpcore.AsyncNetworkBackend) -> None:
        self._guard = guard
        self._network = network

    async def connect_tcp(
        self,
        host: str,
        port: int,
        timeout: float | None = None,  # noqa: ASYNC109 - httpcore's signature
        local_address: str | None = None,
        socket_options: Iterable[httpcore.SOCKET_OPTION] | None = None,
    ) -> httpcore.AsyncNetworkStream:
        with _connect_errors():
            async with asyncio.timeout(timeout):
                addresses = await self._guard.addresses(host, port)
        failure: Exception = httpcore.ConnectError(f"{host} has no address")
        for address in addresses[:MAX_ADDRESSES_TRIED]:
            try:
                return await self._network.connect_tcp(address, port, timeout, local_address, socket_options)
            except httpcore.ConnectError as error:
                failure = error
        raise failure

    async def connect_unix_socket(
        self,
        path: str,
        timeout: float | None = None,  # noqa: ASYNC109 - httpcore's signature
        socket_options: Iterable[httpcore.SOCKET_OPTION] | None = None,
    ) -> httpcore.AsyncNetworkStream:
        raise _refused("unix sockets are not allowed")

    async def sleep(self, seconds: float) -> None:
        await asyncio.sleep(seconds)


class GuardedTransport(httpx.AsyncBaseTransport):
    """A pool of HTTP/1.1 and HTTP/2 connections behind the guard; belongs to the event loop that first uses it."""

    def __init__(
        self,
        policy: EgressPolicy,
        *,
        resolver: Resolver = resolve,
        network: httpcore.AsyncNetworkBackend | None = None,
        tls: ssl.SSLContext | None = None,
    ) -> None:
        self._guard = Guard(policy, resolver)
        self._pool = httpcore.AsyncConnectionPool(
            ssl_context=tls or _tls_context(),
            max_connections=MAX_CONNECTIONS,
            max_keepalive_connections=MAX_IDLE,
            keepalive_expiry=IDLE_SECONDS,
            http1=True,
            http2=True,
            network_backend=GuardedBackend(self._guard, network or httpcore.AnyIOBackend()),
        )

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        self._guard.check_url(request.url)
        outgoing = httpcore.Request(
            method=request.method,
            url=httpcore.URL(
                scheme=request.url.raw_scheme,
                host=request.url.raw_host,
                port=request.url.port,
                target=request.url.raw_path,
            ),
            headers=request.headers.raw,
            content=request.stream,
            extensions=request.extensions,
        )
        with _httpx_errors():
            answer = await self._pool.handle_async_request(outgoing)
        return httpx.Response(
            status_code=answer.status,
            headers=answer.headers,
            stream=_Body(answer),
            extensions=answer.extensions,
        )

    async def aclose(self) -> None:
        await self._pool.aclose()


class _Body(httpx.AsyncByteStream):
    """The bytes as they come from the wire."""

    def __init__(self, answer: httpcore.Response) -> None:
        self._answer = answer

    async def __aiter__(self) -> AsyncIterator[bytes]:
        with _httpx_errors():
            async for part in self._answer.aiter_stream():
                yield part

    async def aclose(self) -> None:
        with _httpx_errors():
            await self._answer.aclose()


@contextmanager
def _connect_errors() -> Iterator[None]:
    try:
        yield
    except TimeoutError as error:
        raise httpcore.ConnectTimeout("the name was not resolved in time") from error
    except OSError as error:
        raise httpcore.ConnectError(f"the name cannot be resolved: {error.strerror or error}") from error
    except UnicodeError as error:
        raise httpcore.ConnectError("the name is no valid host name") from error


@contextmanager
def _httpx_errors() -> Iterator[None]:
    """httpx's exceptions have the same names as httpcore's, but are other classes."""
    try:
        yield
    except (httpcore.TimeoutException, httpcore.NetworkError, httpcore.ProtocolError) as error:
        kind: type[httpx.TransportError] = getattr(httpx, type(error).__name__)
        raise kind(str(error) or type(error).__name__) from error


@cache
def _tls_context() -> ssl.SSLContext:
    """Reading the certificate bundle takes tens of milliseconds, once a process."""
    return httpx.create_ssl_context()


def _literal(host: str) -> Address | None:
    try:
        return parse_host(normal_name(host))
    except ValueError as error:
        raise _refused(str(error)) from None


def _parsed(addresses: list[str]) -> list[Address]:
    if not addresses:
        raise OSError("the name has no address")
    return [ipaddress.ip_address(text) for text in addresses]


def _refused(message: str, **details: str) -> EgressRefused:
    return EgressRefused(message, path="url", details=details)
