"""HTTP/2 servers that push, flood and expand: nothing of it reaches another request, and all of it ends."""

import asyncio
import tracemalloc
from collections.abc import Iterator

import httpx2
import pytest
from h2.settings import SettingCodes
from hpack import Encoder
from hyperframe.frame import ContinuationFrame, DataFrame, Frame, GoAwayFrame, HeadersFrame, PingFrame, PushPromiseFrame

from agents.egress.transport import GuardedTransport
from tests.agents.http2_server import Http2Server

pytestmark = pytest.mark.case(25)

OK = (b":status", b"200")


async def get(transport: GuardedTransport, url: str) -> httpx2.Response:
    async with asyncio.timeout(60):
        response = await transport.handle_async_request(httpx2.Request("GET", url))
        try:
            await response.aread()
        finally:
            await response.aclose()
    return response


def serialized(*frames: Frame) -> Iterator[bytes]:
    for frame in frames:
        yield frame.serialize()


def headers_frame(
    number: int, *headers: tuple[bytes, bytes], flags: tuple[str, ...] = ("END_HEADERS",)
) -> HeadersFrame:
    return HeadersFrame(number, Encoder().encode(headers), flags=flags)


def pushing(number: int) -> Iterator[bytes]:
    """Promises what `b.example` would say to a request that nobody has made."""
    promised = Encoder().encode(
        [(b":method", b"GET"), (b":scheme", b"https"), (b":authority", b"b.example"), (b":path", b"/")]
    )
    yield from serialized(
        PushPromiseFrame(number, 2, promised, flags=("END_HEADERS",)),
        headers_frame(2, OK),
        DataFrame(2, b"poison", flags=("END_STREAM",)),
        headers_frame(number, OK),
        DataFrame(number, b"hello", flags=("END_STREAM",)),
    )


def endless_continuations(number: int) -> Iterator[bytes]:
    yield headers_frame(number, OK, flags=()).serialize()
    while True:
        yield ContinuationFrame(number, b"").serialize()


def endless_headers(number: int) -> Iterator[bytes]:
    """Answers of a status that announces another answer."""
    while True:
        yield headers_frame(number, (b":status", b"103"), (b"link", b"x" * 1000)).serialize()


def expanding_headers(number: int) -> Iterator[bytes]:
    """One header of 4,000 bytes, and a byte for each of the 12,000 times that it is meant: 48 MB."""
    encoder = Encoder()
    once = encoder.encode([OK, (b"x", b"y" * 3_900)])
    yield HeadersFrame(number, once + b"\xbe" * 12_000, flags=("END_HEADERS",)).serialize()


@pytest.mark.case(17)
async def test_what_a_server_pushes_is_never_an_answer(transport: GuardedTransport, http2: Http2Server) -> None:
    http2.frames[b"/push"] = pushing
    with pytest.raises(httpx2.ProtocolError):
        await get(transport, http2.url("/push", "a.example"))
    assert http2.settings[SettingCodes.ENABLE_PUSH] == 0
    assert (await get(transport, http2.url("/", "b.example"))).content == b"hello"
    assert (await get(transport, http2.url("/", "a.example"))).content == b"hello"
    assert [authority.partition(":")[0] for authority in http2.authorities] == ["a.example", "b.example", "a.example"]


@pytest.mark.parametrize("flood", [endless_continuations, expanding_headers], ids=lambda flood: flood.__name__)
async def test_headers_that_flood_or_expand_break_the_connection(
    transport: GuardedTransport, http2: Http2Server, flood: object
) -> None:
    http2.frames[b"/flood"] = flood
    tracemalloc.start()
    try:
        with pytest.raises(httpx2.ProtocolError):
            await get(transport, http2.url("/flood", "a.example"))
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert peak < 5_000_000
    assert (await get(transport, http2.url("/", "a.example"))).content == b"hello"


async def test_an_answer_that_is_announced_for_ever_ends_with_its_time(
    transport: GuardedTransport, http2: Http2Server
) -> None:
    http2.frames[b"/flood"] = endless_headers
    with pytest.raises((TimeoutError, httpx2.TransportError)):
        async with asyncio.timeout(0.3):
            await get(transport, http2.url("/flood", "a.example"))
    assert (await get(transport, http2.url("/", "a.example"))).content == b"hello"


def leaving(number: int) -> Iterator[bytes]:
    yield from serialized(GoAwayFrame(0, last_stream_id=0, error_code=0))


def pinging(number: int) -> Iterator[bytes]:
    for _ in range(200):
        yield PingFrame(0, b"12345678").serialize()
    yield from serialized(headers_frame(number, OK), DataFrame(number, b"hello", flags=("END_STREAM",)))


def data_beyond_the_window(number: int) -> Iterator[bytes]:
    yield headers_frame(number, OK).serialize()
    while True:
        yield DataFrame(number, bytes(16_384)).serialize()


@pytest.mark.parametrize("rude", [leaving, data_beyond_the_window], ids=lambda rude: rude.__name__)
async def test_a_server_that_breaks_the_rules_breaks_one_connection(
    transport: GuardedTransport, http2: Http2Server, rude: object
) -> None:
    http2.frames[b"/rude"] = rude
    with pytest.raises((httpx2.TransportError, TimeoutError)):
        async with asyncio.timeout(5):
            await get(transport, http2.url("/rude", "a.example"))
    assert (await get(transport, http2.url("/", "a.example"))).content == b"hello"


async def test_pings_are_answered(transport: GuardedTransport, http2: Http2Server) -> None:
    http2.frames[b"/ping"] = pinging
    assert (await get(transport, http2.url("/ping", "a.example"))).content == b"hello"
    assert http2.connections == 1
