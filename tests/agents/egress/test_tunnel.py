"""The proxy that libraries are told to use: nobody gets past the guard with it, and nobody else gets in."""

import asyncio
import base64
import os
import socket
from contextlib import suppress
from urllib.parse import urlsplit

import pytest

from agents.egress.guard import Guard
from agents.egress.policy import EgressPolicy
from agents.egress.tunnel import MAX_TARGET, Tunnel
from agents.errors import EgressRefused
from tests.agents.conftest import LOCAL
from tests.agents.http_server import Received, Server, json_reply

pytestmark = pytest.mark.case(15, 17)


async def asked(tunnel: Tunnel, head: str, *, key: str | None = None) -> bytes:
    """What the tunnel says to a request, until it closes the connection."""
    url = urlsplit(tunnel.url)
    password = url.password if key is None else key
    credentials = base64.b64encode(f"{url.username}:{password}".encode()).decode()
    reader, writer = await asyncio.open_connection(url.hostname, url.port)
    try:
        writer.write(f"{head}\r\nProxy-Authorization: Basic {credentials}\r\n\r\n".encode())
        async with asyncio.timeout(60):
            return await reader.read()
    except ConnectionResetError:  # it closes before it has read all of too long a head
        return b""
    finally:
        writer.close()


def plain(url: str) -> str:
    return f"GET {url} HTTP/1.1\r\nHost: {urlsplit(url).netloc}\r\nX-Own: 1"


async def test_a_request_goes_through_without_the_tunnels_password(server: Server) -> None:
    async def answer_and_close(_request: Received, writer: asyncio.StreamWriter) -> None:
        writer.write(json_reply("there"))
        writer.close()

    server.answers = [answer_and_close]
    async with Tunnel(Guard(LOCAL)) as tunnel:
        answer = await asked(tunnel, plain(server.url("/a?b=c")))
    assert answer.endswith(b'"there"')
    [received] = server.received
    assert (received.target, received.headers["x-own"]) == ("/a?b=c", "1")
    assert "proxy-authorization" not in received.headers


@pytest.mark.parametrize("key", ["", "guessed", "x" * 5000])
async def test_without_its_password_nobody_gets_in(server: Server, key: str) -> None:
    async with Tunnel(Guard(LOCAL)) as tunnel:
        assert (await asked(tunnel, plain(server.url()), key=key)).startswith(b"HTTP/1.1 403 ")
    assert server.received == []


@pytest.mark.parametrize(
    "head",
    [
        "CONNECT 127.0.0.1:{port} HTTP/1.1",
        "CONNECT localhost:{port} HTTP/1.1",
        "CONNECT [::ffff:127.0.0.1]:{port} HTTP/1.1",
        "CONNECT 2130706433:{port} HTTP/1.1",
        "CONNECT rebound.example:{port} HTTP/1.1",
        "CONNECT 169.254.169.254:80 HTTP/1.1",
        "GET http://127.0.0.1:{port}/ HTTP/1.1",
        "GET http://rebound.example:{port}/ HTTP/1.1",
        "GET http://user@example.com:{port}/ HTTP/1.1",
        "GET ftp://127.0.0.1:{port}/ HTTP/1.1",
        "GET /relative HTTP/1.1",
    ],
)
async def test_an_inner_address_is_refused_and_the_reason_kept(server: Server, head: str) -> None:
    async def resolver(host: str, port: int) -> list[str]:
        return ["127.0.0.1"]

    async with Tunnel(Guard(EgressPolicy(), resolver)) as tunnel:
        answer = await asked(tunnel, head.format(port=server.port))
    assert answer.startswith(b"HTTP/1.1 403 ")
    assert isinstance(tunnel.refusal, EgressRefused)
    assert server.received == []


@pytest.mark.parametrize(
    "head", ["nonsense", "GET", "CONNECT [:1 HTTP/1.1", "GET http://a\x00b/ HTTP/1.1", "x" * 99_999]
)
async def test_what_is_no_request_ends_the_connection(head: str) -> None:
    async with Tunnel(Guard(EgressPolicy())) as tunnel:
        assert not (await asked(tunnel, head)).startswith(b"HTTP/1.1 200 ")


@pytest.mark.parametrize("target", [f"http://{'a.' * 200}b/", f"http://a/{'x' * MAX_TARGET}"], ids=["host", "path"])
async def test_what_is_too_long_is_neither_read_nor_told(target: str) -> None:
    async with Tunnel(Guard(EgressPolicy())) as tunnel:
        assert await asked(tunnel, f"GET {target} HTTP/1.1") == b""
        assert tunnel.refusal is None


async def test_its_end_ends_the_connections_through_it(server: Server) -> None:
    async with Tunnel(Guard(LOCAL)) as tunnel:
        url = urlsplit(tunnel.url)
        credentials = base64.b64encode(f"{url.username}:{url.password}".encode()).decode()
        reader, writer = await asyncio.open_connection(url.hostname, url.port)
        head = f"CONNECT 127.0.0.1:{server.port} HTTP/1.1\r\nProxy-Authorization: Basic {credentials}\r\n\r\n"
        writer.write(head.encode())
        assert (await reader.readuntil(b"\r\n\r\n")).startswith(b"HTTP/1.1 200 ")
    async with asyncio.timeout(60):
        assert await reader.read() == b""
    writer.close()


@pytest.mark.parametrize("ends_first", [True, False], ids=["after the client's end", "before it"])
async def test_its_end_waits_for_nobody_who_does_not_read(ends_first: bool) -> None:
    """A server that takes nothing would otherwise keep a socket of this process for as long as it likes."""
    with socket.create_server(("127.0.0.1", 0)) as deaf:
        before = len(os.listdir("/proc/self/fd"))
        async with Tunnel(Guard(LOCAL)) as tunnel:
            url = urlsplit(tunnel.url)
            credentials = base64.b64encode(f"{url.username}:{url.password}".encode()).decode()
            reader, writer = await asyncio.open_connection(url.hostname, url.port)
            port = deaf.getsockname()[1]
            writer.write(
                f"CONNECT 127.0.0.1:{port} HTTP/1.1\r\nProxy-Authorization: Basic {credentials}\r\n\r\n".encode()
            )
            await reader.readuntil(b"\r\n\r\n")
            with suppress(TimeoutError):
                async with asyncio.timeout(0.5):
                    while True:
                        writer.write(bytes(1 << 20))
                        await writer.drain()
            if ends_first:
                writer.transport.abort()
                await asyncio.sleep(0.1)
        writer.transport.abort()
        await asyncio.sleep(0)
        assert len(os.listdir("/proc/self/fd")) <= before
