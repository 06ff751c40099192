"""Sends requests over connections that go to permitted addresses only.

`GuardedTransport` checks each request's URL; below it `GuardedBackend` resolves the name once, drops every address that
the policy refuses, and connects to exactly one of the rest, while `Host` and the TLS name stay those of the URL. A
connection is only ever reused for the same scheme, host and port under the same policy, so no reuse skips the check.
Redirects are the caller's to follow, each through the transport again; proxies from the environment are not used.
Anything refused raises `EgressRefused`.
"""

import asyncio
import logging
import ssl
import time
from collections.abc import AsyncIterator, Callable, Iterable, Iterator
from contextlib import contextmanager
from functools import cache, partial
from typing import Any

import httpcore2
import httpx2

from agents.egress.connections import ConnectionPool
from agents.egress.failures import described
from agents.egress.guard import Guard, Resolver, egress_refused, resolve
from agents.egress.places import Places
from agents.egress.policy import EgressPolicy

MAX_ADDRESSES_TRIED = 4
MAX_PER_HOST = 64
"""Requests at once to one host and port under one policy, so that a slow server leaves connections for the others."""

# Their debug logs spell out headers, credentials included.
for _chatty in ("hpack", "httpcore2"):
    logging.getLogger(_chatty).setLevel(logging.INFO)


class GuardedBackend(httpcore2.AsyncNetworkBackend):
    """Opens TCP connections to permitted addresses only, which share the time between them."""

    def __init__(self, guard: Guard, network: httpcore2.AsyncNetworkBackend) -> None:
        self._guard = guard
        self._network = network

    async def connect_tcp(
        self,
        host: str,
        port: int,
        timeout: float | None = None,  # noqa: ASYNC109 - httpcore2's signature
        local_address: str | None = None,
        socket_options: Iterable[httpcore2.SOCKET_OPTION] | None = None,
    ) -> httpcore2.AsyncNetworkStream:
        started = time.monotonic()
        with _connect_errors():
            async with asyncio.timeout(timeout):
                addresses = (await self._guard.addresses(host, port))[:MAX_ADDRESSES_TRIED]
        failure: Exception = httpcore2.ConnectError(f"{host} has no address")
        for tried, address in enumerate(addresses):
            left = None if timeout is None else timeout - (time.monotonic() - started)
            share = None if left is None else max(left, 0) / (len(addresses) - tried)
            try:
                return _Stream(await self._network.connect_tcp(address, port, share, local_address, socket_options))
            except (httpcore2.ConnectError, httpcore2.ConnectTimeout) as error:
                failure = error
        raise failure

    async def connect_unix_socket(
        self,
        path: str,
        timeout: float | None = None,  # noqa: ASYNC109 - httpcore2's signature
        socket_options: Iterable[httpcore2.SOCKET_OPTION] | None = None,
    ) -> httpcore2.AsyncNetworkStream:
        raise egress_refused("unix sockets are not allowed")

    async def sleep(self, seconds: float) -> None:
        await asyncio.sleep(seconds)


class _Stream(httpcore2.AsyncNetworkStream):
    """Does what httpcore2 leaves undone: closes the connection when the TLS handshake is cancelled, and takes TLS that
    becomes nonsense for a broken connection."""

    def __init__(self, stream: httpcore2.AsyncNetworkStream) -> None:
        self._stream = stream

    async def read(self, max_bytes: int, timeout: float | None = None) -> bytes:  # noqa: ASYNC109 - httpcore2's
        try:
            return await self._stream.read(max_bytes, timeout)
        except ssl.SSLError as error:
            raise httpcore2.ReadError(f"the connection's TLS is broken: {error.reason}") from error

    async def write(self, buffer: bytes, timeout: float | None = None) -> None:  # noqa: ASYNC109 - httpcore2's
        try:
            await self._stream.write(buffer, timeout)
        except ssl.SSLError as error:
            raise httpcore2.WriteError(f"the connection's TLS is broken: {error.reason}") from error

    async def aclose(self) -> None:
        await self._stream.aclose()

    async def start_tls(
        self,
        ssl_context: ssl.SSLContext,
        server_hostname: str | None = None,
        timeout: float | None = None,  # noqa: ASYNC109 - httpcore2's signature
    ) -> httpcore2.AsyncNetworkStream:
        try:
            return _Stream(await self._stream.start_tls(ssl_context, server_hostname, timeout))
        except BaseException:
            await self._stream.aclose()
            raise

    def get_extra_info(self, info: str) -> Any:
        return self._stream.get_extra_info(info)


