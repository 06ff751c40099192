"""What Prometheus reads: the requests of this process, its pool, and how many executions are open in all.

With `TURBOCAT_METRICS_TOKEN` a scrape sends it as a bearer token. Without one only this machine may read, and only
directly: a request that a proxy has passed on is refused, whether or not the proxy is trusted.
"""

import hmac
import time
from ipaddress import ip_address

from prometheus_client import CollectorRegistry, Gauge, generate_latest

from flows.states import ExecutionStatus, is_final
from platform_api.access.scope import system_scope
from platform_api.db.engine import Sessions
from platform_api.errors import Forbidden, Unauthenticated
from platform_api.kit.asgi.client_address import UNKNOWN, client_address
from platform_api.kit.asgi.messages import ScopeMap, header
from platform_api.kit.asgi.request_figures import RequestFigures
from platform_api.resources.health.repository import count_executions, pool_figures
from platform_api.resources.health.service import platform_version

RECOUNT_SECONDS = 5.0
"""How old the count of executions may be, so that scrapes cost the database little."""

_OPEN = tuple(status for status in ExecutionStatus if not is_final(status))
_PASSED_ON = (b"forwarded", b"x-forwarded-for", b"x-real-ip", b"via")


class Metrics:
    """One per process."""

    def __init__(self, figures: RequestFigures, sessions: Sessions, *, token: str | None) -> None:
        self._registry = figures.registry
        self._sessions = sessions
        self._token = token
        self._counted_at = -RECOUNT_SECONDS
        self._executions = _gauge(self._registry, "executions_open", "Executions that have not ended", "status")
        self._connections = _gauge(self._registry, "db_pool_connections", "Connections of this process", "state")
        _gauge(self._registry, "build_info", "The version that runs", "version").labels(platform_version()).set(1)

    def check(self, scope: ScopeMap) -> None:
        """Raises `Unauthenticated` or `Forbidden` for who may not read."""
        if self._token is not None:
            _, _, given = (header(scope, b"authorization") or "").partition(" ")
            if not hmac.compare_digest(given.encode(), self._token.encode()):
                raise Unauthenticated("Send the token of TURBOCAT_METRICS_TOKEN (`Authorization: Bearer …`)")
        elif not _is_direct_and_local(scope):
            raise Forbidden("Figures are for this machine alone, unless TURBOCAT_METRICS_TOKEN is set")

    async def text(self) -> bytes:
        """All figures in Prometheus' text format."""
        size, in_use, overflow = pool_figures(self._sessions)
        for state, value in (("size", size), ("in_use", in_use), ("overflow", overflow)):
            self._connections.labels(state).set(value)
        await self._recount()
        return generate_latest(self._registry)

    async def _recount(self) -> None:
        if time.monotonic() - self._counted_at < RECOUNT_SECONDS:
            return
        self._counted_at = time.monotonic()
        async with system_scope(self._sessions) as scope:
            counts = await count_executions(scope.session, _OPEN)
        for status in _OPEN:
            self._executions.labels(status.value).set(counts.get(status, 0))


def _gauge(registry: CollectorRegistry, name: str, meaning: str, label: str) -> Gauge:
    return Gauge(f"turbocat_{name}", meaning, (label,), registry=registry)


def _is_direct_and_local(scope: ScopeMap) -> bool:
    if any(name in _PASSED_ON for name, _ in scope["headers"]):
        return False
    address = client_address(scope)
    return address != UNKNOWN and ip_address(address).is_loopback
