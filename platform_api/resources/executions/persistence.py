"""Writes that outlive an absence of the database: what happened is recorded later rather than lost.

A connection that breaks says nothing of its transaction: it may have been committed. So a write is told when it is made
again, and looks whether its work is done already.
"""

import asyncio
from collections.abc import Awaitable, Callable
from typing import TypeVar

import psycopg
import structlog
from sqlalchemy.exc import InterfaceError, OperationalError
from sqlalchemy.exc import TimeoutError as PoolTimeout

PATIENCE_SECONDS = 60.0
"""How long an absent database is waited for; the reconciler tidies up behind a process that gave up."""

FIRST_PAUSE_SECONDS = 0.05
LONGEST_PAUSE_SECONDS = 1.0

ABSENCES = (OperationalError, InterfaceError, PoolTimeout, psycopg.OperationalError, psycopg.InterfaceError)
"""What an absent database looks like, through the pool and through the driver."""

log = structlog.get_logger(__name__)

Result = TypeVar("Result")


async def persistently(write: Callable[[bool], Awaitable[Result]]) -> Result:
    """What `write` returns; it is called with False, then with True as long as the database is away.

    Raises the database's error after `PATIENCE_SECONDS`, and any other error at once.
    """
    loop = asyncio.get_running_loop()
    deadline = loop.time() + PATIENCE_SECONDS
    pause, again = FIRST_PAUSE_SECONDS, False
    while True:
        try:
            return await write(again)
        except ABSENCES as error:
            if loop.time() + pause > deadline:
                raise
            log.warning("record_waits_for_database", reason=type(error).__name__, retry_in_seconds=pause)
        await asyncio.sleep(pause)
        pause, again = min(pause * 2, LONGEST_PAUSE_SECONDS), True
