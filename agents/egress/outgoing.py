"""One request, ready to be sent except for its credentials, and where a redirect turns it to."""

from collections.abc import Awaitable, Callable
from dataclasses import dataclass, replace
from typing import Any

import httpx2

from agents.egress.guard import DEFAULT_PORTS
from agents.errors import EgressRefused

REDIRECTS = frozenset({301, 302, 303, 307, 308})
KEEP_METHOD = frozenset({307, 308})
KEPT_ACROSS_HOSTS = frozenset(
    {"accept", "accept-encoding", "accept-language", "content-type", "user-agent", "x-idempotency-key"}
)
"""All other headers may hold credentials under a name that nobody here knows, so they stay with the first host."""
Trace = Callable[[str, dict[str, Any]], Awaitable[None]]
"""Hears of each event on the way, by httpcore2's names."""
BODY_HEADERS = ("content-type",)


@dataclass(frozen=True, kw_only=True)
class Outgoing:
    """`trusted` is true as long as the request goes to the host that the config names, and so may carry credentials."""

    method: str
    url: httpx2.URL
    headers: httpx2.Headers
    content: bytes = b""
    trusted: bool = True

    def with_headers(self, added: dict[str, str]) -> "Outgoing":
        headers = httpx2.Headers(self.headers)
        headers.update([(name.encode(), value.encode()) for name, value in added.items()])
        return replace(self, headers=headers)

    def with_query(self, added: dict[str, Any]) -> "Outgoing":
        return replace(self, url=self.url.copy_merge_params(added))

    def request(self, timeouts: dict[str, float | None], trace: Trace | None = None) -> httpx2.Request:
        """`timeouts` are those of `connect`, `read`, `write` and `pool`, each of one step on the way."""
        extensions = {"timeout": timeouts} if trace is None else {"timeout": timeouts, "trace": trace}
        return httpx2.Request(self.method, self.url, headers=self.headers, content=self.content, extensions=extensions)

    def redirected(self, status: int, target: httpx2.URL) -> "Outgoing":
        """As browsers do it: 303 becomes GET, so do 301 and 302 after POST; credentials stay with the first host."""
        trusted = self.trusted and same_origin(self.url, target)
        headers = httpx2.Headers(self.headers)
        if not trusted:
            headers = httpx2.Headers([item for item in headers.raw if item[0].decode().lower() in KEPT_ACROSS_HOSTS])
        turned = replace(self, url=target, headers=headers, trusted=trusted)
        return turned if status in KEEP_METHOD or not self._becomes_get(status) else turned.without_body()

    def without_body(self) -> "Outgoing":
        headers = httpx2.Headers([item for item in self.headers.raw if item[0].decode().lower() not in BODY_HEADERS])
        return replace(self, method="GET", headers=headers, content=b"")

    def _becomes_get(self, status: int) -> bool:
        return self.method != "HEAD" if status == httpx2.codes.SEE_OTHER else self.method == "POST"

    @property
    def label(self) -> str:
        """For messages: without the query, which may hold a key."""
        port = f":{self.url.port}" if self.url.port else ""
        return f"{self.method} {self.url.scheme}://{self.url.host}{port}{self.url.path}"


def parse_url(text: str, base: httpx2.URL | None = None) -> httpx2.URL:
    """Raises `EgressRefused`: a URL that cannot be understood is not followed."""
    try:
        url = httpx2.URL(text) if base is None else base.join(text)
    except (httpx2.InvalidURL, ValueError) as error:
        raise EgressRefused(f"the URL cannot be understood: {error}", path="url") from None
    return url.copy_with(fragment=None)


def same_origin(one: httpx2.URL, other: httpx2.URL) -> bool:
    return _origin(one) == _origin(other)


def _origin(url: httpx2.URL) -> tuple[str, str, int | None]:
    return url.scheme, url.host, url.port or DEFAULT_PORTS.get(url.scheme)
