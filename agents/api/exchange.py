"""One attempt: a request, the redirects that follow, and the answer's body."""

import asyncio
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import httpx2

from agents.api.body import read_bounded
from agents.egress.outgoing import REDIRECTS, Outgoing, parse_url
from agents.errors import AgentTimeout, ConnectionFailed, EgressRefused, LimitExceeded

MAX_REDIRECTS = 5
CONNECT_SECONDS = 10.0
EXCERPT_BYTES = 64 * 1024

STAGES = {
    "connect_tcp.started": "connecting",
    "start_tls.started": "agreeing on TLS",
    "send_request_headers.started": "sending",
    "receive_response_headers.started": "waiting for the answer's first byte",
    "receive_response_body.started": "reading the answer",
}
"""The transport's events → what is being done from then on."""

Authorise = Callable[[Outgoing], Outgoing]


@dataclass(frozen=True, kw_only=True)
class Answer:
    """`url` is where it came from in the end; `body` is decompressed."""

    status: int
    headers: httpx2.Headers
    body: bytes
    url: httpx2.URL


@dataclass(frozen=True, kw_only=True)
class Exchange:
    """How attempts of one run are made. `expects` says for which statuses the whole body is wanted; of others only the
    start is read."""

    transport: httpx2.AsyncBaseTransport
    authorise: Authorise
    expects: Callable[[int], bool]
    carries_credentials: bool
    timeout: float

    async def attempt(self, outgoing: Outgoing, max_bytes: int) -> Answer:
        """Raises `ConnectionFailed`, `AgentTimeout`, `EgressRefused`, `LimitExceeded` or `OutputInvalid`."""
        progress = Progress()
        try:
            async with asyncio.timeout(self.timeout):
                return await self._follow(outgoing, max_bytes, progress)
        except TimeoutError:
            message = (
                f"{outgoing.label} took longer than {self.timeout:g} s and was still {progress.stage}; "
                "raise `timeoutSeconds`"
            )
            details = {"timeoutSeconds": self.timeout, "stage": progress.stage}
            raise AgentTimeout(message, path="timeoutSeconds", details=details) from None
        except httpx2.TransportError as error:
            raise ConnectionFailed(f"{outgoing.label}: {error or type(error).__name__}", path="url") from None

    async def _follow(self, outgoing: Outgoing, max_bytes: int, progress: "Progress") -> Answer:
        answer, target = await self._send(outgoing, max_bytes, progress)
        for _ in range(MAX_REDIRECTS):
            if target is None:
                return answer
            with _redirected_by(outgoing):
                self._check_downgrade(outgoing, target)
                outgoing = outgoing.redirected(answer.status, target)
                answer, target = await self._send(outgoing, max_bytes, progress)
        if target is None:
            return answer
        raise EgressRefused(f"{outgoing.label}: more than {MAX_REDIRECTS} redirects", path="url")

    async def _send(self, outgoing: Outgoing, max_bytes: int, progress: "Progress") -> tuple[Answer, httpx2.URL | None]:
        timeouts = {"connect": min(CONNECT_SECONDS, self.timeout), "read": None, "write": None, "pool": None}
        request = self.authorise(outgoing).request(timeouts, progress.trace)
        response = await self.transport.handle_async_request(request)
        try:
            location = response.headers.get("location")
            if response.status_code in REDIRECTS and location and not self.expects(response.status_code):
                with _redirected_by(outgoing):
                    target = parse_url(location, outgoing.url)
                return Answer(status=response.status_code, headers=response.headers, body=b"", url=target), target
            return await self._received(response, outgoing, max_bytes), None
        finally:
            await response.aclose()

    async def _received(self, response: httpx2.Response, outgoing: Outgoing, max_bytes: int) -> Answer:
        status = response.status_code
        if outgoing.method == "HEAD":
            body = b""  # its headers describe the body of a GET
        else:
            body = await (read_bounded(response, max_bytes) if self.expects(status) else _start_of(response))
        return Answer(status=status, headers=response.headers, body=body, url=outgoing.url)

    def _check_downgrade(self, outgoing: Outgoing, target: httpx2.URL) -> None:
        if outgoing.url.scheme == "https" and target.scheme == "http" and outgoing.trusted and self.carries_credentials:
            raise EgressRefused("this leads from https to http; credentials are not sent that way", path="url")


class Progress:
    """How far an attempt has come, as the transport tells it."""

    def __init__(self) -> None:
        self.stage = "waiting for a free connection"

    async def trace(self, event: str, _info: dict[str, Any]) -> None:
        """Called with names such as `http11.receive_response_headers.started`."""
        self.stage = STAGES.get(event.partition(".")[2], self.stage)


@contextmanager
def _redirected_by(outgoing: Outgoing) -> Iterator[None]:
    """Says of what is refused where it came from: nobody has written that URL into a config."""
    try:
        yield
    except EgressRefused as refused:
        message = f"{outgoing.label} redirects: {refused.message}"
        raise EgressRefused(message, path=refused.path, details=refused.details) from None


async def _start_of(response: httpx2.Response) -> bytes:
    """Enough of an unwanted answer for an excerpt; nothing where there is too much of it."""
    try:
        return await read_bounded(response, EXCERPT_BYTES)
    except LimitExceeded:
        return b""
