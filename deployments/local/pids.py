"""Waiting for processes that this process did not start through asyncio."""

import asyncio
import os

import psutil

POLL_SECONDS = 0.5


def alive(pid: int) -> bool:
    """Whether the process runs; one that has ended and was not yet collected does not."""
    try:
        return psutil.Process(pid).status() != psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return False


async def ended(pid: int) -> None:
    """Returns when the process has ended; by the kernel's word where it gives one, else by looking."""
    if not hasattr(os, "pidfd_open"):
        return await _polled(pid)
    try:
        descriptor = os.pidfd_open(pid)
    except OSError:
        return await _polled(pid)
    loop = asyncio.get_running_loop()
    event = asyncio.Event()
    loop.add_reader(descriptor, event.set)
    try:
        await event.wait()
    finally:
        loop.remove_reader(descriptor)
        os.close(descriptor)


async def _polled(pid: int) -> None:
    while alive(pid):  # noqa: ASYNC110 # this kernel sends no event
        await asyncio.sleep(POLL_SECONDS)
