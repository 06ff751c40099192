"""Looks at everything that the platform needs, at the same time, each with a limit. Says nothing of reasons: those
are in the logs, probes are answered to anybody."""

import asyncio
import time
from collections.abc import Awaitable
from functools import cache
from importlib.metadata import PackageNotFoundError, version
from typing import TypeVar

import structlog

from flows.orchestrator import Orchestrator
from platform_api.db.engine import Sessions
from platform_api.kit import clock
from platform_api.resources.health.repository import ping, pool_figures
from platform_api.resources.health.schemas import (
    Checks,
    DatabaseCheck,
    Health,
    Pool,
    PrefectCheck,
    WorkersCheck,
)
from platform_api.resources.workers.service import count_sandboxes

CHECK_SECONDS = 3.0
T = TypeVar("T")

log = structlog.get_logger(__name__)


class HealthChecks:
    """`started_at` is of the monotonic clock."""

    def __init__(self, *, sessions: Sessions, orchestrator: Orchestrator, started_at: float) -> None:
        self._sessions = sessions
        self._orchestrator = orchestrator
        self._started_at = started_at

    async def health(self) -> Health:
        """The whole picture."""
        database, prefect, workers = await asyncio.gather(self._database(), self._prefect(), self._workers())
        up = all(check.status == "up" for check in (database, prefect, workers))
        return Health(
            status="healthy" if up else "unhealthy",
            version=platform_version(),
            uptime_seconds=round(time.monotonic() - self._started_at, 3),
            timestamp=clock.now(),
            checks=Checks(database=database, prefect=prefect, workers=workers),
        )

    async def ready(self) -> bool:
        """Whether requests can be answered: the database is there (runs are taken on without Prefect)."""
        return (await self._database()).status == "up"

    async def _database(self) -> DatabaseCheck:
        started = time.monotonic()
        answered = await _attempt("database", _true(ping(self._sessions)))
        size, in_use, overflow = pool_figures(self._sessions)
        return DatabaseCheck(
            status="up" if answered else "down",
            response_time_ms=_since(started) if answered else None,
            pool=Pool(size=size, in_use=in_use, overflow=overflow),
        )

    async def _prefect(self) -> PrefectCheck:
        milliseconds = await _attempt("prefect", self._orchestrator.health())
        if milliseconds is None:
            return PrefectCheck(status="down", response_time_ms=None)
        return PrefectCheck(status="up", response_time_ms=round(milliseconds, 1))

    async def _workers(self) -> WorkersCheck:
        online, sandboxes = await asyncio.gather(
            _attempt("workers", self._orchestrator.workers_online()),
            _attempt("sandboxes", count_sandboxes(self._sessions)),
        )
        return WorkersCheck(status="up" if online else "down", online=online, code_sandboxes=sandboxes)


@cache
def platform_version() -> str:
    """The installed version, or that of a checkout that is not installed; read from disk once."""
    try:
        return version("turbocat")
    except PackageNotFoundError:
        return "0.0.0"


async def _attempt(check: str, work: Awaitable[T]) -> T | None:
    try:
        async with asyncio.timeout(CHECK_SECONDS):
            return await work
    except Exception as error:  # whatever it is, it means down
        log.warning("health_check_failed", check=check, error=type(error).__name__)
        return None


async def _true(work: Awaitable[None]) -> bool:
    await work
    return True


def _since(started: float) -> float:
    return round((time.monotonic() - started) * 1000, 1)
