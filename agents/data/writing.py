"""Writes results: into the dataset store, and to the file of a sink. Files appear whole or not at all."""

import os
import secrets
import shutil
from pathlib import Path

import polars as pl

from agents.data.excel import write_workbook
from agents.data.failures import POLARS_FAILURES, OperationRefused, failed_at
from agents.data.partitions import is_of_table, write_partitions
from agents.data.sinks import FileSink, UrlSink
from agents.data.suggestions import listed
from agents.errors import DataFailed

FORMULA_STARTS = ("=", "+", "-", "@", "\t", "\r", "\n", "＝", "＋", "－", "＠")
"""Spreadsheets of East Asia take the wide signs for the narrow ones."""


def write_format(table: Path, sink: UrlSink, target: Path) -> int:
    """Writes the Parquet file `table` to `target` in the sink's format; returns the bytes. Raises `DataFailed`."""
    try:
        _write(table, sink, target)
    except (*POLARS_FAILURES, OperationRefused) as error:
        raise failed_at("sink", "", error) from error
    return sum(file.stat().st_size for file in files_of(target))


def write_sink(table: Path, sink: FileSink, target: Path) -> int:
    """Copies the Parquet file `table` to `target` in the sink's format; returns the bytes written.

    Raises `DataFailed`; then nothing of the new file is left and an old one is as it was.
    """
    if sink.if_exists == "fail" and target.exists():
        message = f'sink: {sink.path!r} exists; choose another path or set "ifExists" to "replace"'
        raise DataFailed(message, path="sink.path")
    if target.is_dir() and not (sink.partition_by and _is_table(target)):
        message = f"sink: {sink.path!r} is a folder in which other files lie; choose another path"
        raise DataFailed(message, path="sink.path")
    unfinished = target.with_name(f".{target.name[:200]}.{secrets.token_hex(8)}.tmp")
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        _write(table, sink, unfinished)
        size = _sync(unfinished)
        _replace(unfinished, target)
    except (*POLARS_FAILURES, OperationRefused) as error:
        reason = OSError(error.strerror) if isinstance(error, OSError) and error.strerror else error
        raise failed_at("sink", "", reason) from error
    finally:
        _remove(unfinished)
    return size


def _is_table(folder: Path) -> bool:
    """Whether nothing is in the folder but a partitioned table."""
    return all(is_of_table(file.relative_to(folder).as_posix()) for file in files_of(folder))


def _write(table: Path, sink: FileSink | UrlSink, path: Path) -> None:
    frame = pl.scan_parquet(table, glob=False)
    if sink.partition_by:
        write_partitions(frame, sink.partition_by, path)
        return
    match sink.kind:
        case "csv":
            _require_flat(frame.collect_schema())
            rows = _without_formulas(frame) if sink.escape_formulas else frame
            rows.sink_csv(path, separator=sink.separator, engine="streaming", check_extension=False)
        case "ndjson":
            frame.sink_ndjson(path, engine="streaming", check_extension=False)
        case "json":
            _write_json(frame, path)
        case "ipc":
            frame.sink_ipc(path, engine="streaming")
        case "excel":
            write_workbook(frame, path)
        case _:
            shutil.copyfile(table, path)


def _require_flat(schema: pl.Schema) -> None:
    nested = [name for name, kind in schema.items() if kind.is_nested()]
    if nested:
        message = (
            f"CSV has no place for the lists or objects in {listed(nested)}; write json or parquet, or unnest them"
        )
        raise OperationRefused(message)


def _write_json(frame: pl.LazyFrame, path: Path) -> None:
    """One list of objects. Polars writes such a file at once only; one object after another takes no memory."""
    lines = path.with_name(f"{path.name}.lines")
    try:
        frame.sink_ndjson(lines, engine="streaming", check_extension=False)
        with lines.open("rb") as source, path.open("wb") as target:
            before = b"["
            for line in source:
                target.write(before + line.rstrip(b"\n"))
                before = b",\n"
            target.write(b"[]" if before == b"[" else b"]")
    finally:
        lines.unlink(missing_ok=True)


def _without_formulas(frame: pl.LazyFrame) -> pl.LazyFrame:
    """Spreadsheets run texts that begin like a formula; an apostrophe before them makes them plain text."""
    schema = frame.collect_schema()
    texts = [
        name for name, kind in schema.items() if kind in (pl.String(), pl.Categorical()) or isinstance(kind, pl.Enum)
    ]
    escaped = frame.with_columns(_escaped(pl.col(name).cast(pl.String())).alias(name) for name in texts)
    return escaped.rename({name: f"'{name}" for name in schema if name.startswith(FORMULA_STARTS)})


def _escaped(column: pl.Expr) -> pl.Expr:
    is_formula = pl.any_horizontal(column.str.starts_with(start) for start in FORMULA_STARTS)
    return pl.when(is_formula).then(pl.concat_str(pl.lit("'"), column)).otherwise(column)


def files_of(path: Path) -> list[Path]:
    """The file, or those in the folder, that were written to `path`."""
    return [path] if path.is_file() else sorted(file for file in path.rglob("*") if file.is_file())


def _sync(path: Path) -> int:
    """Makes the files outlast a crash before they get their name; returns their bytes."""
    files = files_of(path)
    for file in files:
        with file.open("rb+") as handle:
            os.fsync(handle.fileno())
    return sum(file.stat().st_size for file in files)


def _replace(unfinished: Path, target: Path) -> None:
    """A folder cannot take the place of another in one step, so the old one steps aside first."""
    if not target.is_dir():
        unfinished.replace(target)
        return
    aside = target.with_name(f".{target.name[:200]}.{secrets.token_hex(8)}.old")
    target.rename(aside)
    try:
        unfinished.rename(target)
    except OSError:
        aside.rename(target)
        raise
    shutil.rmtree(aside)


def _remove(path: Path) -> None:
    if path.is_dir():
        shutil.rmtree(path, ignore_errors=True)
        return
    path.unlink(missing_ok=True)
