"""Work that a request leaves behind: it is done after the answer, and the answer never waits for it."""

import asyncio
from collections.abc import Coroutine
from typing import Any

import structlog

Work = Coroutine[Any, Any, None]

log = structlog.get_logger(__name__)


class Background:
    """Runs what it is given. What fails is logged; what is too much is refused, and logged too."""

    def __init__(self, *, capacity: int = 1000) -> None:
        self._capacity = capacity
        self._tasks: set[asyncio.Task[None]] = set()

    def start(self, work: Work) -> None:
        """Takes `work` over; the request's context (its id, its client) goes with it."""
        if len(self._tasks) >= self._capacity:
            log.error("background_full", work=_name(work), capacity=self._capacity)
            work.close()
            return
        task = asyncio.create_task(self._run(work))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def idle(self) -> None:
        """Returns when nothing is left to do, also nothing that the work itself started."""
        while self._tasks:
            await asyncio.wait(self._tasks)

    async def aclose(self, *, within_seconds: float = 5.0) -> None:
        """Waits a little for what is under way, then ends it."""
        try:
            async with asyncio.timeout(within_seconds):
                await self.idle()
        except TimeoutError:
            log.warning("background_ended", unfinished=len(self._tasks))
            for task in list(self._tasks):
                task.cancel()
            await self.idle()

    async def _run(self, work: Work) -> None:
        try:
            await work
        except Exception:
            log.exception("background_failed", work=_name(work))
        finally:
            work.close()


def _name(work: Work) -> str:
    return str(getattr(work, "__qualname__", type(work).__name__))
