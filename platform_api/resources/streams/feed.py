"""One execution's news inside one process: read once, handed to all who listen."""

import asyncio
from collections import deque
from collections.abc import Awaitable, Callable, Iterable, Sequence
from contextlib import suppress

import structlog

from platform_api.resources.streams.frames import Frame

QUEUE_FRAMES = 1000
"""What one listener may leave untaken."""

LIVE_FRAMES = 1000
"""Unnumbered news that wait for a read that is going on; the oldest are dropped beyond it."""

RETRY_SECONDS = 1.0

Read = Callable[[int], Awaitable[Sequence[Frame]]]
"""The next page of frames after a number; an empty one when there is nothing more."""

log = structlog.get_logger(__name__)


class Subscription:
    """What one listener has not taken yet: bounded, and given up when it is full."""

    def __init__(self) -> None:
        self._frames: deque[Frame] = deque()
        self._changed = asyncio.Event()
        self.is_over = False
        """True when it gets nothing any more: the listener was too slow, or the process ends."""

    def offer(self, frames: Sequence[Frame]) -> None:
        """Adds frames, or ends when there is no room for them."""
        if self.is_over:
            return
        if len(self._frames) + len(frames) > QUEUE_FRAMES:
            self.end()
            return
        self._frames.extend(frames)
        self._changed.set()

    def end(self) -> None:
        """Drops what is left; the record still has it."""
        self.is_over = True
        self._frames.clear()
        self._changed.set()

    async def take(self, *, within_seconds: float) -> list[Frame]:
        """All that is there, as soon as there is something; empty when the time is over."""
        with suppress(TimeoutError):
            async with asyncio.timeout(within_seconds):
                await self._changed.wait()
        self._changed.clear()
        taken = list(self._frames)
        self._frames.clear()
        return taken


class Feed:
    """Reads on from `position` whenever it is woken."""

    def __init__(self, read: Read, position: int) -> None:
        self._read = read
        self._position = position
        self._woken = asyncio.Event()
        self._is_reading = False
        self._live: deque[Frame] = deque(maxlen=LIVE_FRAMES)
        self._subscriptions: set[Subscription] = set()
        self._task = asyncio.create_task(self._run())

    @property
    def is_empty(self) -> bool:
        """Whether nobody listens."""
        return not self._subscriptions

    def add(self, subscription: Subscription) -> None:
        """From now on it is offered everything that is read."""
        self._subscriptions.add(subscription)

    def remove(self, subscription: Subscription) -> None:
        """Nothing any more."""
        self._subscriptions.discard(subscription)

    def wake(self) -> None:
        """There may be something new."""
        self._woken.set()

    def announce(self, frame: Frame) -> None:
        """Hands on what has no number, after all that was committed before it."""
        if self._is_reading or self._woken.is_set():
            self._live.append(frame)
        else:
            self._offer([frame])

    def end(self) -> None:
        """Ends all listeners."""
        for subscription in self._subscriptions:
            subscription.end()

    async def aclose(self) -> None:
        """Stops reading."""
        self._task.cancel()
        with suppress(asyncio.CancelledError):
            await self._task

    async def _run(self) -> None:
        while True:
            await self._woken.wait()
            self._woken.clear()
            self._is_reading = True
            try:
                await self._catch_up()
            except Exception as error:  # the database is away or busy: nothing is lost, it is read later
                log.warning("stream_read_failed", error=type(error).__name__)
                await asyncio.sleep(RETRY_SECONDS)
                self._woken.set()
            finally:
                self._is_reading = False
            self._offer_live()

    async def _catch_up(self) -> None:
        while frames := await self._read(self._position):
            self._position = max(frame.seq or 0 for frame in frames)
            self._offer(frames)

    def _offer_live(self) -> None:
        if self._live and not self._woken.is_set():
            self._offer(tuple(self._live))
            self._live.clear()

    def _offer(self, frames: Iterable[Frame]) -> None:
        offered = tuple(frames)
        for subscription in self._subscriptions:
            subscription.offer(offered)
