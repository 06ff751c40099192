"""A child process that does one thing and ends, as part of the start."""

import asyncio
import os
import signal
from collections.abc import Mapping
from contextlib import suppress

from deployments.local.errors import ServiceFailed
from deployments.local.guard import Guard
from deployments.local.logs import RotatingLog
from deployments.local.process import describe_exit


async def run_once(
    name: str,
    arguments: tuple[str, ...],
    environment: Mapping[str, str],
    *,
    descriptors: tuple[int, ...] = (),
    log: RotatingLog,
    guard: Guard | None,
) -> bytes:
    """Runs to the end and returns the standard output; standard error goes to the log.

    Raises `ServiceFailed` unless the exit code is 0. Cancelled, it takes the child with it.
    """
    process = await asyncio.create_subprocess_exec(
        *arguments,
        stdin=asyncio.subprocess.DEVNULL,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
        env=dict(environment),
        pass_fds=descriptors,
        start_new_session=True,
    )
    if guard is not None:
        guard.watch(process.pid, signal.SIGTERM)
    try:
        output, errors = await process.communicate()
    finally:
        with suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
        await process.wait()
        if guard is not None:
            guard.forget(process.pid)
    log.write(errors)
    log.close()
    if process.returncode:
        raise ServiceFailed(
            f"{name} {describe_exit(process.returncode)}", hint=f"its log is {log.path}", lines=log.tail()
        )
    return output
