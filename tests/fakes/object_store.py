"""What object stores have in common: blobs in memory, spans of them, lists of them by pages."""

import asyncio
import re
from abc import ABC, abstractmethod
from collections.abc import Iterator
from dataclasses import dataclass, field
from urllib.parse import unquote

from tests.agents.http_server import Received, reply

MODIFIED = "Sat, 21 Nov 2026 10:00:00 GMT"
MODIFIED_ISO = "2026-11-21T10:00:00.000Z"
PAGE = 2
"""Names of one page of a list: few, so that a list has several."""

_SPAN = re.compile(r"bytes=(\d*)-(\d*)")


class Denied(Exception):
    """The request does not show that it may."""


@dataclass
class Blobs:
    """Containers that are there, and their blobs by name."""

    containers: dict[str, dict[str, bytes]] = field(default_factory=dict)
    blocks: dict[tuple[str, str, str], bytes] = field(default_factory=dict)
    """Parts of a blob that has not come together yet: by container, name and the part's name."""

    def named(self, request: Received) -> tuple[str, str]:
        """Container and blob of a request's path; the blob is empty where the container itself is meant."""
        container, _, name = unquote(request.path).lstrip("/").partition("/")
        return container, name

    def page(self, container: str, prefix: str, after: str) -> tuple[list[str], str]:
        """The names of one page, and where the next one begins; empty at the end."""
        names = sorted(name for name in self.containers[container] if name.startswith(prefix) and name > after)
        return names[:PAGE], names[PAGE - 1] if len(names) > PAGE else ""


def found(content: bytes, request: Received, tag: str) -> bytes:
    """The answer to GET or HEAD of a blob, or of a span of it."""
    named = {"etag": f'"{tag}"', "last_modified": MODIFIED, "content_type": "application/octet-stream"}
    match = _SPAN.fullmatch(request.headers.get("range", request.headers.get("x-ms-range", "")))
    if match is None:
        whole = reply(200, content, **named)
        return whole[: len(whole) - len(content)] if request.method == "HEAD" else whole
    first, last = match[1], match[2]
    start = int(first) if first else max(0, len(content) - int(last))
    stop = min(int(last) + 1, len(content)) if first and last else len(content)
    return reply(206, content[start:stop], content_range=f"bytes {start}-{stop - 1}/{len(content)}", **named)


def elements(tag: str, texts: list[str]) -> Iterator[str]:
    """XML elements around texts that are XML already."""
    return (f"<{tag}>{text}</{tag}>" for text in texts)


@dataclass(kw_only=True)
class Store(ABC):
    """Answers requests; `public` containers are read by everybody."""

    blobs: Blobs = field(default_factory=Blobs)
    public: set[str] = field(default_factory=set)
    refused: list[str] = field(default_factory=list)
    """What those were that did not show that they may."""

    async def __call__(self, request: Received, writer: asyncio.StreamWriter) -> None:
        writer.write(self.answer(request))
        await writer.drain()

    @abstractmethod
    def answer(self, request: Received) -> bytes:
        """As it goes over the wire."""
