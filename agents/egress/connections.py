"""A pool whose connections hand nothing of one request on to the next: its callers may be different agents.

httpcore2 leaves two things open, and both are closed here (which needs its private attributes; tests hold it to them):

- An HTTP/2 stream that is given up halfway is not reset. The server goes on sending, nobody acknowledges it, and soon
  the window of the whole connection is used up: every other request on it waits for ever.
- What an HTTP/1.1 server sends beyond the end of an answer would be read as the answer to the next request.
"""

import asyncio
import ssl
from collections.abc import AsyncIterable, AsyncIterator
from contextlib import suppress
from typing import Any, cast

import h2.connection
import h2.errors
import h2.events
import h2.exceptions
import httpcore2

MAX_CONNECTIONS, MAX_IDLE, IDLE_SECONDS = 100, 20, 30.0
FLUSH_SECONDS = 1.0
BODILESS_STATUSES = frozenset({101, 204, 205, 304})


class ConnectionPool(httpcore2.AsyncConnectionPool):
    """HTTP/1.1 and HTTP/2; a connection serves one scheme, host and port only, whatever its certificate says."""

    def __init__(self, tls: ssl.SSLContext, network: httpcore2.AsyncNetworkBackend) -> None:
        super().__init__(
            ssl_context=tls,
            max_connections=MAX_CONNECTIONS,
            max_keepalive_connections=MAX_IDLE,
            keepalive_expiry=IDLE_SECONDS,
            http1=True,
            http2=True,
            network_backend=network,
        )
        self._tls = tls
        self._network = network

    async def close_expired(self) -> None:
        """Closes what has been idle for too long, which the pool itself does only when it is used again."""
        await self._close_connections(self._assign_requests_to_connections())

    def create_connection(self, origin: httpcore2.Origin) -> "Connection":
        """Called by the pool."""
        return Connection(
            origin=origin,
            ssl_context=self._tls,
            keepalive_expiry=IDLE_SECONDS,
            http1=True,
            http2=True,
            network_backend=self._network,
        )


class Connection(httpcore2.AsyncHTTPConnection):
    """Cleans up behind each request."""

    async def handle_async_request(self, request: httpcore2.Request) -> httpcore2.Response:
        """Called by the pool."""
        try:
            response = await super().handle_async_request(request)
        except BaseException:
            await self._reset_abandoned()
            raise
        return httpcore2.Response(
            status=response.status,
            headers=response.headers,
            content=_Body(self, request, response),
            extensions=response.extensions,
        )

    async def finish(self, request: httpcore2.Request, response: httpcore2.Response) -> None:
        """Closes an answer, whether or not it was read to its end."""
        inner: Any = self._connection
        if isinstance(inner, httpcore2.AsyncHTTP2Connection):
            _acknowledge_unread(inner, response.extensions["stream_id"])
        await cast(Any, response.stream).aclose()
        if isinstance(inner, httpcore2.AsyncHTTP2Connection):
            await self._reset_abandoned()
        elif _says_too_much(inner, request, response) and not inner.is_closed():
            await inner.aclose()

    async def _reset_abandoned(self) -> None:
        """Resets streams that nobody reads any more; h2 acknowledges by itself what still arrives for them."""
        inner: Any = self._connection
        if not isinstance(inner, httpcore2.AsyncHTTP2Connection) or inner.is_closed():
            return
        protocol: h2.connection.H2Connection = cast(Any, inner)._h2_state
        if protocol.state_machine.state is h2.connection.ConnectionState.CLOSED:
            await inner.aclose()  # or it would take up a place in the pool until it expires
            return
        abandoned = [number for number, stream in protocol.streams.items() if _is_abandoned(inner, number, stream)]
        if not abandoned:
            return
        for number in abandoned:
            protocol.reset_stream(number, h2.errors.ErrorCodes.CANCEL)
        try:
            async with asyncio.timeout(FLUSH_SECONDS):
                await cast(Any, inner)._network_stream.write(protocol.data_to_send())
        except (TimeoutError, httpcore2.NetworkError, httpcore2.TimeoutException):
            await inner.aclose()


class _Body:
    """An answer's body, as the pool expects it."""

    def __init__(self, connection: Connection, request: httpcore2.Request, response: httpcore2.Response) -> None:
        self._connection = connection
        self._request = request
        self._response = response

    async def __aiter__(self) -> AsyncIterator[bytes]:
        try:
            async for part in cast(AsyncIterable[bytes], self._response.stream):
                yield part
        except h2.exceptions.H2Error as error:  # which httpcore2 lets through once the body has begun
            raise httpcore2.RemoteProtocolError(str(error) or type(error).__name__) from error

    async def aclose(self) -> None:
        await self._connection.finish(self._request, self._response)


def _is_abandoned(inner: Any, number: int, stream: Any) -> bool:
    return number not in inner._events and not stream.closed


def _acknowledge_unread(inner: Any, number: int) -> None:
    """What has arrived and will not be read counts against the window of the connection as well."""
    for event in inner._events.get(number, ()):
        if isinstance(event, h2.events.DataReceived) and event.flow_controlled_length:
            with suppress(h2.exceptions.H2Error):  # of a connection that is broken, and ends with that
                inner._h2_state.acknowledge_received_data(event.flow_controlled_length, number)


def _says_too_much(inner: Any, request: httpcore2.Request, response: httpcore2.Response) -> bool:
    """Whether bytes have come after the answer, or may yet come where an answer has no body by definition."""
    if request.method == b"HEAD" or response.status in BODILESS_STATUSES:
        return True
    unread, _ = inner._h11_state.trailing_data
    return bool(unread)
