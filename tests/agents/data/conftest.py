"""A dataset store in a folder, and DATA agents run against it."""

import asyncio
import hashlib
import itertools
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import polars as pl
import pytest

from agents.context import AgentContext
from agents.data.executor import DataExecutor
from agents.errors import InputInvalid
from agents.result import AgentResult, DatasetRef
from agents.spec import AgentSpec, AgentType, Limits

Run = Callable[..., Awaitable[AgentResult]]


class FolderDatasets:
    """Keeps tables by their content's hash, as the product's store does."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self._numbers = itertools.count()

    def stage(self, suffix: str = ".parquet") -> Path:
        return self.folder / f"staged-{next(self._numbers)}{suffix}"

    async def keep(self, staged: Path, *, rows: int, columns: dict[str, str]) -> DatasetRef:
        return await asyncio.to_thread(self._keep, staged, rows, columns)

    def _keep(self, staged: Path, rows: int, columns: dict[str, str]) -> DatasetRef:
        content = staged.read_bytes()
        name = f"{hashlib.sha256(content).hexdigest()}.parquet"
        staged.rename(self.folder / name)
        return DatasetRef(uri=f"dataset:{name}", rows=rows, bytes=len(content), columns=columns)

    def locate(self, uri: str) -> Path:
        file = self.folder / uri.removeprefix("dataset:")
        if not uri.startswith("dataset:") or not file.is_file():
            raise InputInvalid(f"{uri} is no dataset of this store")
        return file

    def staged_files(self) -> list[Path]:
        return list(self.folder.glob("staged-*"))


class LogBook:
    """Remembers what was logged."""

    def __init__(self) -> None:
        self.lines: list[tuple[str, str]] = []

    def __call__(self, level: str, message: str, **metadata: Any) -> None:
        self.lines.append((level, message))


@pytest.fixture
def datasets(tmp_path: Path) -> FolderDatasets:
    folder = tmp_path / "datasets"
    folder.mkdir()
    return FolderDatasets(folder)


@pytest.fixture
def data_root(tmp_path: Path) -> Path:
    folder = tmp_path / "data"
    folder.mkdir()
    return folder


@pytest.fixture
def log() -> LogBook:
    return LogBook()


@pytest.fixture
def context(datasets: FolderDatasets, data_root: Path, log: LogBook) -> AgentContext:
    return AgentContext(
        limits=Limits(), log=log, datasets=datasets, idempotency_key="execution/step", data_roots=(data_root,)
    )


@pytest.fixture
def run(context: AgentContext) -> Run:
    """`await run(config, **inputs)` gives the result of a DATA agent."""
    executor = DataExecutor()

    async def run_agent(config: dict[str, Any], **inputs: Any) -> AgentResult:
        spec = AgentSpec(id="agent", version=1, name="agent", type=AgentType.DATA, config=config)
        return await executor.run(spec, inputs, context)

    return run_agent


@pytest.fixture
def numbers_file(data_root: Path) -> Path:
    """`numbers.parquet` with 5,000 rows: `n` from 0 on, `third` repeating 0, 1, 2."""
    file = data_root / "numbers.parquet"
    pl.DataFrame({"n": range(5_000)}).with_columns(third=pl.col("n") % 3).write_parquet(file)
    return file
