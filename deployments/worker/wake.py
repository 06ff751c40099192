"""Wakes workers the moment that a run is submitted: PostgreSQL's LISTEN, with polling left as the fallback."""

import asyncio
from collections.abc import Awaitable, Callable

import psycopg
import structlog

from platform_api.resources.executions.journal import RUNS_CHANNEL

log = structlog.get_logger(__name__)

Wake = Callable[[str], Awaitable[object]]
"""Called with the environment that has a run to take."""


async def listen(url: str, wake: Wake) -> None:
    """Calls `wake` on each event, one call at a time, for ever; reconnects with backoff when the database is away."""
    delay = 0.2
    while True:
        try:
            async with await psycopg.AsyncConnection.connect(url, autocommit=True) as connection:
                await connection.execute(f"listen {RUNS_CHANNEL}")
                delay = 0.2
                async for notice in connection.notifies():
                    await _woken(wake, notice.payload)
        except psycopg.OperationalError:
            log.warning("wake_channel_lost", retry_in_seconds=delay)
            await asyncio.sleep(delay)
            delay = min(delay * 2, 10.0)


async def _woken(wake: Wake, environment: str) -> None:
    try:
        await wake(environment)
    except Exception:
        log.exception("wake_failed")
