"""What leaves for a provider, and how much of what comes back is read.

The client takes keys and headers from the environment when it is given none of its own, and tells about the machine
that it runs on. So the headers of each request are written here, and nothing else of them goes out.
"""

from collections.abc import AsyncIterator, Mapping
from typing import cast

import httpx2

MIB = 1024 * 1024
MAX_ANSWER_BYTES = 64 * MIB
MAX_ERROR_BYTES = 64 * 1024
USER_AGENT = "turbocat"

_KEPT = ("host", "content-type", "content-length", "transfer-encoding", "accept")
_MANAGED = frozenset({*_KEPT, "accept-encoding", "connection", "expect", "te", "trailer", "upgrade"})
"""What says how a request is sent is not for a provider's headers to say."""


class ProviderTransport(httpx2.AsyncBaseTransport):
    """Of one provider; what it sends it sends through `inner`, which belongs to somebody else."""

    def __init__(self, inner: httpx2.AsyncBaseTransport, headers: Mapping[str, str]) -> None:
        self._inner = inner
        own = {name.lower(): value for name, value in headers.items() if name.lower() not in _MANAGED}
        self._headers = {"user-agent": USER_AGENT, **own, "accept-encoding": "identity"}

    async def handle_async_request(self, request: httpx2.Request) -> httpx2.Response:
        kept = {name: request.headers[name] for name in _KEPT if name in request.headers}
        outgoing = httpx2.Request(
            request.method,
            request.url,
            headers={**kept, **self._headers},
            stream=request.stream,
            extensions=request.extensions,
        )
        answer = await self._inner.handle_async_request(outgoing)
        bound = MAX_ERROR_BYTES if answer.is_error else MAX_ANSWER_BYTES
        body = _Bounded(cast(httpx2.AsyncByteStream, answer.stream), bound)
        if answer.headers.get("content-encoding", "identity").lower() != "identity":
            await answer.aclose()
            raise httpx2.RemoteProtocolError("the answer is compressed, which was not asked for")
        return httpx2.Response(answer.status_code, headers=answer.headers, stream=body, extensions=answer.extensions)

    async def aclose(self) -> None:
        """Leaves `inner` as it is."""


class _Bounded(httpx2.AsyncByteStream):
    """Iterated again it goes on where it was: so the client reads what follows the end of a stream of events."""

    def __init__(self, inner: httpx2.AsyncByteStream, bound: int) -> None:
        self._inner = inner
        self._parts = aiter(inner)
        self._bound = bound
        self._seen = 0

    async def __aiter__(self) -> AsyncIterator[bytes]:
        async for part in self._parts:
            self._seen += len(part)
            if self._seen > self._bound:
                raise httpx2.RemoteProtocolError(f"the answer is larger than {self._bound:,} bytes")
            yield part

    async def aclose(self) -> None:
        await self._inner.aclose()
