"""Runs code and looks at what is left of it."""

import asyncio
import os
import tempfile
from collections.abc import Awaitable, Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, cast

import psutil
import pytest

from agents.code.executor import CodeExecutor
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


Run = Callable[..., Awaitable[Any]]


@pytest.fixture
def run(log: Lines) -> Run:
    """Runs code with fields of the config beside it, and gives back the output."""

    async def execute(
        code: str, inputs: dict[str, Any] | None = None, limit_seconds: float | None = 30, **fields: Any
    ) -> Any:
        config = {"language": "python", "code": code, **fields}
        spec = AgentSpec(id="a1", version=1, name="coder", type=AgentType.CODE, config=config)
        context = AgentContext(
            limits=Limits(timeout_seconds=limit_seconds),
            log=log,
            datasets=cast(DatasetStore, None),
            idempotency_key="k",
        )
        return (await CodeExecutor().run(spec, inputs or {}, context)).output

    return execute


def guests() -> list[psutil.Process]:
    """Processes of user code below this one, which may have others: a database, warm processes of other tests."""
    below = psutil.Process().children()
    started = [each for each in below if "agents.code.guest" in " ".join(each.cmdline())]
    return [*started, *(each for guest in started for each in guest.children(recursive=True))]


@pytest.fixture(autouse=True)
def nothing_left(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[None]:
    """After each test: no process below this one, no open descriptor more, and no work folder."""
    folder = tmp_path / "work"
    folder.mkdir()
    monkeypatch.setattr(tempfile, "tempdir", str(folder))
    descriptors = len(os.listdir("/proc/self/fd"))
    yield
    assert guests() == []
    assert list(folder.iterdir()) == []
    assert len(os.listdir("/proc/self/fd")) <= descriptors + 1
