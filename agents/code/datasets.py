"""Tables on their way into a program and out of it: as files, so that they need not pass through JSON.

In: a reference to a dataset anywhere in the input (the `dataset` of a DATA agent's output) gets a `path`, of a Parquet
file that the program can read. Out: `{"path": "out/NAME.parquet"}` anywhere in the result, where the program has
written that file, becomes a reference that DATA agents and later programs take.
"""

import asyncio
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import polars as pl

from agents.code.backend import DATA_FOLDER, OUT_FOLDER
from agents.context import DatasetStore
from agents.errors import OutputInvalid
from agents.result import DatasetRef

SCHEME = "tc://"
PARQUET = ".parquet"


class Handed:
    """The datasets of one input."""

    def __init__(self, store: DatasetStore) -> None:
        self.files: dict[str, Path] = {}
        """File name in the program's `data/` → where it lies."""
        self._store = store

    def with_paths(self, value: Any) -> Any:
        """The input as the program gets it. Blocks where the store has to fetch a file."""
        if isinstance(value, list):
            return [self.with_paths(each) for each in value]
        if not isinstance(value, dict):
            return value
        shown = {name: self.with_paths(each) for name, each in value.items()}
        uri = value.get("uri")
        if isinstance(uri, str) and uri.startswith(SCHEME) and uri.endswith(PARQUET):
            shown["path"] = self._shown(uri)
        return shown

    def _shown(self, uri: str) -> str:
        path = self._store.locate(uri)
        name = f"{path.stem[:16]}{PARQUET}"
        self.files[name] = path
        return f"{DATA_FOLDER}/{name}"


async def taken_in(result: Any, folder: Path, files: tuple[str, ...], store: DatasetStore) -> Any:
    """The result with references for the files that it names; raises `OutputInvalid` for one that is no table."""
    kept: dict[str, DatasetRef] = {}
    for name in _named(result):
        if name not in files:
            raise OutputInvalid(f"the result names {OUT_FOLDER}/{name}, which the code has not written")
        kept[name] = await _keep(folder / name, store)
    return _with_references(result, kept) if kept else result


async def _keep(file: Path, store: DatasetStore) -> DatasetRef:
    try:
        columns, rows = await asyncio.to_thread(_described, file)
    except (pl.exceptions.PolarsError, OSError) as error:
        raise OutputInvalid(f"{OUT_FOLDER}/{file.name} is no Parquet file: {error}") from None
    staged = store.stage()
    await asyncio.to_thread(_move, file, staged)
    return await store.keep(staged, rows=rows, columns=columns)


def _described(file: Path) -> tuple[dict[str, str], int]:
    table = pl.scan_parquet(file, glob=False)
    columns = {name: str(kind) for name, kind in table.collect_schema().items()}
    return columns, int(table.select(pl.len()).collect().item())


def _move(file: Path, staged: Path) -> None:
    with file.open("rb") as source, staged.open("xb") as target:
        while chunk := source.read(1 << 20):
            target.write(chunk)


def _named(value: Any) -> set[str]:
    """Of the files in `out/` that a result names."""
    if isinstance(value, list):
        return set().union(*map(_named, value))
    if not isinstance(value, dict):
        return set()
    name = _file_name(value)
    return {name} if name else set().union(*map(_named, value.values()))


def _with_references(value: Any, kept: Mapping[str, DatasetRef]) -> Any:
    if isinstance(value, list):
        return [_with_references(each, kept) for each in value]
    if not isinstance(value, dict):
        return value
    name = _file_name(value)
    if name:
        return kept[name].model_dump(mode="json", by_alias=True)
    return {key: _with_references(each, kept) for key, each in value.items()}


def _file_name(value: dict[str, Any]) -> str | None:
    path = value.get("path")
    if set(value) != {"path"} or not isinstance(path, str) or not path.endswith(PARQUET):
        return None
    folder, _, name = path.partition("/")
    return name if folder == OUT_FOLDER and "/" not in name else None
