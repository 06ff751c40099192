"""Servers that lie, stall, drip, flood and break off: what cases 25 and 26 say of bodies, the other way round."""

import asyncio
import gzip
import tracemalloc
import zlib
from pathlib import Path

import pytest

from agents.api.executor import ApiExecutor
from agents.egress.policy import EgressPolicy
from agents.errors import AgentTimeout, ConnectionFailed, HttpStatusFailed, LimitExceeded, OutputInvalid
from tests.agents.api.conftest import Call
from tests.agents.certificates import certificate
from tests.agents.conftest import LOCAL
from tests.agents.http_server import Handler, Received, Server, http_server, json_reply, reply

pytestmark = pytest.mark.case(25, 26)

OK = b"HTTP/1.1 200 OK\r\n"


def dripping(start: bytes, drop: bytes) -> Handler:
    """Sends `drop` again and again, as fast as it is taken."""

    async def drip(_request: Received, writer: asyncio.StreamWriter) -> None:
        writer.write(start)
        while True:
            writer.write(drop)
            await writer.drain()
            await asyncio.sleep(0.001)

    return drip


def stalling(start: bytes) -> Handler:
    async def stall(_request: Received, writer: asyncio.StreamWriter) -> None:
        writer.write(start)
        await asyncio.Event().wait()

    return stall


def closing(start: bytes) -> Handler:
    async def close(_request: Received, writer: asyncio.StreamWriter) -> None:
        writer.write(start)
        writer.close()

    return close


@pytest.mark.parametrize(
    ("answer", "stage"),
    [
        (stalling(b""), "waiting for the answer's first byte"),
        (stalling(b"HTTP/1.1 200"), "waiting for the answer's first byte"),
        (dripping(b"", b"HTTP/1.1 100 Continue\r\n\r\n"), "waiting for the answer's first byte"),
        (stalling(OK + b"content-length: 10\r\n\r\nab"), "reading the answer"),
        (dripping(OK + b"transfer-encoding: chunked\r\n\r\n", b"1\r\nx\r\n"), "reading the answer"),
    ],
    ids=["silence", "half a line", "endless beginnings", "half a body", "dripping chunks"],
)
async def test_time_ends_it_at_every_stage(call: Call, server: Server, answer: Handler, stage: str) -> None:
    server.answers = [answer]
    with pytest.raises(AgentTimeout) as caught:
        await call({"url": server.url(), "timeoutSeconds": 0.3})
    assert caught.value.details == {"timeoutSeconds": 0.3, "stage": stage}
    assert stage in caught.value.message


async def test_a_tls_handshake_that_never_ends_is_a_failed_connection(call: Call, server: Server) -> None:
    with pytest.raises((ConnectionFailed, AgentTimeout)):
        await call({"url": server.url().replace("http:", "https:"), "timeoutSeconds": 0.3})


@pytest.mark.parametrize(
    "head",
    [
        dripping(OK, b"x-more: " + b"a" * 1000 + b"\r\n"),
        dripping(OK, b"x" * 1000),
        dripping(OK + b"transfer-encoding: chunked\r\n\r\n", b"1;" + b"e" * 10_000),
        dripping(OK + b"transfer-encoding: chunked\r\n\r\n0\r\n", b"x-trailer: " + b"a" * 1000 + b"\r\n"),
    ],
    ids=["headers", "one header", "chunk extensions", "trailers"],
)
async def test_endless_headers_break_the_connection(call: Call, server: Server, head: Handler) -> None:
    server.answers = [head]
    with pytest.raises(ConnectionFailed):
        await call({"url": server.url(), "timeoutSeconds": 60}, timeout_seconds=60)


@pytest.mark.parametrize(
    "answer",
    [
        closing(OK + b"content-length: 100\r\n\r\nshort"),
        closing(OK + b"transfer-encoding: chunked\r\n\r\n5\r\nab"),
        closing(b"HTTP/1.1 2"),
        closing(OK + b"content-length: -1\r\n\r\n"),
        closing(OK + b"content-length: 1\r\ncontent-length: 2\r\n\r\nab"),
        closing(OK + b"transfer-encoding: chunked\r\n\r\nzz\r\n"),
        closing(OK + b"bad header\r\n\r\n"),
        closing(b"HTTP/1.1 999999 OK\r\n\r\n"),
        closing(b"\x16\x03\x01\x02\x00"),
    ],
)
async def test_what_is_no_http_or_half_of_it_is_a_failed_connection(
    call: Call, server: Server, answer: Handler
) -> None:
    server.answers = [answer]
    with pytest.raises(ConnectionFailed):
        await call({"url": server.url()})


async def test_a_switch_to_another_protocol_is_a_failed_connection(call: Call, server: Server) -> None:
    server.answers = [stalling(b"HTTP/1.1 101 Switching Protocols\r\nupgrade: websocket\r\n\r\n")]
    with pytest.raises(ConnectionFailed):
        await call({"url": server.url()})


