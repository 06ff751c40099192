"""Undoes the compression of answers within bounds: a few bytes may become very many."""

import asyncio
import zlib
from contextlib import suppress

import httpx2

from agents.errors import OutputInvalid

GZIP_OR_ZLIB = zlib.MAX_WBITS | 32
RAW_DEFLATE = -zlib.MAX_WBITS
MAX_MEMBERS = 20_000
"""Of gzip. Empty ones are of no use to anybody, but each costs time."""


def expander_of(headers: httpx2.Headers) -> "Plain | Inflater":
    """What turns an answer's body into what was compressed; raises `OutputInvalid` for a compression, or a compression
    of a compression, that nobody asks for."""
    match headers.get("content-encoding", "").strip().lower():
        case "" | "identity":
            return Plain()
        case "gzip" | "x-gzip" | "deflate":
            return Inflater()
        case other:
            raise OutputInvalid(f"the answer is compressed as {other[:40]!r}, which was not asked for")


class Plain:
    """Not compressed."""

    async def expand(self, part: bytes, room: int) -> bytes:
        """At most `room` bytes, here and everywhere; what is more is lost."""
        return part[:room]

    def finish(self) -> None:
        """Any end is a good one; a wrong length is noticed by the HTTP parser."""


class Inflater:
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
