"""The contract of every sandbox: what it is given, what it gives back, and how it says that it cannot.

A program is run by a harness inside (`agents/code/guest/program.py` and `program.js`, plain files without imports of
ours). Whatever the backend, the harness

- starts in a work folder with two folders in it: `data/`, the datasets of `Program.datasets`, read-only, and `out/`;
- reads one JSON document from standard input, `job()` below, to its end;
- writes its answer to descriptor 3 (see `agents.code.answer`, which reads it), never to standard output;
- has the user's standard output and standard error as descriptors 1 and 2.
"""

import socket
from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from pathlib import Path
from typing import Any, Protocol

import orjson

from agents.errors import AgentError

MIB = 1024 * 1024
DATA_FOLDER, OUT_FOLDER = "data", "out"


class Language(StrEnum):
    """What programs are written in."""

    PYTHON = "python"
    NODE = "node"


class Reason(StrEnum):
    """Which limit stopped a program."""

    TIMEOUT = "timeout"
    MEMORY = "memory"
    OUTPUT = "output"
    CPU = "cpu"
    PROCESSES = "processes"
    DISK = "disk"


class SandboxUnavailable(AgentError):
    """No sandbox, or the chosen one could not be built (any more): the program was not run. Never a weaker one."""

    default_code = "SANDBOX_UNAVAILABLE"


class Network(Protocol):
    """The other side of a program's network."""

    async def __call__(self, listener: socket.socket) -> None:
        """Takes what the program connects to `listener` and decides where it leads. Cancelled when the run is over."""
        ...


@dataclass(frozen=True, kw_only=True)
class Program:
    """One run's code and what it is handed."""

    language: Language
    code: str
    input: Any
    """Plain JSON data."""
    datasets: Mapping[str, Path] = field(default_factory=dict)
    """File name in `data/` → file on this machine. A name has no slash and is no path."""
    collect: Path | None = None
    """A folder on this machine for the regular files that the program leaves in `out/`, bounded by `disk_bytes`."""
    network: "Network | None" = None
    """Serves what the program connects to; without it there is nothing to connect to."""
    prewarmed: bool = False
    """numpy and polars may be loaded already: a hint, which backends without such a mode ignore."""

    def job(self) -> bytes:
        """What the harness reads; raises `TypeError` for an input that is no JSON."""
        return orjson.dumps({"code": self.code, "input": self.input})


@dataclass(frozen=True, kw_only=True)
class Limits:
    """All bounds of one run, in bytes and seconds. They hold for the program and all that it starts, together."""

    memory_bytes: int = 256 * MIB
    disk_bytes: int = 64 * MIB
    """Of the work folder and all temporary folders together, and of any one file."""
    cpu_seconds: float = 60
    wall_seconds: float | None = None
    processes: int = 64
    """Processes and threads alive at once."""
    open_files: int = 256
    output_bytes: int = MIB
    """Of standard output and of standard error, each."""
    result_bytes: int = 16 * MIB
    inodes: int = 8192


class Streams(Protocol):
    """Takes what a program prints, as it comes, and bounds it."""

    def write(self, stream: str, chunk: bytes) -> bool:
        """`stream` is `stdout` or `stderr`; False means that it was too much: the run is to be ended (`OUTPUT`)."""
        ...


@dataclass(frozen=True, kw_only=True)
class Usage:
    """What a run took, as far as its backend can tell."""

    wall_seconds: float = 0
    cpu_seconds: float = 0
    memory_bytes: int = 0


@dataclass(frozen=True, kw_only=True)
class Outcome:
    """How a program ended. Everything in `answer` may be of the user's making."""

    answer: bytes = b""
    """The harness's JSON document; empty where the program ended before there was one."""
    files: tuple[str, ...] = ()
    """Names of the files in `Program.collect`."""
    reason: Reason | None = None
    """The limit that ended it, known from outside. Limits that the program met as an error are in its answer."""
    what: str = ""
    """With `OUTPUT`: `stdout`, `stderr`, `result` or `files`."""
    exit_code: int | None = None
    signal: int | None = None
    """The number of the signal that killed it; where this is set, `exit_code` is None."""
    usage: Usage = Usage()


@dataclass(frozen=True, kw_only=True)
class Probe:
    """What trying a backend has shown."""

    available: bool
    reason: str = ""
    """Why it is not available; for people."""
    canaries: Mapping[str, bool] = field(default_factory=dict)
    """What a program inside tried (a listening port, a file, a process of ours, …) → whether it was held back."""
    languages: frozenset[Language] = frozenset()


class SandboxBackend(Protocol):
    """One way to run hostile code. One instance serves any number of runs at once, on one event loop."""

    @property
    def name(self) -> str:
        """As in `CODE_SANDBOX`: `namespace`, `docker`, `landlock` or `unsafe-local`."""
        ...

    @property
    def safe(self) -> bool:
        """Whether the code is kept from the rest of the machine. `auto` takes no other."""
        ...

    async def probe(self) -> Probe:
        """Runs a program that tries live canaries; never raises for a backend that does not work."""
        ...

    @property
    def networks(self) -> bool:
        """Whether a program can be given a `network`."""
        ...

    async def run(self, program: Program, limits: Limits, streams: Streams) -> Outcome:
        """Runs to the end, or to a limit; when it returns or raises nothing of the run is left.

        Sees to `wall_seconds` itself. Checks again that its walls stand before the code runs; raises
        `SandboxUnavailable` where they do not. On cancellation everything is killed before the error goes on.
        """
        ...

    async def aclose(self) -> None:
        """Ends what is kept between runs; the backend may be used again afterwards."""
        ...
