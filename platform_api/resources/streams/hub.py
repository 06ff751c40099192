"""One LISTEN connection per API process, outside the pool, for all its event streams.

A notification wakes the feed of its execution, if anybody here listens to that. Nothing depends on a notification
alone: after each reconnection, and every half minute, all feeds read on from where they are.
"""

import asyncio
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from uuid import UUID

import orjson
import psycopg
import structlog

from platform_api.resources.executions.journal import EVENTS_CHANNEL
from platform_api.resources.executions.live import LIVE_CHANNEL
from platform_api.resources.streams.feed import Feed, Read, Subscription
from platform_api.resources.streams.frames import live_frame

PROBE_SECONDS = 30.0
"""How often a silent connection is asked whether it is still there."""

_ANSWER_SECONDS = 5.0
_FIRST_DELAY, _LONGEST_DELAY = 0.2, 10.0

log = structlog.get_logger(__name__)


class Hub:
    """`url` is libpq's. Listens from the first subscription on."""

    def __init__(self, url: str) -> None:
        self._url = url
        self._feeds: dict[UUID, Feed] = {}
        self._task: asyncio.Task[None] | None = None
        self._closing: set[asyncio.Task[None]] = set()
        self.is_ending = False

    @contextmanager
    def joined(self, execution_id: UUID, position: int, make_read: Callable[[], Read]) -> Iterator[Subscription]:
        """A listener to all that is committed after this moment; what was before is the caller's to read.

        The feed is shared by all listeners of the execution; its first one brings `make_read` and its own position.
        """
        if self._task is None:
            self._task = asyncio.create_task(self._listen())
        feed = self._feeds.get(execution_id)
        if feed is None:
            feed = self._feeds[execution_id] = Feed(make_read(), position)
            feed.wake()
        subscription = Subscription()
        feed.add(subscription)
        if self.is_ending:
            subscription.end()
        try:
            yield subscription
        finally:
            feed.remove(subscription)
            if feed.is_empty and self._feeds.get(execution_id) is feed:
                del self._feeds[execution_id]
                self._close_later(feed)

    def end(self) -> None:
        """Ends all listeners, now and to come: the process is about to leave."""
        self.is_ending = True
        for feed in self._feeds.values():
            feed.end()

    async def aclose(self) -> None:
        """Closes the connection and every feed."""
        self.end()
        if self._task is not None:
            self._task.cancel()
            with suppress(asyncio.CancelledError):
                await self._task
        for feed in list(self._feeds.values()):
            await feed.aclose()
        if self._closing:
            await asyncio.wait(self._closing)

    def _close_later(self, feed: Feed) -> None:
        task = asyncio.create_task(feed.aclose())
        self._closing.add(task)
        task.add_done_callback(self._closing.discard)

    async def _listen(self) -> None:
        delay = _FIRST_DELAY
        while True:
            try:
                async with await psycopg.AsyncConnection.connect(
                    self._url, autocommit=True, connect_timeout=int(_ANSWER_SECONDS)
                ) as connection:
                    await connection.execute(f"listen {EVENTS_CHANNEL}")
                    await connection.execute(f"listen {LIVE_CHANNEL}")
                    delay = _FIRST_DELAY
                    await self._hear(connection)
            except (psycopg.Error, OSError) as error:  # a timeout is an OSError
                log.warning("event_channel_lost", error=type(error).__name__, retry_in_seconds=delay)
                await asyncio.sleep(delay)
                delay = min(delay * 2, _LONGEST_DELAY)

    async def _hear(self, connection: psycopg.AsyncConnection[tuple[object, ...]]) -> None:
        while True:
            for feed in self._feeds.values():
                feed.wake()
            async for notice in connection.notifies(timeout=PROBE_SECONDS):
                self._heard(notice)
            async with asyncio.timeout(_ANSWER_SECONDS):
                await connection.execute("select 1")

    def _heard(self, notice: psycopg.Notify) -> None:
        try:
            if notice.channel == LIVE_CHANNEL:
                self._announce(notice.payload)
            elif (feed := self._feeds.get(UUID(notice.payload))) is not None:
                feed.wake()
        except (ValueError, KeyError, TypeError):
            log.warning("notification_not_understood", channel=notice.channel)

    def _announce(self, payload: str) -> None:
        message = orjson.loads(payload)
        execution_id = UUID(message["executionId"])
        feed = self._feeds.get(execution_id)
        if feed is not None:
            feed.announce(live_frame(execution_id, message["type"], message["data"]))
