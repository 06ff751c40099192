"""Runs code and looks at what is left of it."""

import asyncio
import io
import os
import tempfile
import time
from collections.abc import Awaitable, Callable, Iterator
from dataclasses import dataclass, field
from typing import Any, cast

import polars as pl
import psutil
import pytest

from agents.code.backend import SandboxBackend
from agents.code.backends import selection
from agents.code.executor import CodeExecutor
from agents.code.linux_backend import LinuxBackend
from agents.code.selection import Selection
from agents.context import AgentContext, DatasetStore
from agents.spec import AgentSpec, AgentType, Limits


@dataclass
class Lines:
    """A log that keeps what was written; `first` is set with the first line."""

    written: list[tuple[str, str]] = field(default_factory=list)
    first: asyncio.Event = field(default_factory=asyncio.Event)

    def __call__(self, level: str, message: str, **metadata: Any) -> None:
        self.written.append((level, message))
        self.first.set()

    @property
    def text(self) -> list[str]:
        return [message for _, message in self.written]


@pytest.fixture
def log() -> Lines:
    return Lines()


class Started:
    """Tells when a program has printed something."""

    def __init__(self) -> None:
        self.said = asyncio.Event()

    def write(self, stream: str, chunk: bytes) -> bool:
        self.said.set()
        return True


def context_of(log: Lines, limit_seconds: float | None = None) -> AgentContext:
    """Without a store of datasets."""
    return AgentContext(
        limits=Limits(timeout_seconds=limit_seconds),
        log=log,
        datasets=cast(DatasetStore, None),
        idempotency_key="k",
    )


Run = Callable[..., Awaitable[Any]]


@pytest.fixture(scope="session")
def sandbox() -> Iterator[Selection]:
    """The strongest that works here, found once."""
    pl.DataFrame({"a": [1]}).write_parquet(io.BytesIO())  # with its first table Polars opens some files that it keeps
    found = selection()
    asyncio.run(_backend_of(found))
    yield found
    asyncio.run(found.aclose())


@pytest.fixture(scope="session")
def chosen(sandbox: Selection) -> SandboxBackend:
    """What runs the programs of `sandbox`."""
    return asyncio.run(_backend_of(sandbox))


async def _backend_of(found: Selection) -> SandboxBackend:
    return await found.backend()


@pytest.fixture
def run(log: Lines, sandbox: Selection) -> Run:
    """Runs code with fields of the config beside it, and gives back the output."""

    async def execute(
        code: str, inputs: dict[str, Any] | None = None, limit_seconds: float | None = 30, **fields: Any
    ) -> Any:
        config = {"language": "python", "code": code, **fields}
        spec = AgentSpec(id="a1", version=1, name="coder", type=AgentType.CODE, config=config)
        context = context_of(log, limit_seconds)
        return (await CodeExecutor(sandbox).run(spec, inputs or {}, context)).output

    return execute


def guests() -> list[psutil.Process]:
    """Processes of runs: those below zygotes, of which this process may have several beside other children."""
    own = psutil.Process().children()
    zygotes = [each for each in own if alive(each) and "agents.code.guest" in " ".join(each.cmdline())]
    return [each for zygote in zygotes for each in zygote.children(recursive=True) if alive(each)]


def alive(process: psutil.Process) -> bool:
    """Not a zombie either."""
    try:
        return process.status() != psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return False


def soon(holds: Callable[[], bool], seconds: float = 10) -> bool:
    """Whether it holds by then: a watcher ends a moment after it has reported the end of its run."""
    until = time.monotonic() + seconds
    while not holds():
        if time.monotonic() > until:
            return False
        time.sleep(0.005)
    return True


@pytest.fixture(autouse=True)
def nothing_left(
    chosen: SandboxBackend, monkeypatch: pytest.MonkeyPatch, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[None]:
    """After each test: no process below this one, no open descriptor more, and no work folder."""
    folder = tmp_path_factory.mktemp("work")
    monkeypatch.setattr(tempfile, "tempdir", str(folder))
    descriptors = len(os.listdir("/proc/self/fd"))
    yield
    if isinstance(chosen, LinuxBackend):
        chosen.release()
    assert soon(lambda: guests() == [])
    assert list(folder.iterdir()) == []
    assert len(os.listdir("/proc/self/fd")) <= descriptors + 1
