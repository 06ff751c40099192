"""What workers hear over PostgreSQL's LISTEN: that a run waits to be taken, that one is to be ended.

Polling stays as the fallback of both.
"""

import asyncio
from collections.abc import Awaitable, Callable, Mapping

import psycopg
import structlog
from psycopg import sql

log = structlog.get_logger(__name__)

Hear = Callable[[str], Awaitable[object]]
"""Called with a notification's payload."""


async def listen(url: str, channels: Mapping[str, Hear]) -> None:
    """Calls what belongs to the channel on each event, one call at a time, for ever.

    Reconnects with backoff when the database is away.
    """
    delay = 0.2
    while True:
        try:
            async with await psycopg.AsyncConnection.connect(url, autocommit=True) as connection:
                for channel in channels:
                    await connection.execute(sql.SQL("listen {}").format(sql.Identifier(channel)))
                delay = 0.2
                async for notice in connection.notifies():
                    await _heard(channels[notice.channel], notice.payload)
        except psycopg.OperationalError:
            log.warning("wake_channel_lost", retry_in_seconds=delay)
            await asyncio.sleep(delay)
            delay = min(delay * 2, 10.0)


async def _heard(hear: Hear, payload: str) -> None:
    try:
        await hear(payload)
    except Exception:
        log.exception("wake_failed")
