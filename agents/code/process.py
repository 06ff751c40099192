"""Starts the guest process and makes sure that nothing of it is left."""

import asyncio
import os
import shutil
import signal
import sys
import sysconfig
import tempfile
from collections.abc import AsyncIterator, Coroutine
from contextlib import ExitStack, asynccontextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from agents.code.config import MIB, CodeConfig
from agents.code.guest import supervisor
from agents.code.guest.launch import Launch

ENTRY = f"import sys; sys.path.insert(0, sys.argv.pop(1)); from {supervisor.__name__} import main; main()"
PROJECT_ROOT = Path(__file__).resolve().parents[2]
SEARCH_PATH = "/usr/local/bin:/usr/bin:/bin"
WORK_FOLDERS = "turbocat-code-"
"""What the names of work folders begin with; the id of the process that made them follows."""
PIPE_BYTES = 64 * 1024
GRACE_SECONDS = 3.0
"""How long the supervisor may take to clear up before it is killed itself."""


class Pipe:
    """The reading end of a pipe whose other end the guest inherits."""

    def __init__(self, reader: asyncio.StreamReader, transport: asyncio.ReadTransport, writer: int) -> None:
        self.reader = reader
        self.writer = writer
        self._transport = transport

    @classmethod
    async def open(cls) -> "Pipe":
        read_end, writer = os.pipe()
        reader = asyncio.StreamReader()
        source = os.fdopen(read_end, "rb", buffering=0)
        connect = asyncio.get_running_loop().connect_read_pipe
        transport, _ = await connect(lambda: asyncio.StreamReaderProtocol(reader), source)
        return cls(reader, transport, writer)

    def close_writer(self) -> None:
        os.close(self.writer)

    def close(self) -> None:
        self._transport.close()


@dataclass(frozen=True, kw_only=True)
class Guest:
    """A started guest. `result` and `status` are described in `guest.program` and `guest.supervisor`."""

    process: asyncio.subprocess.Process
    stdin: asyncio.StreamWriter
    stdout: asyncio.StreamReader
    stderr: asyncio.StreamReader
    result: Pipe
    status: Pipe

    async def stop(self) -> None:
        """Ends the run wherever it is; returns when no process of it is left."""
        for end in (self.stdin, self.result, self.status):
            end.close()
        self._signal(signal.SIGTERM)
        try:
            await asyncio.wait_for(self._gone(), GRACE_SECONDS)
        except TimeoutError:
            self._signal(signal.SIGKILL)
            await self.process.wait()

    def _signal(self, number: signal.Signals) -> None:
        if self.process.returncode is not None:
            return
        with suppress(ProcessLookupError):
            self.process.send_signal(number)

    async def _gone(self) -> None:
        """Empties the pipes as well: asyncio closes a pipe at its end only, and a full one is not read to its end."""
        await asyncio.gather(self.process.wait(), *map(_drain, (self.stdout, self.stderr)))


async def _drain(reader: asyncio.StreamReader) -> None:
    while await reader.read(PIPE_BYTES):
        continue


@asynccontextmanager
async def started(config: CodeConfig) -> AsyncIterator[Guest]:
    """A guest waiting for its job on standard input. On leaving, however that happens, it and its folder are gone."""
    work = _make_work_folder()
    starting = asyncio.ensure_future(_start(config, work))
    try:
        yield await asyncio.shield(starting)
    finally:
        await _to_the_end(_clear_up(starting, work))


async def _clear_up(starting: asyncio.Future[Guest], work: str) -> None:
    """Cancelling a start half-way would lose its process, so it is waited for and then stopped."""
    with suppress(Exception):  # whoever waited for the start has got its error
        guest = await starting
        await guest.stop()
    await _remove(work)


def _make_work_folder() -> str:
    """Its name says whose it is: a process that is killed leaves its folders to whoever tidies up (`leftovers`)."""
    return os.path.realpath(tempfile.mkdtemp(prefix=f"{WORK_FOLDERS}{os.getpid()}-"))


async def _start(config: CodeConfig, work: str) -> Guest:
    with ExitStack() as on_failure, ExitStack() as writers:
        pipes = []
        for _ in ("result", "status"):
            pipe = await Pipe.open()
            writers.callback(pipe.close_writer)
            on_failure.callback(pipe.close)
            pipes.append(pipe)
        result, status = pipes
        process = await _spawn(_launch(config, work, result.writer, status.writer))
        on_failure.pop_all()
    assert process.stdin is not None
    assert process.stdout is not None
    assert process.stderr is not None
    return Guest(
        process=process,
        stdin=process.stdin,
        stdout=process.stdout,
        stderr=process.stderr,
        result=result,
        status=status,
    )


async def _spawn(launch: Launch) -> asyncio.subprocess.Process:
    """`-I` ignores environment and user packages; `-S` saves the start-up files (`.pth`) of installed packages."""
    return await asyncio.create_subprocess_exec(
        sys.executable,
        *("-I", "-S", "-B", "-X", "utf8", "-c", ENTRY, str(PROJECT_ROOT), launch.to_argument()),
        stdin=asyncio.subprocess.PIPE,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
        pass_fds=(launch.result_fd, launch.status_fd),
        env={"PATH": SEARCH_PATH, "HOME": launch.work, "LANG": "C.UTF-8"},
        cwd=launch.work,
        start_new_session=True,
    )


def _launch(config: CodeConfig, work: str, result_fd: int, status_fd: int) -> Launch:
    return Launch(
        work=work,
        result_fd=result_fd,
        status_fd=status_fd,
        memory=config.memory_mb * MIB,
        disk=config.disk_mb * MIB,
        cpu=config.cpu_seconds,
        processes=config.max_processes,
        packages=tuple(dict.fromkeys(sysconfig.get_path(name) for name in ("purelib", "platlib"))),
    )


async def _remove(folder: str) -> None:
    """User code may have nested folders deeper than `shutil` can follow, or taken its own rights away."""
    try:
        await asyncio.to_thread(shutil.rmtree, folder)
    except (OSError, RecursionError):
        remover = await asyncio.create_subprocess_exec("rm", "-rf", "--", folder, stderr=asyncio.subprocess.DEVNULL)
        await remover.wait()


async def _to_the_end(work: Coroutine[Any, Any, None]) -> None:
    """Finishes `work` even while being cancelled, then lets the cancellation go on."""
    task = asyncio.ensure_future(work)
    cancelled: asyncio.CancelledError | None = None
    while not task.done():
        try:
            await asyncio.shield(task)
        except asyncio.CancelledError as error:
            cancelled = error
    task.result()
    if cancelled is not None:
        raise cancelled
