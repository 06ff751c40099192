"""Runs queries off the event loop and stops them when their step is cancelled.

Polars' own cancel leaves a streaming query running to its end (seen with 2.1). A query that passes a Python function
now and then stops as soon as that function raises, so the signal puts such functions into the plan; rows go through
them untouched and filters and projections are pushed past them.
"""

import asyncio
import threading
from collections.abc import Callable
from concurrent.futures import Executor
from typing import TypeVar

import polars as pl

from agents.data.memory import MemoryLimit
from agents.errors import LimitExceeded

GRACE_SECONDS = 2.0
"""How long a cancelled step waits for its query. One that sorts a whole table at once may take longer; it then goes
on until its next checkpoint, holding a thread, and its result is thrown away."""

Result = TypeVar("Result")


class Stopped(Exception):
    """The query passed a checkpoint after its step was cancelled."""


class StopSignal:
    """One per run; it sets itself when the query takes too much memory."""

    def __init__(self) -> None:
        self._is_set = threading.Event()
        self._memory = MemoryLimit()
        self._excess: LimitExceeded | None = None

    def set(self) -> None:
        self._is_set.set()

    def check(self) -> None:
        """Raises `Stopped` once the run is cancelled, and `LimitExceeded` from the first excess on."""
        if self._is_set.is_set():
            raise Stopped
        if self._excess is not None:
            raise self._excess
        try:
            self._memory.check()
        except LimitExceeded as excess:
            self._excess = excess
            raise

    def checkpoint(self, frame: pl.LazyFrame, *, sees_all_rows: bool = False) -> pl.LazyFrame:
        """The same table, whose query stops here when the signal is set.

        Filters that follow move to before the checkpoint, which then sees only rows that pass; with `sees_all_rows`
        they stay behind it.
        """

        def passed(batch: pl.DataFrame) -> pl.DataFrame:
            self.check()
            return batch

        return frame.map_batches(
            passed,
            predicate_pushdown=not sees_all_rows,
            projection_pushdown=True,
            slice_pushdown=True,
            validate_output_schema=False,
            streamable=True,
        )


async def run_stoppable(pool: Executor, stop: StopSignal, work: Callable[[], Result]) -> Result:
    """What `work` returns, computed in `pool`; a cancelled caller sets `stop` and waits a short while for the end."""
    job = pool.submit(work)
    future = asyncio.wrap_future(job)
    future.add_done_callback(_take_outcome)
    try:
        return await asyncio.shield(future)
    except asyncio.CancelledError:
        stop.set()
        if not job.cancel():
            await asyncio.wait([future], timeout=GRACE_SECONDS)
        raise


def _take_outcome(future: "asyncio.Future[Result]") -> None:
    """An error that comes after the step was cancelled interests nobody; asyncio would complain about it."""
    if not future.cancelled():
        future.exception()
