"""One child process of the stack: started in a session of its own, its output kept in a log, stopped for certain."""

import asyncio
import os
import signal
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass, field

from deployments.local.errors import ServiceFailed
from deployments.local.guard import Guard
from deployments.local.logs import RotatingLog
from deployments.local.probes import Probe

CHUNK_BYTES = 65_536


@dataclass(frozen=True, kw_only=True)
class Command:
    """What to start and how to know that it is ready; `grace_seconds` is its time to end after SIGTERM."""

    name: str
    arguments: tuple[str, ...]
    environment: Mapping[str, str]
    ready: Probe
    ready_seconds: float = 60.0
    probe_pause_seconds: float = 0.05
    grace_seconds: float = 8.0
    descriptors: tuple[int, ...] = field(default=())
    """File descriptors handed on under the same numbers (the listening socket)."""


class ProcessService:
    """A `Service` behind which there is one child process."""

    def __init__(self, command: Command, *, log: RotatingLog, guard: Guard | None = None) -> None:
        self.name = command.name
        self.detail = ""
        self._command = command
        self._log = log
        self._guard = guard
        self._process: asyncio.subprocess.Process | None = None
        self._copy: asyncio.Task[None] | None = None

    @property
    def pid(self) -> int | None:
        """The child's pid while it runs."""
        if self._process is None or self._process.returncode is not None:
            return None
        return self._process.pid

    async def start(self) -> None:
        """Returns when the probe is content. Raises `ServiceFailed` when the child ends or takes too long."""
        await self._spawn()
        exited = asyncio.create_task(self.exited())
        ready = asyncio.create_task(self._until_ready())
        try:
            seconds = self._command.ready_seconds
            await asyncio.wait({exited, ready}, timeout=seconds, return_when=asyncio.FIRST_COMPLETED)
            if ready.done():
                return
            how = exited.result() if exited.done() else f"was not ready after {seconds:.0f} s"
        finally:
            await _cancelled(exited, ready)
        await self.stop()
        raise self.failure(how)

    async def exited(self) -> str:
        """Returns when the child has ended, with how it did (`exited with code 1`)."""
        assert self._process is not None
        return describe_exit(await self._process.wait())

    async def stop(self) -> None:
        """SIGTERM, the grace, then SIGKILL for the whole process group; returns when nothing of it is left."""
        process = self._process
        if process is None:
            return
        if process.returncode is None:
            with suppress(ProcessLookupError):
                process.terminate()
            with suppress(TimeoutError):
                await asyncio.wait_for(process.wait(), self._command.grace_seconds)
        self.kill()
        await process.wait()
        await self._finish()

    def kill(self) -> None:
        """SIGKILL for the child and all of its process group; without effect when there is none."""
        if self._process is not None:
            with suppress(ProcessLookupError):
                os.killpg(self._process.pid, signal.SIGKILL)

    def failure(self, how: str) -> ServiceFailed:
        """The error for a child that ended as `how` says, with the end of its log."""
        hint = f"its log is {self._log.path}"
        return ServiceFailed(f"{self.name} {how}", hint=hint, lines=self._log.tail())

    async def _spawn(self) -> None:
        await self._finish()
        reader, writer = os.pipe()
        try:
            self._process = await asyncio.create_subprocess_exec(
                *self._command.arguments,
                stdin=asyncio.subprocess.DEVNULL,
                stdout=writer,
                stderr=writer,
                env=dict(self._command.environment),
                pass_fds=self._command.descriptors,
                start_new_session=True,
            )
        except OSError as error:
            os.close(reader)
            raise ServiceFailed(f"{self.name} cannot be started: {error.strerror}") from error
        finally:
            os.close(writer)
        if self._guard is not None:
            self._guard.watch(self._process.pid, signal.SIGTERM)
        self._copy = asyncio.create_task(self._copy_output(reader))

    async def _until_ready(self) -> None:
        while not await self._command.ready():  # noqa: ASYNC110 # nothing tells when a server answers
            await asyncio.sleep(self._command.probe_pause_seconds)

    async def _copy_output(self, descriptor: int) -> None:
        stream = asyncio.StreamReader()
        file = os.fdopen(descriptor, "rb", buffering=0)
        loop = asyncio.get_running_loop()
        transport, _ = await loop.connect_read_pipe(lambda: asyncio.StreamReaderProtocol(stream), file)
        try:
            while chunk := await stream.read(CHUNK_BYTES):
                self._log.write(chunk)
        finally:
            transport.close()

    async def _finish(self) -> None:
        """Leaves the ended child behind: its last output is in the log, its group is gone, the guard forgets it."""
        if self._process is not None:
            self.kill()
            if self._guard is not None:
                self._guard.forget(self._process.pid)
            self._process = None
        if self._copy is not None:
            with suppress(TimeoutError):
                await asyncio.wait_for(self._copy, 1.0)
            self._copy = None
        self._log.close()


def describe_exit(code: int) -> str:
    """How a process ended, from its return code."""
    if code >= 0:
        return f"exited with code {code}"
    with suppress(ValueError):
        return f"was ended by {signal.Signals(-code).name}"
    return f"was ended by signal {-code}"


async def _cancelled(*tasks: asyncio.Task[object]) -> None:
    for task in tasks:
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)
