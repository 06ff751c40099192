"""Figures of all requests, as Prometheus wants them: by method, route template and status, never by id."""

import time
from collections.abc import Callable

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram

from platform_api.kit.asgi.messages import Application, Message, Receive, ScopeMap, Send

UNROUTED = "(none)"
"""The route of a request that met none, so that no caller can make up labels."""

_METHODS = frozenset({"GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"})
_BUCKETS = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0)


class RequestFigures:
    """The counters of one process, in a registry of their own."""

    def __init__(self) -> None:
        self.registry = CollectorRegistry()
        self.requests = Counter(
            "turbocat_http_requests", "Requests answered", ("method", "route", "status"), registry=self.registry
        )
        self.seconds = Histogram(
            "turbocat_http_request_duration_seconds",
            "Time until the answer began",
            ("method", "route"),
            registry=self.registry,
            buckets=_BUCKETS,
        )
        self.in_flight = Gauge("turbocat_http_requests_in_flight", "Requests going on", registry=self.registry)


class CountsRequests:
    """Must stand outside of what turns exceptions into answers. `template` names the route that a request met."""

    def __init__(self, app: Application, *, figures: RequestFigures, template: Callable[[ScopeMap], str]) -> None:
        self.app = app
        self.figures = figures
        self.template = template

    async def __call__(self, scope: ScopeMap, receive: Receive, send: Send) -> None:
        """Passes on."""
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return
        started = time.monotonic()

        async def noting(message: Message) -> None:
            if message["type"] == "http.response.start":
                self._note(scope, message["status"], time.monotonic() - started)
            await send(message)

        with self.figures.in_flight.track_inprogress():
            await self.app(scope, receive, noting)

    def _note(self, scope: ScopeMap, status: int, seconds: float) -> None:
        method = scope["method"] if scope["method"] in _METHODS else "OTHER"
        route = self.template(scope)
        self.figures.requests.labels(method, route, str(status)).inc()
        self.figures.seconds.labels(method, route).observe(seconds)
