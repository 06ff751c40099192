"""What is kept of a connection for the next request, and what must not be."""

import asyncio

import httpx2
import pytest

from agents.egress.policy import EgressPolicy
from agents.egress.transport import GuardedTransport
from agents.egress.transports import Transports
from agents.errors import EgressRefused
from tests.agents.conftest import LOCAL
from tests.agents.egress.conftest import Contexts, resolver
from tests.agents.http2_server import Http2Server
from tests.agents.http_server import Received, Server, http_server, json_reply, reply


async def get(transport: GuardedTransport, url: str, method: str = "GET") -> bytes:
    response = await transport.handle_async_request(httpx2.Request(method, url))
    try:
        return await response.aread()
    finally:
        await response.aclose()


async def test_requests_to_one_host_share_an_http2_connection(transport: GuardedTransport, http2: Http2Server) -> None:
    url = http2.url("/", "a.example")
    await get(transport, url)
    assert await asyncio.gather(*[get(transport, url) for _ in range(20)]) == [b"hello"] * 20
    assert http2.connections == 1


@pytest.mark.case(17)
async def test_a_certificate_for_several_hosts_lets_no_request_past_the_guard(
    transport: GuardedTransport, http2: Http2Server
) -> None:
    """Browsers would send requests for all of its names over one HTTP/2 connection."""
    await get(transport, http2.url("/", "a.example"))
    with pytest.raises(EgressRefused):
        await get(transport, http2.url("/", "inner.example"))
    assert http2.authorities == [f"a.example:{http2.port}"]
    await get(transport, http2.url("/", "b.example"))
    assert http2.connections == 2


async def test_an_http2_answer_that_is_given_up_is_stopped(transport: GuardedTransport, http2: Http2Server) -> None:
    """Or it would use up the window of the connection, and all other requests on it would wait for ever."""
    async with asyncio.timeout(60):
        await get(transport, http2.url("/", "a.example"))
        for _ in range(3):
            http2.reset.clear()
            request = httpx2.Request("GET", http2.url("/endless", "a.example"))
            response = await transport.handle_async_request(request)
            async for _part in response.stream:
                break
            await response.aclose()
            await http2.reset.wait()
            assert await get(transport, http2.url("/", "a.example")) == b"hello"
    assert http2.connections == 1


async def test_an_http2_request_that_is_cancelled_is_stopped(transport: GuardedTransport, http2: Http2Server) -> None:
    async with asyncio.timeout(60):
        await get(transport, http2.url("/", "a.example"))
        waiting = asyncio.ensure_future(get(transport, http2.url("/silent", "a.example")))
        await http2.left_waiting.wait()
        waiting.cancel()
        with pytest.raises(asyncio.CancelledError):
            await waiting
        await http2.reset.wait()
        assert await get(transport, http2.url("/", "a.example")) == b"hello"
    assert http2.connections == 1


async def test_an_http2_answer_that_becomes_nonsense_is_a_protocol_error(
    transport: GuardedTransport, http2: Http2Server
) -> None:
    async with asyncio.timeout(60):
        for _ in range(3):
            with pytest.raises(httpx2.TransportError):
                await get(transport, http2.url("/broken", "a.example"))
        assert await get(transport, http2.url("/", "a.example")) == b"hello"
    assert len(transport._pool.connections) == 1, "the broken ones take up no place"


POISON = json_reply({"poison": True})


@pytest.mark.parametrize(("method", "first"), [("GET", json_reply(1) + POISON), ("HEAD", reply(200) + POISON)])
async def test_what_comes_after_an_answer_is_not_taken_for_the_next(server: Server, method: str, first: bytes) -> None:
    server.answers = [first, json_reply(2)]
    async with GuardedTransport(LOCAL) as transport:
        await get(transport, server.url(), method)
        assert await get(transport, server.url()) == b"2"


async def test_a_late_body_of_head_is_not_taken_for_the_next_answer(server: Server) -> None:
    asked_again = asyncio.Event()

    async def late(_request: Received, writer: asyncio.StreamWriter) -> None:
        writer.write(reply(200))
        await asked_again.wait()
        writer.write(POISON)

    server.answers = [late, json_reply(2)]
    async with GuardedTransport(LOCAL) as transport:
        await get(transport, server.url(), "HEAD")
        second = asyncio.ensure_future(get(transport, server.url()))
        await asyncio.sleep(0)
        asked_again.set()
        assert await second == b"2"


async def test_each_policy_has_connections_of_its_own(server: Server) -> None:
    transports = Transports()
    assert transports.get(LOCAL) is transports.get(EgressPolicy(allow=LOCAL.allow))
    await get(transports.get(LOCAL), server.url())
    with pytest.raises(EgressRefused):
        await get(transports.get(EgressPolicy()), server.url())
    await transports.aclose()


async def test_a_tls_handshake_that_stalls_ends_with_the_time_to_connect(server: Server) -> None:
    """The server waits for the end of an HTTP request, which never comes."""
    url = server.url().replace("http:", "https:")
    request = httpx2.Request("GET", url, extensions={"timeout": {"connect": 0.1}})
    async with asyncio.timeout(60), GuardedTransport(LOCAL) as transport:
        with pytest.raises(httpx2.ConnectTimeout):
            await transport.handle_async_request(request)


async def test_a_tls_handshake_that_is_cancelled_leaves_no_connection_open() -> None:
    closed = asyncio.Event()

    async def accept(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.read(1)
        waiting.cancel()
        while await reader.read(65_536):
            pass
        closed.set()
        writer.close()

    listener = await asyncio.start_server(accept, "127.0.0.1", 0)
    url = f"https://127.0.0.1:{listener.sockets[0].getsockname()[1]}/"
    async with asyncio.timeout(60), GuardedTransport(LOCAL) as transport:
        waiting = asyncio.ensure_future(get(transport, url))
        with pytest.raises(asyncio.CancelledError):
            await waiting
        await closed.wait()
    listener.close()
    await listener.wait_closed()


async def test_tls_that_becomes_nonsense_is_a_broken_connection(http2_tls: Contexts) -> None:
    async def nonsense(_request: Received, writer: asyncio.StreamWriter) -> None:
        writer.write(b"HTTP/1.1 200 OK\r\ncontent-length: 100\r\n\r\nab")
        await asyncio.sleep(0.05)
        below_tls = writer.transport._ssl_protocol._transport
        below_tls.write(b"\x17\x03\x03\x00\x20" + bytes(32))

    server_tls, client_tls = http2_tls
    server_tls.set_alpn_protocols(["http/1.1"])
    async with (
        asyncio.timeout(60),
        http_server(server_tls) as server,
        GuardedTransport(LOCAL, resolver=resolver, tls=client_tls) as transport,
    ):
        server.answers = [nonsense]
        with pytest.raises(httpx2.ReadError):
            await get(transport, server.url(host="a.example"))
