"""Calls to an engine, which block: each in one of a few threads of the engine's own, and none waited for without end.

An engine that hangs so keeps neither the event loop nor the threads that everything else in this process shares.
"""

import asyncio
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import TypeVar

from agents.code.backend import SandboxUnavailable

THREADS = 16
"""Calls at once: to start and to remove containers; programs at work need none."""

Given = TypeVar("Given")


class EngineCalls:
    """May be used again after it was closed."""

    def __init__(self) -> None:
        self._threads: ThreadPoolExecutor | None = None

    def begin(self, work: Callable[..., Given], *arguments: object) -> asyncio.Future[Given]:
        """Does `work` in a thread as soon as one is free; it goes on whoever stops waiting for it."""
        if self._threads is None:
            self._threads = ThreadPoolExecutor(THREADS, thread_name_prefix="engine")
        return asyncio.get_running_loop().run_in_executor(self._threads, work, *arguments)

    async def call(self, seconds: float, work: Callable[..., Given], *arguments: object) -> Given:
        """What `work` gives; raises `SandboxUnavailable` after so many seconds."""
        return await within(seconds, self.begin(work, *arguments))

    def close(self) -> None:
        """Calls that are made go on in their threads, those that wait for one are given up."""
        threads, self._threads = self._threads, None
        if threads is not None:
            threads.shutdown(wait=False, cancel_futures=True)


async def within(seconds: float, made: asyncio.Future[Given]) -> Given:
    """What a call gives that was begun; raises `SandboxUnavailable` after so many seconds."""
    try:
        async with asyncio.timeout(seconds):
            return await asyncio.shield(made)
    except TimeoutError:
        made.add_done_callback(unheard)
        raise SandboxUnavailable(f"the engine did not answer within {seconds:g} s") from None


def unheard(made: asyncio.Future[Given]) -> None:
    """What nobody waits for any more may fail."""
    if not made.cancelled():
        made.exception()