async def test_parts_of_compressed_data_that_hold_nothing_end_at_the_limit(call: Call, server: Server) -> None:
    """Nothing ever comes out of them, so only what goes in can be counted."""
    empty = gzip.compress(b"", mtime=0)
    server.answers = [dripping(OK + b"content-encoding: gzip\r\n\r\n", empty * 500)]
    with pytest.raises((LimitExceeded, OutputInvalid)):
        await call({"url": server.url(), "maxResponseBytes": 100_000, "timeoutSeconds": 60}, timeout_seconds=60)
    sync_flushes = b"\x00\x00\x00\xff\xff" * 500
    server.answers = [dripping(OK + b"content-encoding: deflate\r\n\r\n", b"\x78\x9c" + sync_flushes)]
    with pytest.raises((LimitExceeded, OutputInvalid)):
        await call({"url": server.url(), "maxResponseBytes": 100_000, "timeoutSeconds": 60}, timeout_seconds=60)


@pytest.mark.parametrize("encoding", ["gzip", "deflate"])
async def test_a_compression_bomb_leaves_the_memory_flat(call: Call, server: Server, encoding: str) -> None:
    """100 MB out of 100 KB, stopped at 1 MB."""
    compress = gzip.compress if encoding == "gzip" else zlib.compress
    server.answers = [reply(200, await asyncio.to_thread(compress, bytes(100_000_000)), content_encoding=encoding)]
    tracemalloc.start()
    try:
        with pytest.raises(LimitExceeded):
            await call({"url": server.url(), "maxResponseBytes": 1_000_000})
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert peak < 20_000_000


@pytest.mark.parametrize("encoding", ["br", "zstd", "compress", "gzip, gzip", "gzip,br", "identity, gzip", "x" * 9999])
async def test_compression_that_was_not_asked_for_is_not_undone(call: Call, server: Server, encoding: str) -> None:
    server.answers = [reply(200, b"x", content_encoding=encoding)]
    with pytest.raises(OutputInvalid):
        await call({"url": server.url()})
    assert server.received[0].headers["accept-encoding"] == "gzip, deflate"


async def test_the_agent_cannot_ask_for_other_compression(call: Call, server: Server) -> None:
    await call({"url": server.url(), "headers": {"Accept-Encoding": "br, zstd"}})
    assert server.received[0].headers["accept-encoding"] == "gzip, deflate"


@pytest.mark.parametrize(
    "body",
    [
        b'{"a":' * 2000 + b"1" + b"}" * 2000,
        b"[" * 400 + b"]" * 400,
        b"[1e999999]" * 2,
        b"\xff\xfe[1]",
        b'{"a": "\xc3\x28"}',
        b"[Infinity]",
        b'{"a": 1,}',
    ],
)
async def test_json_that_no_record_holds_is_an_error_of_the_answer(call: Call, server: Server, body: bytes) -> None:
    server.answers = [reply(200, body, content_type="application/json")]
    with pytest.raises(OutputInvalid):
        await call({"url": server.url()})


async def test_the_body_of_an_unwanted_answer_is_not_downloaded(call: Call, server: Server) -> None:
    server.answers = [dripping(b"HTTP/1.1 500 Oops\r\n\r\n", b"x" * 100_000)]
    with pytest.raises(HttpStatusFailed):
        await call({"url": server.url(), "timeoutSeconds": 60}, timeout_seconds=60)


async def test_the_body_of_a_redirect_is_not_downloaded(call: Call, server: Server, other_server: Server) -> None:
    location = other_server.url().encode()
    server.answers = [dripping(b"HTTP/1.1 302 Found\r\nlocation: " + location + b"\r\n\r\n", b"x" * 100_000)]
    other_server.answers = [json_reply("there")]
    assert (await call({"url": server.url(), "timeoutSeconds": 60}, timeout_seconds=60))["data"] == "there"


async def test_a_next_page_within_the_inner_network_is_refused(call: Call, server: Server) -> None:
    server.answers = [json_reply([1], link='<http://169.254.169.254/latest/meta-data>; rel="next"')]
    with pytest.raises(Exception, match="EGRESS_ALLOW"):
        await call({"url": server.url(), "pagination": {"type": "link"}})


@pytest.mark.parametrize(("name", "ended"), [("wrong.example", False), ("right.example", True)])
async def test_a_wrong_or_ended_certificate_is_a_failed_connection(
    call: Call, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str, ended: bool
) -> None:
    async def to_loopback(host: str, port: int) -> list[str]:
        return ["127.0.0.1"]

    server_tls, client_tls = await asyncio.to_thread(certificate, tmp_path, "right.example", ended=ended)
    monkeypatch.setattr("agents.egress.transport._tls_context", lambda: client_tls)
    executor = ApiExecutor(resolver=to_loopback)
    async with http_server(server_tls) as secure:
        with pytest.raises(ConnectionFailed, match="certificate"):
            await call({"url": secure.url(host=name)}, using=executor)
        assert secure.received == []
    await executor.aclose()


async def test_a_certificate_that_nobody_vouches_for_is_a_failed_connection(call: Call, tmp_path: Path) -> None:
    server_tls, _ = await asyncio.to_thread(certificate, tmp_path, "localhost")
    async with http_server(server_tls) as secure:
        allowed = EgressPolicy(allow=(*LOCAL.allow, "localhost"))
        with pytest.raises(ConnectionFailed, match="certificate"):
            await call({"url": secure.url(host="localhost")}, egress=allowed)
        assert secure.received == []
