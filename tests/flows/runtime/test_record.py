"""The record of an attempt is closed whatever happens to the attempt."""

import asyncio

import pytest

from flows.runtime.record import unbroken


async def test_a_write_is_finished_before_a_cancellation_goes_on() -> None:
    written = asyncio.Event()

    async def write() -> str:
        await asyncio.sleep(0.05)
        written.set()
        return "done"

    task = asyncio.create_task(unbroken(write()))
    await asyncio.sleep(0)
    task.cancel("stop")
    await asyncio.sleep(0.01)
    task.cancel("stop, really")
    with pytest.raises(asyncio.CancelledError, match="stop"):
        await task
    assert written.is_set()


async def test_a_write_that_is_refused_says_so_even_then() -> None:
    async def write() -> None:
        await asyncio.sleep(0.01)
        raise ValueError("refused")

    task = asyncio.create_task(unbroken(write()))
    await asyncio.sleep(0)
    task.cancel()
    with pytest.raises(ValueError, match="refused"):
        await task
