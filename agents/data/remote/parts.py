"""Rows that come from a database become Parquet files, a batch each, so that no more than a batch is in memory."""

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import polars as pl

from agents.data.failures import POLARS_FAILURES, polars_reason
from agents.errors import DataFailed, LimitExceeded

FIRST_BATCH = 1_000
LARGEST_BATCH = 50_000
BATCH_BYTES = 32 * 2**20
MAX_ROWS = 100_000_000
MAX_BYTES = 8 * 2**30

Convert = Callable[[Any], Any]


class Parts:
    """The files of one query. `columns` are name, type (None: as the first batch has it) and a conversion."""

    def __init__(self, folder: Path, columns: Sequence[tuple[str, pl.DataType | None, Convert | None]]) -> None:
        self.files: list[Path] = []
        self.batch_rows = FIRST_BATCH
        self._folder = folder
        self._columns = list(columns)
        self._rows = 0
        self._bytes = 0
        names = [name for name, _, _ in columns]
        if len(set(names)) < len(names) or not names:
            twice = next((name for name in names if names.count(name) > 1), "")
            raise DataFailed(f'the query gives the column "{twice}" twice; name each with AS', path="query")

    def add(self, rows: Sequence[Sequence[Any]]) -> None:
        """Writes a batch; raises `DataFailed` or `LimitExceeded`."""
        frame = pl.DataFrame(self._series(rows))
        file = self._folder / f"{len(self.files):06}.parquet"
        frame.write_parquet(file, compression="lz4")
        self.files.append(file)
        self._rows += len(rows)
        self._bytes += file.stat().st_size
        if self._rows > MAX_ROWS or self._bytes > MAX_BYTES:
            message = f"the query gives more than {MAX_ROWS} rows or {MAX_BYTES // 2**30} GiB; select less"
            raise LimitExceeded(message, code="RESPONSE_TOO_LARGE", path="query")
        per_row = max(int(frame.estimated_size()) // max(len(rows), 1), 1)
        self.batch_rows = min(max(BATCH_BYTES // per_row, 1), LARGEST_BATCH)

    def finish(self) -> None:
        """A query without rows still has columns."""
        if not self.files:
            self.add([])

    def _series(self, rows: Sequence[Sequence[Any]]) -> list[pl.Series]:
        made = []
        for index, (name, dtype, convert) in enumerate(self._columns):
            values = [row[index] for row in rows]
            if convert is not None:
                values = [None if value is None else convert(value) for value in values]
            made.append(_series(name, values, dtype))
        self._columns = [
            (name, series.dtype if dtype is None and series.dtype != pl.Null() else dtype, convert)
            for (name, dtype, convert), series in zip(self._columns, made, strict=True)
        ]
        return made


def _series(name: str, values: list[Any], dtype: pl.DataType | None) -> pl.Series:
    try:
        return pl.Series(name, values, dtype=dtype, strict=True)
    except (*POLARS_FAILURES, OverflowError) as error:
        kind = f"are not all {dtype}" if dtype is not None else "are of different types"
        message = f'the values of the column "{name}" {kind}; CAST it in the query: {polars_reason(error)}'
        raise DataFailed(message, path="query") from error