class GuardedTransport(httpx2.AsyncBaseTransport):
    """A pool of HTTP/1.1 and HTTP/2 connections behind the guard; belongs to the event loop that first uses it."""

    def __init__(
        self,
        policy: EgressPolicy,
        *,
        resolver: Resolver = resolve,
        network: httpcore2.AsyncNetworkBackend | None = None,
        tls: ssl.SSLContext | None = None,
    ) -> None:
        self._guard = Guard(policy, resolver)
        backend = GuardedBackend(self._guard, network or httpcore2.AnyIOBackend())
        self._pool = ConnectionPool(tls or _tls_context(), backend)
        self._places = Places(MAX_PER_HOST)

    @property
    def has_connections(self) -> bool:
        """Open ones, or such as are being opened."""
        return bool(self._pool.connections)

    async def close_expired(self) -> None:
        """Closes connections that nothing has used for a while."""
        await self._pool.close_expired()

    async def handle_async_request(self, request: httpx2.Request) -> httpx2.Response:
        self._guard.check_url(request.url)
        host = request.url.netloc.decode("ascii").lower()
        with _httpx_errors():
            await self._take_place(host, request.extensions.get("timeout", {}).get("pool"))
        try:
            return await self._send(request, partial(self._places.give_back, host))
        except BaseException:
            self._places.give_back(host)
            raise

    async def aclose(self) -> None:
        await self._pool.aclose()

    async def _take_place(self, host: str, seconds: float | None) -> None:
        try:
            async with asyncio.timeout(seconds):
                await self._places.take(host)
        except TimeoutError as error:
            message = f"{MAX_PER_HOST} requests to {host} are under way and none has ended within {seconds:g} s"
            raise httpcore2.PoolTimeout(message) from error

    async def _send(self, request: httpx2.Request, when_over: Callable[[], None]) -> httpx2.Response:
        outgoing = httpcore2.Request(
            method=request.method,
            url=httpcore2.URL(
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
        return httpx2.Response(
            status_code=answer.status,
            headers=answer.headers,
            stream=_Body(answer, when_over),
            extensions=answer.extensions,
        )


class _Body(httpx2.AsyncByteStream):
    """The bytes as they come from the wire. `when_over` is called when it is closed."""

    def __init__(self, answer: httpcore2.Response, when_over: Callable[[], None]) -> None:
        self._answer = answer
        self._when_over: Callable[[], None] | None = when_over

    async def __aiter__(self) -> AsyncIterator[bytes]:
        with _httpx_errors():
            async for part in self._answer.aiter_stream():
                yield part

    async def aclose(self) -> None:
        when_over, self._when_over = self._when_over, None
        try:
            with _httpx_errors():
                await self._answer.aclose()
        finally:
            if when_over is not None:
                when_over()


@contextmanager
def _connect_errors() -> Iterator[None]:
    try:
        yield
    except TimeoutError as error:
        raise httpcore2.ConnectTimeout("the name was not resolved in time") from error
    except OSError as error:
        raise httpcore2.ConnectError(
            f"the name cannot be resolved ({error.strerror or error}); check the host"
        ) from error
    except UnicodeError as error:
        raise httpcore2.ConnectError("the name is no valid host name") from error


@contextmanager
def _httpx_errors() -> Iterator[None]:
    """httpx2's exceptions have the same names as httpcore2's, but are other classes."""
    try:
        yield
    except (httpcore2.TimeoutException, httpcore2.NetworkError, httpcore2.ProtocolError) as error:
        kind: type[httpx2.TransportError] = getattr(httpx2, type(error).__name__)
        raise kind(described(error)) from error


@cache
def _tls_context() -> ssl.SSLContext:
    """Reading the certificate bundle takes tens of milliseconds, once a process."""
    return httpx2.create_ssl_context()
