"""A loop in Prefect: a task for each of at most 20 chunks of items, a log line with each, and a progress artifact.

Nothing here is done for each item beyond counting; the chunks' tasks only watch.
"""

import asyncio
import logging
from collections.abc import Callable
from typing import Any
from uuid import UUID

from prefect.client.schemas.objects import State
from prefect.logging import get_run_logger
from prefect.states import Completed

from flows.runtime.activity import Activity
from flows.runtime.artifacts import Progress
from flows.runtime.task_runs import TaskOptions, run_task, stopped_state

MOST_CHUNKS = 20
CLOSING_SECONDS = 10.0

_logger = logging.getLogger(__name__)


class _Chunk:
    def __init__(self, start: int, size: int) -> None:
        self.start = start
        self.size = size
        self.done = 0
        self.failed = 0
        self.is_over: asyncio.Future[bool] = asyncio.get_running_loop().create_future()
        """True when all of its items have ended."""

    def close(self, *, whole: bool) -> None:
        if not self.is_over.done():
            self.is_over.set_result(whole)


class ChunkedLoop:
    """Shows one loop. With an unknown total the chunks are as large as the most iterations demand."""

    def __init__(
        self,
        path: str,
        total: int | None,
        bound: int,
        *,
        activity: Activity,
        id_of: Callable[[str], UUID],
        progress: Progress | None,
    ) -> None:
        self._path = path
        self._total = total
        self._size = max(1, -(-(bound if total is None else total) // MOST_CHUNKS))
        self._activity = activity
        self._id_of = id_of
        self._chunks: dict[int, _Chunk] = {}
        self._watchers: set[asyncio.Task[None]] = set()
        self._done = 0
        self._progress = progress

    def began(self, index: int) -> None:
        """The first item of a chunk starts its task."""
        number = index // self._size
        if number in self._chunks:
            return
        start = number * self._size
        size = self._size if self._total is None else min(self._size, self._total - start)
        chunk = self._chunks[number] = _Chunk(start, size)
        watcher = asyncio.create_task(self._watch(chunk))
        self._watchers.add(watcher)
        watcher.add_done_callback(self._watchers.discard)

    def ended(self, index: int, *, failed: bool) -> None:
        """The last item of a chunk ends its task."""
        chunk = self._chunks[index // self._size]
        chunk.done += 1
        chunk.failed += failed
        self._done += 1
        if chunk.done == chunk.size:
            chunk.close(whole=True)

    async def close(self) -> None:
        """Ends the tasks of chunks that are not over."""
        for chunk in self._chunks.values():
            chunk.close(whole=self._total is None)
        if self._watchers:
            await asyncio.wait(self._watchers, timeout=CLOSING_SECONDS)

    async def _watch(self, chunk: _Chunk) -> None:
        name = f"{self._path}[{chunk.start}…{chunk.start + chunk.size - 1}]"

        async def until_over() -> State[Any]:
            whole = await chunk.is_over
            message = f"{chunk.done:,} items, {chunk.failed:,} failed"
            get_run_logger().info("%s: %s; %s", self._path, message, self._so_far())
            self._tell_progress()
            return Completed(message=message) if whole else stopped_state(self._activity, message)

        try:
            await run_task(until_over, self._id_of(name), TaskOptions(name=name, tags=["turbocat", "items"]))
        except Exception:
            _logger.warning("Prefect does not show the items %s", name, exc_info=True)

    def _so_far(self) -> str:
        return f"{self._done:,} done" if self._total is None else f"{self._done:,} of {self._total:,} done"

    def _tell_progress(self) -> None:
        if self._progress and self._total:
            self._progress.tell(round(100 * self._done / self._total, 1))
