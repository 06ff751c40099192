"""Reads an answer's body, bounded while it comes in, and turns it into JSON data."""

import asyncio
import base64
import codecs
import zlib
from contextlib import suppress
from typing import Any, Literal

import httpx2
import orjson

from agents.errors import LimitExceeded, OutputInvalid

GZIP_OR_ZLIB = zlib.MAX_WBITS | 32
RAW_DEFLATE = -zlib.MAX_WBITS
LENGTH_DIGITS = 20
OVERHEAD = 1024
"""Beside one in a hundred: what compression may add to a body that cannot be compressed."""
MAX_MEMBERS = 20_000
"""Of gzip. Empty ones are of no use to anybody, but each costs time."""
CHARSETS = frozenset(
    {"utf-8", "utf-8-sig", "utf-16", "utf-32", "ascii", "iso8859-1", "iso8859-2", "iso8859-15", "cp1250", "cp1251"}
    | {"cp1252", "koi8-r", "shift_jis", "euc_jp", "gb2312", "gbk", "gb18030", "big5", "euc_kr"}
)
"""As Python names them. Others count as UTF-8: some of its codecs take quadratic time on hostile input."""
TEXT_TYPES = ("application/xml", "application/javascript", "application/x-www-form-urlencoded", "application/x-ndjson")
ResponseType = Literal["auto", "json", "text", "base64", "none"]


async def read_bounded(response: httpx2.Response, limit: int) -> bytes:
    """The decompressed body. Raises `LimitExceeded` before more than `limit` bytes are held, however small they were
    on the wire, or when more than that came over the wire, and `OutputInvalid` for a compression that was not asked
    for."""
    most = limit + limit // 100 + OVERHEAD
    announced = response.headers.get("content-length", "")
    if announced.isascii() and announced.isdigit() and int(announced[:LENGTH_DIGITS]) > most:
        raise too_large(limit)
    expander = _expander(response.headers.get("content-encoding", ""))
    body = bytearray()
    received = 0
    async for part in response.aiter_raw():
        received += len(part)
        body += await expander.expand(part, limit - len(body) + 1)
        if len(body) > limit or received > most:
            raise too_large(limit)
    expander.finish()
    return bytes(body)


def too_large(limit: int) -> LimitExceeded:
    message = f"the answer is larger than {limit} bytes; raise `maxResponseBytes` or ask for less"
    return LimitExceeded(message, code="RESPONSE_TOO_LARGE", details={"limitBytes": limit})


def decode(body: bytes, headers: httpx2.Headers, response_type: ResponseType) -> Any:
    """None for no body; base64 text for what is neither JSON nor text."""
    if not body or response_type == "none":
        return None
    media_type, _, parameters = headers.get("content-type", "").partition(";")
    kind = _guessed(media_type.strip().lower()) if response_type == "auto" else response_type
    if kind == "json":
        return _json(body)
    if kind == "text":
        return body.decode(_charset(parameters), errors="replace")
    return base64.b64encode(body).decode()


def _expander(encoding: str) -> "_Plain | _Inflater":
    match encoding.strip().lower():
        case "" | "identity":
            return _Plain()
        case "gzip" | "x-gzip" | "deflate":
            return _Inflater()
        case other:
            raise OutputInvalid(f"the answer is compressed as {other[:40]!r}, which was not asked for")


class _Plain:
    async def expand(self, part: bytes, room: int) -> bytes:
        return part[:room]

    def finish(self) -> None:
        """Any end is a good one; a wrong length is noticed by the HTTP parser."""


class _Inflater:
    """gzip, also of several members, and deflate; some servers send deflate without its header."""

    def __init__(self) -> None:
        self._stream = zlib.decompressobj(GZIP_OR_ZLIB)
        self._started = False
        self._members = 1

    async def expand(self, part: bytes, room: int) -> bytes:
        """In a thread: a few bytes may become very many."""
        return await asyncio.to_thread(self._expand_members, part, room)

    def _expand_members(self, part: bytes, room: int) -> bytes:
        expanded = bytearray()
        while part and len(expanded) < room:
            expanded += self._expand(part, room - len(expanded))
            part = self._stream.unused_data
            if part:
                self._begin_member()
        return bytes(expanded)

    def _begin_member(self) -> None:
        self._members += 1
        if self._members > MAX_MEMBERS:
            raise OutputInvalid(f"the answer's compression consists of more than {MAX_MEMBERS} parts")
        self._stream = zlib.decompressobj(GZIP_OR_ZLIB)

    def finish(self) -> None:
        if self._started and not self._stream.eof:
            raise OutputInvalid("the answer ends in the middle of its compressed data")

    def _expand(self, part: bytes, room: int) -> bytes:
        try:
            expanded = self._stream.decompress(part, room)
        except zlib.error:
            expanded = self._expand_raw(part, room)
        self._started = True
        return expanded

    def _expand_raw(self, part: bytes, room: int) -> bytes:
        if not self._started:
            self._stream = zlib.decompressobj(RAW_DEFLATE)
            with suppress(zlib.error):
                return self._stream.decompress(part, room)
        raise OutputInvalid("the answer's compression is broken")


def _guessed(media_type: str) -> ResponseType:
    if media_type.endswith(("/json", "+json")):
        return "json"
    if media_type.startswith("text/") or media_type.endswith("+xml") or media_type in TEXT_TYPES:
        return "text"
    return "base64"


def _json(body: bytes) -> Any:
    try:
        return orjson.loads(body)
    except orjson.JSONDecodeError as error:
        raise OutputInvalid(f"the answer is no JSON: {error}; set `responseType` to text or base64") from None


def _charset(parameters: str) -> str:
    for parameter in parameters.split(";"):
        name, _, value = parameter.strip().partition("=")
        if name.lower() == "charset":
            return _known_charset(value.strip("\"' "))
    return "utf-8"


def _known_charset(name: str) -> str:
    try:
        found = codecs.lookup(name).name
    except (LookupError, ValueError):
        return "utf-8"
    return found if found in CHARSETS else "utf-8"
