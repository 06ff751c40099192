"""A few tasks that share much work: as many as may be at work at once, never one for each piece."""

import asyncio
from collections.abc import Awaitable, Callable, Iterable, Iterator
from typing import Generic, TypeVar

from flows.runtime.activity import Activity

T = TypeVar("T")


class Crew(Generic[T]):
    """Does the work of each piece, `size` at once. The first failure stops the others and is raised."""

    def __init__(self, activity: Activity, work: Callable[[T], Awaitable[None]], size: int) -> None:
        self._activity = activity
        self._work = work
        self._size = size
        self._members: set[asyncio.Task[None]] = set()
        self._failure: BaseException | None = None
        self._stopped = False

    async def run(self, pieces: Iterable[T]) -> None:
        """Until all pieces are done or `stop` was called. The caller counts as at work, and rests meanwhile."""
        shared = iter(pieces)
        with self._activity.resting():
            for _ in range(self._size):
                self._take_on(shared)
            await self._dismissed()
        if self._failure is not None:
            raise self._failure

    def stop(self, reason: str) -> None:
        """Cancels what the others work on; no further piece is begun. A member may call it."""
        self._stopped = True
        current = asyncio.current_task()
        for member in self._members:
            if member is not current:
                member.cancel(reason)

    def _take_on(self, pieces: Iterator[T]) -> None:
        self._activity.begin()
        member = asyncio.create_task(self._work_through(pieces))
        self._members.add(member)
        member.add_done_callback(self._leave)

    async def _work_through(self, pieces: Iterator[T]) -> None:
        for piece in pieces:
            await self._work(piece)
            if self._stopped:
                return

    def _leave(self, member: asyncio.Task[None]) -> None:
        self._members.discard(member)
        self._activity.end()
        if member.cancelled() or (error := member.exception()) is None or self._failure is not None:
            return
        self._failure = error
        self.stop(str(error))

    async def _dismissed(self) -> None:
        """All members have ended; when cancelled, they are stopped first."""
        cancelled: asyncio.CancelledError | None = None
        while self._members:
            try:
                await asyncio.wait(set(self._members))
            except asyncio.CancelledError as told:
                cancelled = told
                self.stop(str(told))
        if cancelled is not None:
            raise cancelled
