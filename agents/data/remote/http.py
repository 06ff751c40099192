"""Files behind http and https, fetched by the platform itself so that each connection and redirect is checked."""

import asyncio
from pathlib import Path, PurePosixPath
from typing import IO

import httpx2

from agents.data.addresses import Located
from agents.data.formats import SUFFIXES, FileFormat
from agents.data.remote.objects import too_large
from agents.egress.compression import expander_of
from agents.egress.outgoing import REDIRECTS, Outgoing, parse_url
from agents.egress.transport import GuardedTransport
from agents.errors import AgentTimeout, ConnectionFailed, EgressRefused, HttpStatusFailed

MAX_REDIRECTS = 5
TIMEOUTS: dict[str, float | None] = {"connect": 10.0, "read": 60.0, "write": 60.0, "pool": 60.0}
CHUNK = 1 << 20
FRAMING = ("host", "content-length", "transfer-encoding", "connection")
_MEDIA_TYPES: dict[str, FileFormat] = {
    "text/csv": "csv",
    "application/csv": "csv",
    "application/json": "json",
    "application/x-ndjson": "ndjson",
    "application/vnd.apache.parquet": "parquet",
    "application/vnd.apache.arrow.file": "ipc",
    "application/vnd.openxmlformats-officedocument.spreadsheetml.sheet": "excel",
}


async def fetch_file(located: Located, transport: GuardedTransport, target: Path, limit: int) -> FileFormat | None:
    """Writes the body of a GET to `target`; gives the format that the answer claims.

    Raises `EgressRefused`, `ConnectionFailed`, `AgentTimeout`, `HttpStatusFailed`, `OutputInvalid` or `LimitExceeded`.
    """
    outgoing = _first("GET", located, {"accept-encoding": "identity"})
    try:
        for _ in range(MAX_REDIRECTS + 1):
            response = await transport.handle_async_request(outgoing.request(TIMEOUTS))
            try:
                location = response.headers.get("location")
                if response.status_code not in REDIRECTS or not location:
                    await _receive(response, outgoing, target, limit)
                    return _claimed(response, outgoing)
            finally:
                await response.aclose()
            outgoing = _turned(outgoing, response.status_code, parse_url(location, outgoing.url))
    except httpx2.TransportError as error:
        raise _lost(outgoing, error) from None
    raise EgressRefused(f"{outgoing.label}: more than {MAX_REDIRECTS} redirects", path="url")


async def send_file(located: Located, transport: GuardedTransport, file: Path) -> None:
    """Sends the file by PUT; redirects are not followed. Raises what `fetch_file` raises."""
    size = await asyncio.to_thread(lambda: file.stat().st_size)
    outgoing = _first("PUT", located, {"content-length": str(size)})
    with await asyncio.to_thread(file.open, "rb") as content:
        request = httpx2.Request(
            "PUT", outgoing.url, headers=outgoing.headers, stream=_Parts(content), extensions={"timeout": TIMEOUTS}
        )
        try:
            response = await transport.handle_async_request(request)
        except httpx2.TransportError as error:
            raise _lost(outgoing, error) from None
        try:
            _require_success(response, outgoing)
        finally:
            await response.aclose()


class _Parts(httpx2.AsyncByteStream):
    """A file, read off the event loop."""

    def __init__(self, content: IO[bytes]) -> None:
        self._content = content

    async def __aiter__(self):  # type: ignore[no-untyped-def] # an async generator, as httpx2 declares it
        while part := await asyncio.to_thread(self._content.read, CHUNK):
            yield part


def _first(method: str, located: Located, added: dict[str, str]) -> Outgoing:
    """What frames the request is never the config's to say."""
    url = parse_url(located.url)
    try:
        headers = httpx2.Headers(located.headers or {})
    except UnicodeEncodeError:
        raise EgressRefused("headers are plain ASCII text", path="headers") from None
    for name in FRAMING:
        headers.pop(name, None)
    headers.update({"host": url.netloc.decode(), **added})
    return Outgoing(method=method, url=url, headers=headers)


def _turned(outgoing: Outgoing, status: int, target: httpx2.URL) -> Outgoing:
    if outgoing.url.scheme == "https" and target.scheme == "http":
        raise EgressRefused(f"{outgoing.label} redirects from https to http", path="url")
    return outgoing.redirected(status, target)


async def _receive(response: httpx2.Response, outgoing: Outgoing, target: Path, limit: int) -> None:
    """What comes over the wire counts as well: some of it expands to nothing."""
    _require_success(response, outgoing)
    received = written = 0
    expander = expander_of(response.headers)
    with await asyncio.to_thread(target.open, "wb") as file:
        async for part in response.aiter_raw():
            content = await expander.expand(part, limit - written + 1)
            received, written = received + len(part), written + len(content)
            if max(received, written) > limit:
                raise too_large(str(outgoing.url), limit)
            await asyncio.to_thread(file.write, content)
    expander.finish()


def _require_success(response: httpx2.Response, outgoing: Outgoing) -> None:
    status = response.status_code
    if not httpx2.codes.is_success(status):
        code = f"HTTP_{status // 100}XX" if status >= httpx2.codes.BAD_REQUEST else None
        raise HttpStatusFailed(f"{outgoing.label} answered {status}", code=code, path="url", details={"status": status})


def _claimed(response: httpx2.Response, outgoing: Outgoing) -> FileFormat | None:
    by_name = SUFFIXES.get(PurePosixPath(outgoing.url.path).suffix.lower())
    media_type = response.headers.get("content-type", "").partition(";")[0].strip().lower()
    return by_name or _MEDIA_TYPES.get(media_type)


def _lost(outgoing: Outgoing, error: httpx2.TransportError) -> AgentTimeout | ConnectionFailed:
    kind = AgentTimeout if isinstance(error, httpx2.ReadTimeout | httpx2.WriteTimeout) else ConnectionFailed
    return kind(f"{outgoing.label}: {error or type(error).__name__}")
