"""Knows whether anything of a run is at work, so that a run in which only waits are left can give up its process."""

import asyncio
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from enum import StrEnum

NEAR_SECONDS = 2.0
"""A run whose next wait is over so soon stays in its process: to leave and come back would take longer."""

_TURNS = 10
_STILL_SECONDS = 0.02


class Departure(StrEnum):
    """Why a process leaves a run before its end, so that what it stops is not recorded as stopped."""

    SUSPENDED = "SUSPENDED"
    LOST = "LOST"


class Activity:
    """Counts what is at work in a run and in the runs nested in it.

    Every step counts from when it is ready until it has ended, except while it rests (its body is at work, or is not)
    or waits. A retried step that waits for its next attempt is at work.
    """

    def __init__(self, now: Callable[[], datetime] = lambda: datetime.now(UTC)) -> None:
        self._now = now
        self._working = 0
        self._waits: dict[object, datetime | None] = {}
        self._limits: dict[object, datetime] = {}
        self._still = asyncio.Event()
        self.departure: Departure | None = None
        """Set before everything is cancelled because this process leaves the run."""
        self.wake_at: datetime | None = None
        """Set with it: when the first time limit is over of what is suspended."""

    def begin(self) -> None:
        """One more is at work."""
        self._working += 1
        self._still.clear()

    def end(self) -> None:
        """One less is."""
        self._working -= 1
        if self._working == 0:
            self._still.set()

    @contextmanager
    def working(self) -> Iterator[None]:
        """Counts as work for as long as the block lasts."""
        self.begin()
        try:
            yield
        finally:
            self.end()

    @contextmanager
    def resting(self) -> Iterator[None]:
        """What is at work does not count for as long as the block lasts: others that count work for it."""
        self.end()
        try:
            yield
        finally:
            self.begin()

    @contextmanager
    def waiting(self, due_at: datetime | None) -> Iterator[None]:
        """Rests until an answer comes, or until `due_at`."""
        key = object()
        self._waits[key] = due_at
        try:
            with self.resting():
                yield
        finally:
            del self._waits[key]

    @contextmanager
    def limited(self, due_at: datetime) -> Iterator[None]:
        """What the block holds, waits among it, is stopped at `due_at`."""
        key = object()
        self._limits[key] = due_at
        try:
            yield
        finally:
            del self._limits[key]

    async def left(self) -> None:
        """Returns at once, unless this process leaves the run: then never, since what it would begin is cut off."""
        if self.departure is not None:
            await asyncio.get_running_loop().create_future()

    async def only_waits(self) -> None:
        """Returns when nothing but waits is left and none of them is over soon; from then on the process leaves.

        A wait that gets its answer after that leaves it to whoever takes the run up (`left`).
        """
        while True:
            await self._still.wait()
            if not await self._stays_still():
                await asyncio.sleep(_STILL_SECONDS)
                continue
            seconds = self._seconds_to_next()
            if seconds is None or seconds > NEAR_SECONDS:
                self.departure, self.wake_at = Departure.SUSPENDED, self._limit()
                return
            await asyncio.sleep(max(seconds, _STILL_SECONDS))

    async def _stays_still(self) -> bool:
        """Between a step's end and the start of what follows lie a few turns of the event loop."""
        for turn in range(_TURNS + 1):
            await asyncio.sleep(0 if turn < _TURNS else _STILL_SECONDS)
            if self._working or not self._waits:
                return False
        return True

    def _seconds_to_next(self) -> float | None:
        due = [due_at for due_at in (*self._waits.values(), self._limit()) if due_at is not None]
        return (min(due) - self._now()).total_seconds() if due else None

    def _limit(self) -> datetime | None:
        return min(self._limits.values(), default=None)
