"""Counts calls per minute, in this process or in Redis, where several processes count together.

A store that fails lets calls through: a limit protects the platform, and must not be what takes it down. The log says
so, once per outage, and the store is left alone for a few seconds, so that no call waits for it.
"""

import math
import time
from dataclasses import dataclass

import structlog
from limits import RateLimitItemPerMinute
from limits.aio.storage import MemoryStorage, RedisStorage, Storage
from limits.aio.strategies import SlidingWindowCounterRateLimiter

REDIS_SECONDS = 0.5
"""What a call may wait for Redis."""

PAUSE_SECONDS = 5.0
"""How long a store that failed is left alone."""

log = structlog.get_logger(__name__)


@dataclass(frozen=True, kw_only=True)
class Count:
    """Where a counter stands after a call. `reset_seconds` is when the next call is possible again."""

    allowed: bool
    limit: int
    remaining: int
    reset_seconds: int


class RateLimiter:
    """Sliding windows of one minute over any number of named counters."""

    def __init__(self, redis_url: str | None = None, *, store: Storage | None = None) -> None:
        self._store = store or _store(redis_url)
        self._windows = SlidingWindowCounterRateLimiter(self._store)
        self._asked_again_at = 0.0
        self._failing = False

    async def count(self, counter: str, per_minute: int) -> Count | None:
        """Counts one call; None where nothing is limited (`per_minute` 0) or the store does not answer."""
        return await self._ask(counter, per_minute, cost=1)

    async def look(self, counter: str, per_minute: int) -> Count | None:
        """Where the counter stands, without counting."""
        return await self._ask(counter, per_minute, cost=0)

    async def aclose(self) -> None:
        """Closes connections to Redis."""
        if isinstance(self._store, RedisStorage):
            await self._store.bridge.get_connection().aclose()  # type: ignore[attr-defined]  # its base class has less

    async def _ask(self, counter: str, per_minute: int, *, cost: int) -> Count | None:
        if per_minute == 0 or time.monotonic() < self._asked_again_at:
            return None
        item = RateLimitItemPerMinute(per_minute)
        try:
            allowed = await (self._windows.hit(item, counter) if cost else self._windows.test(item, counter))
            stats = await self._windows.get_window_stats(item, counter)
        except Exception as error:  # of whichever client the store uses
            self._failed(error)
            return None
        self._works()
        seconds = stats.reset_time - time.time()
        reset = 1 if math.isinf(seconds) else max(1, math.ceil(seconds))
        return Count(allowed=allowed, limit=per_minute, remaining=stats.remaining, reset_seconds=reset)

    def _failed(self, error: Exception) -> None:
        self._asked_again_at = time.monotonic() + PAUSE_SECONDS
        if not self._failing:
            log.warning("rate_limits_off", reason="their store does not answer", error=type(error).__name__)
        self._failing = True

    def _works(self) -> None:
        if self._failing:
            log.warning("rate_limits_on", reason="their store answers again")
        self._failing = False


def _store(redis_url: str | None) -> Storage:
    if redis_url is None:
        return MemoryStorage()
    return RedisStorage(
        f"async+{redis_url}",
        implementation="redispy",
        key_prefix="turbocat:limits",
        socket_timeout=REDIS_SECONDS,
        socket_connect_timeout=REDIS_SECONDS,
    )
