"""Proxies on loopback for what opens connections by itself and can be told to use a proxy.

Each connection that is asked for is made here, behind the guard and to the address that the guard has seen: no redirect
that a library follows and no second look-up of a name leads past it.

    async with Tunnel(Guard(policy)) as tunnel:
        options = {"proxy_url": tunnel.url, …}
"""

import asyncio
import base64
import contextlib
import hmac
import secrets
import socket
from abc import ABC, abstractmethod
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import httpx2

from agents.egress.addresses import MAX_NAME
from agents.egress.guard import DEFAULT_PORTS, Guard
from agents.errors import AgentError, EgressRefused

MAX_HEAD = 64 * 1024
MAX_TARGET = 8 * 1024
"""Of a request's URL, which the event loop reads in one go."""
CHUNK = 256 * 1024
CONNECT_SECONDS = 10.0
MAX_ADDRESSES_TRIED = 4
MAX_CONNECTIONS = 64
"""Of one proxy at once; it serves one run."""
_OWN_HEADERS = (b"proxy-authorization", b"proxy-connection", b"connection", b"keep-alive")


class Proxy(ABC):
    """HTTP requests with whole URLs, and CONNECT."""

    def __init__(self, guard: Guard) -> None:
        self._guard = guard
        self._connections: set[asyncio.Task[None]] = set()

    @asynccontextmanager
    async def serving(self, listener: socket.socket | None = None) -> AsyncIterator[asyncio.Server]:
        """Open as long as its context, on `listener` or a free port of loopback."""
        if listener is not None:
            server = await asyncio.start_server(self._accept, sock=listener, limit=MAX_HEAD)
        else:
            server = await asyncio.start_server(self._accept, "127.0.0.1", 0, limit=MAX_HEAD)
        try:
            yield server
        finally:
            server.close()
            for connection in self._connections:
                connection.cancel()
            if self._connections:
                await asyncio.wait(self._connections)

    @abstractmethod
    def check(self, head: "Head") -> None:
        """Raises `AgentError` for a request that goes no further."""

    @abstractmethod
    def connected(self, head: "Head") -> None:
        """Hears of each connection that is there."""

    @abstractmethod
    def refused(self, error: AgentError) -> None:
        """Hears of what was refused; the other side is told the message as well."""

    def _accept(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        if len(self._connections) >= MAX_CONNECTIONS:
            writer.close()
            return
        task = asyncio.ensure_future(self._serve(reader, writer))
        self._connections.add(task)
        task.add_done_callback(self._connections.discard)

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            with contextlib.suppress(OSError, asyncio.IncompleteReadError, asyncio.LimitOverrunError, ValueError):
                head = Head(await reader.readuntil(b"\r\n\r\n"))
                await self._forward(head, reader, writer)
                await _flushed(writer)
        finally:
            writer.transport.abort()

    async def _forward(self, head: "Head", reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            self.check(head)
            there, to_there = await self._connect(head)
        except AgentError as error:
            self.refused(error)
            writer.write(_answer("403 Forbidden", str(error)))
            return
        except (OSError, TimeoutError):
            writer.write(_answer("502 Bad Gateway", f"{head.host}:{head.port} cannot be reached"))
            return
        self.connected(head)
        try:
            if head.is_connect:
                writer.write(b"HTTP/1.1 200 Connection established\r\n\r\n")
            else:
                to_there.write(head.for_origin())
            await asyncio.gather(_relay(reader, to_there), _relay(there, writer))
            await _flushed(to_there)
        finally:
            to_there.transport.abort()

    async def _connect(self, head: "Head") -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
        """To one of the addresses that may be reached; raises `EgressRefused`, `OSError` or `TimeoutError`."""
        self._guard.check_url(head.url)
        port = head.port
        async with asyncio.timeout(CONNECT_SECONDS):
            addresses = await self._guard.addresses(head.host, port)
            failure = OSError("no address")
            for address in addresses[:MAX_ADDRESSES_TRIED]:
                try:
                    return await asyncio.open_connection(address, port)
                except OSError as error:
                    failure = error
        raise failure


class Head:
    """The start of a request as a proxy gets it; raises `ValueError` for anything else."""

    def __init__(self, raw: bytes) -> None:
        first, *headers = raw.removesuffix(b"\r\n\r\n").split(b"\r\n")
        self.method, target, self._version = first.split(b" ")
        self._headers = headers
        self.is_connect = self.method == b"CONNECT"
        if len(target) > MAX_TARGET:
            raise ValueError("the URL is too long")
        try:
            self.url = httpx2.URL(f"https://{target.decode()}/" if self.is_connect else target.decode())
        except httpx2.InvalidURL as error:
            raise ValueError("no URL") from error
        if len(self.url.raw_host) > MAX_NAME:
            raise ValueError("no host has such a long name")

    @property
    def host(self) -> str:
        """As it is looked up: an international name as `xn--…`."""
        return self.url.raw_host.decode("ascii")

    @property
    def port(self) -> int:
        """Raises `ValueError` where the URL's scheme has none of its own."""
        if self.url.port is None and self.url.scheme not in DEFAULT_PORTS:
            raise ValueError("no port")
        return self.url.port or DEFAULT_PORTS[self.url.scheme]

    @property
    def authorization(self) -> bytes:
        found = (line for line in self._headers if line.lower().startswith(b"proxy-authorization:"))
        return next(found, b":").partition(b":")[2].strip()

    def for_origin(self) -> bytes:
        """As the server gets it; one request for each connection, since the next may go elsewhere."""
        kept = [line for line in self._headers if line.partition(b":")[0].strip().lower() not in _OWN_HEADERS]
        start = b" ".join((self.method, self.url.raw_path, self._version))
        return b"\r\n".join((start, *kept, b"Connection: close", b"", b""))


class Tunnel(Proxy):
    """Open as long as its context; only who knows its URL gets through. `refusal` is the last thing it refused.

    Libraries leave the password out when they follow a redirect from http to another host, which thus ends here.
    """

    def __init__(self, guard: Guard) -> None:
        super().__init__(guard)
        self.refusal: AgentError | None = None
        self._key = secrets.token_urlsafe(24)
        self._expected = b"Basic " + base64.b64encode(f"tunnel:{self._key}".encode())
        self._port = 0
        self._open = contextlib.AsyncExitStack()

    async def __aenter__(self) -> "Tunnel":
        server = await self._open.enter_async_context(self.serving())
        self._port = server.sockets[0].getsockname()[1]
        return self

    async def __aexit__(self, *_: object) -> None:
        await self._open.aclose()

    @property
    def url(self) -> str:
        """What the library is told, with the password in it."""
        return f"http://tunnel:{self._key}@127.0.0.1:{self._port}"

    def check(self, head: Head) -> None:
        """Raises `EgressRefused` for who does not know the password."""
        if not hmac.compare_digest(head.authorization, self._expected):
            raise EgressRefused(f"a redirect to {head.url.host} is not followed", path="url")

    def connected(self, head: Head) -> None:
        """Is of no interest."""

    def refused(self, error: AgentError) -> None:
        """Keeps it."""
        self.refusal = error


def _answer(status: str, message: str) -> bytes:
    body = message.encode()
    return (
        f"HTTP/1.1 {status}\r\nContent-Type: text/plain; charset=utf-8\r\nContent-Length: {len(body)}\r\n"
        "Connection: close\r\n\r\n"
    ).encode() + body


async def _flushed(writer: asyncio.StreamWriter) -> None:
    """Closed, with all that was written taken by the other side, which may take its time or never do it: whoever waits
    counts among `MAX_CONNECTIONS` until then."""
    writer.close()
    await writer.wait_closed()


async def _relay(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    """Until the end of what is sent in one direction, which ends that direction alone."""
    with contextlib.suppress(OSError):
        while part := await reader.read(CHUNK):
            writer.write(part)
            await writer.drain()
        if writer.can_write_eof():
            writer.write_eof()
