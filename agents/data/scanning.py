"""Opens files and objects of a known format as lazy tables."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import polars as pl

from agents.data.casting import cast_expression
from agents.data.column_types import parse_type
from agents.data.excel import read_sheet
from agents.data.expressions import require_columns
from agents.data.failures import POLARS_FAILURES, polars_reason
from agents.data.formats import FileFormat, Reading
from agents.data.nesting import TOO_DEEP, is_too_deep
from agents.errors import InputInvalid

CSV_ROWS_LOOKED_AT = 10_000


def scan_files(kind: FileFormat, files: Sequence[Path], reading: Reading, *, partitioned: bool = False) -> pl.LazyFrame:
    """The rows of all files, below each other; `partitioned` takes columns from names of folders (`origin=JFK`)."""
    match kind:
        case "parquet":
            return pl.scan_parquet(list(files), glob=False, hive_partitioning=partitioned)
        case "csv":
            return _scan_csv(list(files), reading, glob=False)
        case "ndjson":
            return pl.scan_ndjson(list(files), infer_schema_length=None)
        case "json":
            return pl.concat([rows_table(pl.read_json(file).to_dicts(), {}) for file in files], how="diagonal_relaxed")
        case "ipc":
            return pl.scan_ipc(list(files), glob=False)
        case "excel":
            return pl.concat([read_sheet(file, reading).lazy() for file in files], how="vertical_relaxed")


def scan_objects(kind: FileFormat, url: str, options: Mapping[str, Any], reading: Reading) -> pl.LazyFrame:
    """The rows behind a URL, which may hold `*`; read only when they are needed."""
    access: dict[str, Any] = {"storage_options": dict(options), "credential_provider": None}
    match kind:
        case "csv":
            return _scan_csv(url, reading, glob=True, **access)
        case "ndjson":
            return pl.scan_ndjson(url, infer_schema_length=CSV_ROWS_LOOKED_AT, **access)
        case "ipc":
            return pl.scan_ipc(url, **access)
        case _:
            return pl.scan_parquet(url, hive_partitioning=_may_be_partitioned(url), **access)


def _may_be_partitioned(url: str) -> bool:
    """Whether folders like `origin=JFK` are named in the URL, or may lie where it names several."""
    folders = url.rpartition("/")[0]
    return "=" in folders or "*" in folders or url.endswith("/")


def rows_table(rows: Sequence[Any], types: Mapping[str, str]) -> pl.LazyFrame:
    """A table of JSON objects; raises `InputInvalid` when they make no table."""
    wrong = next((index for index, row in enumerate(rows) if not isinstance(row, dict)), None)
    if wrong is not None:
        message = f"row {wrong} is no JSON object; rows are objects: column name to value"
        raise InputInvalid(message)
    if any(is_too_deep(value) for row in rows for value in row.values() if isinstance(value, list | dict)):
        raise InputInvalid(TOO_DEEP)
    try:
        frame = pl.DataFrame(rows, infer_schema_length=None, orient="row") if rows else pl.DataFrame()
    except POLARS_FAILURES as error:
        message = f"the rows make no table: {polars_reason(error)}"
        raise InputInvalid(message) from error
    return _typed(_without_empty_objects(frame.lazy()), types)


def _without_empty_objects(frame: pl.LazyFrame) -> pl.LazyFrame:
    """`{}` in all rows gives a column of objects without fields, which no file format can hold."""
    schema = frame.collect_schema()
    empty = [name for name, kind in schema.items() if isinstance(kind, pl.Struct) and not kind.fields]
    return frame.with_columns(pl.lit(None).alias(name) for name in empty)


def _typed(frame: pl.LazyFrame, types: Mapping[str, str]) -> pl.LazyFrame:
    schema = frame.collect_schema()
    return frame.with_columns(
        cast_expression(name, schema[name], parse_type(kind))
        if name in schema
        else pl.lit(None, dtype=parse_type(kind)).alias(name)
        for name, kind in types.items()
    )


def _scan_csv(source: str | list[Path], reading: Reading, *, glob: bool, **access: Any) -> pl.LazyFrame:
    frame = pl.scan_csv(
        source,
        glob=glob,
        separator=reading.separator,
        has_header=reading.has_header,
        null_values=reading.null_values or None,
        try_parse_dates=reading.parse_dates,
        schema_overrides=dict.fromkeys(reading.types, pl.String),
        infer_schema_length=CSV_ROWS_LOOKED_AT,
        **access,
    )
    require_columns(reading.types, frame.collect_schema())
    return _typed(frame, reading.types)
