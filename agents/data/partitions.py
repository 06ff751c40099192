"""Tables as folders of Parquet files: `origin=JFK/month=1/….parquet`, as Hive has them."""

import re
from collections.abc import Sequence
from pathlib import Path

import polars as pl

from agents.data.failures import OperationRefused
from agents.data.paths import MAX_FILES

MAX_PARTITIONS = MAX_FILES
"""What is written can be read again."""

_FILE = re.compile(r"([^/=]+=[^/]*/)+[^/]+\.parquet")
_UNFIT = ("/", "\\", "=", "\0")
_COUNT = "\0folders"
"""A name that no column to partition by has."""
_MISSING = "__HIVE_DEFAULT_PARTITION__"
"""The folder of rows without a value."""
_NO_COLUMN_LEFT = "all columns are partitioned by; one at least has to be left for the files"


def is_of_table(name: str) -> bool:
    """Whether a file of this name, seen from the folder of a partitioned table, is one of the table's."""
    return _FILE.fullmatch(name) is not None


def require_folder_names(columns: Sequence[str], schema: pl.Schema) -> None:
    """Raises `OperationRefused` unless folders can be named after these columns."""
    for name in columns:
        if not name.strip(".") or any(sign in name for sign in _UNFIT):
            message = f'no folder can be named after the column "{name}"; rename it first'
            raise OperationRefused(message)
        if schema[name].is_nested():
            message = f'the column "{name}" is {schema[name]}; folders are named after single values'
            raise OperationRefused(message)
    if columns and set(columns) == set(schema):
        raise OperationRefused(_NO_COLUMN_LEFT)


def write_partitions(frame: pl.LazyFrame, columns: Sequence[str], folder: Path) -> None:
    """Raises `OperationRefused` for values that make no folders, and what Polars raises."""
    _require_folders(frame, columns)
    folder.mkdir(parents=True, exist_ok=True)
    frame.sink_parquet(pl.PartitionBy(folder, key=list(columns), include_key=False), mkdir=True, engine="streaming")


def _require_folders(frame: pl.LazyFrame, columns: Sequence[str]) -> None:
    """A name with a `*` in it is not read as a value any more, and all that is read is wrong (seen with Polars 2.1)."""
    unfit = (_has_unfit(pl.col(name).cast(pl.String())).alias(name) for name in columns)
    counted = pl.struct(columns).n_unique().alias(_COUNT)
    found = frame.select(counted, *unfit).collect(engine="streaming").row(0, named=True)
    for name in columns:
        if found[name]:
            message = f'the column "{name}" has values with "*" or "{_MISSING}", which no folder can be named after'
            raise OperationRefused(message)
    if found[_COUNT] > MAX_PARTITIONS:
        message = f"they make {found[_COUNT]} folders; at most {MAX_PARTITIONS} are written"
        raise OperationRefused(message)


def _has_unfit(texts: pl.Expr) -> pl.Expr:
    return (texts.str.contains("*", literal=True) | (texts == _MISSING)).any()
