"""What a loop goes through: a list, or the rows of a dataset, which are read a window at a time."""

import asyncio
from pathlib import Path
from typing import Any, Protocol

import polars as pl
from pydantic import ValidationError

from agents.data.json_rows import json_rows
from agents.errors import AgentError
from agents.result import DatasetRef
from flows.compiler.expressions import render
from flows.compiler.values import kind_of
from flows.runtime.ports import ResultStore
from flows.runtime.surroundings import StepAt

WINDOW_ROWS = 1_000


class Items(Protocol):
    """A sequence of JSON values."""

    @property
    def total(self) -> int: ...

    async def between(self, start: int, stop: int) -> list[Any]:
        """The items from `start` up to, without, `stop`."""
        ...


async def find_items(at: StepAt, written: Any) -> Items:
    """The items that a loop's `items` name; raises `AgentError` (`BAD_ITEMS`) for what is no list and no dataset."""
    value = render(written, await at.scope(written))
    if isinstance(value, list | tuple):
        return ListItems(list(value))
    if isinstance(value, dict) and isinstance(value.get("data"), list):
        return ListItems(value["data"])
    if isinstance(value, dict) and ("dataset" in value or "uri" in value):
        return _dataset(value.get("dataset", value), at.around.ports.results)
    message = f"`items` must be a list, a dataset or the output of a DATA step, not {kind_of(value)}"
    raise AgentError(message, code="BAD_ITEMS", path="config.items")


class ListItems:
    """Items that are in memory."""

    def __init__(self, values: list[Any]) -> None:
        self._values = values

    @property
    def total(self) -> int:
        """How many there are."""
        return len(self._values)

    async def between(self, start: int, stop: int) -> list[Any]:
        """A part of the list."""
        return self._values[start:stop]


class DatasetItems:
    """Rows as objects. Iterations go forward side by side, so one window serves them all."""

    def __init__(self, path: Path, rows: int) -> None:
        self._path = path
        self._rows = rows
        self._start = 0
        self._window: list[Any] = []
        self._reading = asyncio.Lock()

    @property
    def total(self) -> int:
        """How many rows there are."""
        return self._rows

    async def between(self, start: int, stop: int) -> list[Any]:
        """Some rows; what is not in the window is read with what follows."""
        async with self._reading:
            if not self._start <= start or self._start + len(self._window) < min(stop, self._rows):
                count = max(stop - start, WINDOW_ROWS)
                self._window = await asyncio.to_thread(_rows, self._path, start, count)
                self._start = start
            return self._window[start - self._start : stop - self._start]


def _rows(path: Path, start: int, count: int) -> list[Any]:
    return json_rows(pl.scan_parquet(path, glob=False).slice(start, count).collect())


def _dataset(value: Any, results: ResultStore) -> Items:
    try:
        reference = DatasetRef.model_validate(value)
    except ValidationError as error:
        message = "the reference to a dataset is damaged; name the whole output of the DATA step"
        raise AgentError(message, code="BAD_ITEMS", path="config.items") from error
    return DatasetItems(results.locate(reference.uri), reference.rows)
