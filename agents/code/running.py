"""One run as the worker sees it: what comes out of its pipes, what stops it, and what became of it."""

import asyncio
import contextlib
import json
import os
import signal
import socket
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from agents.code.answer import AnswerReader
from agents.code.backend import Limits, Outcome, Program, Reason, SandboxUnavailable, Streams, Usage
from agents.code.network import serve
from agents.code.pipes import Pipes

CHUNK_BYTES = 65_536
REASONS = {"memory": Reason.MEMORY, "cpu": Reason.CPU, "processes": Reason.PROCESSES, "disk": Reason.DISK}
BY_SIGNAL: dict[int | None, Reason] = {signal.SIGXCPU: Reason.CPU, signal.SIGXFSZ: Reason.DISK}
"""The kernel's own limits end a process so."""


@dataclass
class Stop:
    """Why the worker ended a run."""

    reason: Reason
    what: str = ""


@dataclass
class Running:
    """One run's pipes. They are read as they fill, without tasks: a run costs the event loop little."""

    program: Program
    limits: Limits
    streams: Streams
    pipes: Pipes
    _takers: dict[int, Callable[[bytes], None]] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self._loop = asyncio.get_running_loop()
        self._network = self._serve_network()
        self._stop: Stop | None = None
        self._report = b""
        self._over: asyncio.Future[None] = self._loop.create_future()
        self._answer = AnswerReader(self.limits, self.program.collect)
        self._read(self.pipes.stdout, self._taker("stdout"))
        self._read(self.pipes.stderr, self._taker("stderr"))
        self._read(self.pipes.answer, self._take_answer)
        self._read(self.pipes.control.fileno(), self._take_report)

    async def until_over(self, wall_seconds: float | None) -> Stop | None:
        """Until nothing of the run is left. A cancellation waits for that as well before it goes on."""
        try:
            async with asyncio.timeout(wall_seconds):
                await asyncio.shield(self._over)
        except TimeoutError:
            self._end(Stop(Reason.TIMEOUT))
            await self._surely_over()
        except asyncio.CancelledError:
            self._end(Stop(Reason.TIMEOUT))
            await self._surely_over()
            raise
        return self._stop

    def outcome(self, stopped: Stop | None, *, wall_seconds: float) -> Outcome:
        """From what the watcher reported. Raises `SandboxUnavailable` where the walls could not be built."""
        try:
            ended: dict[str, Any] = json.loads(self._report)
        except ValueError:
            raise SandboxUnavailable("the process that watches over the program was killed") from None
        if ended["end"] == "setup":
            raise SandboxUnavailable(f"the sandbox could not be built: {ended['message']}")
        if ended["end"] == "stopped" and stopped is None:  # it was handed its job as its zygote died
            raise SandboxUnavailable("the process that starts programs has ended")
        how, code = ended["end"], ended["code"]
        killed_by = code if how == "signalled" else None
        return Outcome(
            answer=self._answer.answer,
            files=tuple(self._answer.files),
            reason=stopped.reason if stopped else REASONS.get(how) or BY_SIGNAL.get(killed_by),
            what=stopped.what if stopped else "",
            exit_code=code if how == "exited" else None,
            signal=killed_by,
            usage=Usage(wall_seconds=wall_seconds, cpu_seconds=ended["cpuSeconds"], memory_bytes=ended["peakMemory"]),
        )

    async def aclose(self) -> None:
        """Lets go of everything; ends a run that is not over."""
        if self._network is not None:
            self._network.cancel()
        self._close()
        if self._network is not None:
            await asyncio.wait([self._network])

    def _close(self) -> None:
        for descriptor in list(self._takers):
            self._forget(descriptor)
        self.pipes.close()
        self._answer.close()
        if not self._over.done():
            self._over.cancel()

    def _serve_network(self) -> asyncio.Task[None] | None:
        """Its descriptor goes behind the program's. Raises `OSError` where this process may open no more."""
        if self.program.network is None:
            return None
        ours, theirs = socket.socketpair()
        self.pipes.handed_over.append(theirs.detach())
        return self._loop.create_task(serve(ours, self.program.network))

    def _read(self, descriptor: int, take: Callable[[bytes], None]) -> None:
        os.set_blocking(descriptor, False)
        self._takers[descriptor] = take
        self._loop.add_reader(descriptor, self._readable, descriptor)

    def _readable(self, descriptor: int) -> None:
        try:
            chunk = os.read(descriptor, CHUNK_BYTES)
        except BlockingIOError:
            return
        except ConnectionResetError:
            chunk = b""
        if chunk:
            self._takers[descriptor](chunk)
            return
        self._forget(descriptor)
        if not self._takers and not self._over.done():
            self._over.set_result(None)

    def _forget(self, descriptor: int) -> None:
        self._loop.remove_reader(descriptor)
        del self._takers[descriptor]
        self.pipes.close_one(descriptor)

    def _taker(self, stream: str) -> Callable[[bytes], None]:
        def take(chunk: bytes) -> None:
            if self._stop is None and not self.streams.write(stream, chunk):
                self._end(Stop(Reason.OUTPUT, stream))

        return take

    def _take_answer(self, chunk: bytes) -> None:
        if self._stop is None and not self._answer.feed(chunk):
            self._end(Stop(Reason.OUTPUT, self._answer.what))

    def _take_report(self, chunk: bytes) -> None:
        self._report += chunk

    def _end(self, stop: Stop) -> None:
        """The watcher sees that the channel is closed, kills everything, and reports; the pipes end with that."""
        self._stop = self._stop or stop
        with contextlib.suppress(OSError):
            self.pipes.control.shutdown(socket.SHUT_WR)

    async def _surely_over(self) -> None:
        cancelled: asyncio.CancelledError | None = None
        while not self._over.done():
            try:
                await asyncio.shield(self._over)
            except asyncio.CancelledError as error:
                cancelled = error
        if cancelled is not None:
            raise cancelled
