"""Opens sources as lazy tables."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import polars as pl
from pydantic import ValidationError

from agents.context import AgentContext
from agents.data.casting import cast_expression
from agents.data.column_types import parse_type
from agents.data.expressions import require_columns
from agents.data.failures import POLARS_FAILURES, ColumnMissing, failed_at, polars_reason
from agents.data.paths import find_files
from agents.data.sources import FORMATS, SUFFIXES, FileSource, InputSource, RowsSource, format_of
from agents.data.stopping import StopSignal
from agents.data.suggestions import listed
from agents.errors import InputInvalid
from agents.result import DatasetRef

AnySource = RowsSource | InputSource | FileSource
DEFAULT_INPUT = "source"


class SourceReader:
    """Gives operations the tables they name; each is made stoppable by the signal."""

    def __init__(self, *, inputs: Mapping[str, Any], context: AgentContext, stop: StopSignal) -> None:
        self._inputs = inputs
        self._context = context
        self._stop = stop

    def main_table(self, source: AnySource | None) -> pl.LazyFrame:
        """The table that the operations begin with."""
        return self.read(source or self._only_input(), "source")

    def read(self, source: AnySource, path: str) -> pl.LazyFrame:
        """Opens a source; its columns are known then, its rows unread. Raises `AgentError` that names `path`."""
        try:
            frame = self._open(source)
            frame.collect_schema()
        except InputInvalid as error:
            raise InputInvalid(f"{path}: {error.message}", code=error.code, path=path, hint=error.hint) from error
        except (*POLARS_FAILURES, ColumnMissing) as error:
            raise failed_at(path, "", _without_path(error, source)) from error
        return self._stop.checkpoint(frame)

    def _only_input(self) -> InputSource:
        if DEFAULT_INPUT in self._inputs or len(self._inputs) == 1:
            return InputSource(input=DEFAULT_INPUT if DEFAULT_INPUT in self._inputs else next(iter(self._inputs)))
        names = listed(self._inputs) or "none"
        message = f'the config has no "source" and no input is called "{DEFAULT_INPUT}"; the inputs are: {names}'
        raise InputInvalid(message, path="source")

    def _open(self, source: AnySource) -> pl.LazyFrame:
        match source:
            case RowsSource():
                return rows_table(source.rows, source.types)
            case InputSource():
                return self._open_input(source)
            case FileSource():
                return _open_files(source, self._context.data_roots)

    def _open_input(self, source: InputSource) -> pl.LazyFrame:
        if source.input not in self._inputs:
            message = f'the agent has no input "{source.input}"; there are: {listed(self._inputs) or "none"}'
            raise InputInvalid(message)
        value = self._inputs[source.input]
        if isinstance(value, list):
            return rows_table(value, source.types)
        if isinstance(value, dict) and isinstance(value.get("dataset"), dict):
            return self._open_dataset(value["dataset"])
        if isinstance(value, dict) and isinstance(value.get("data"), list):
            return rows_table(value["data"], source.types)
        if isinstance(value, dict) and "uri" in value:
            return self._open_dataset(value)
        message = f'the input "{source.input}" is no table: neither a list of objects nor the output of a DATA step'
        raise InputInvalid(message)

    def _open_dataset(self, value: dict[str, Any]) -> pl.LazyFrame:
        try:
            reference = DatasetRef.model_validate(value)
        except ValidationError as error:
            message = "the reference to a dataset is damaged; hand over the whole output of the DATA step"
            raise InputInvalid(message) from error
        return pl.scan_parquet(self._context.datasets.locate(reference.uri), glob=False)


def rows_table(rows: Sequence[Any], types: Mapping[str, str]) -> pl.LazyFrame:
    """A table of JSON objects; raises `InputInvalid` when they make no table."""
    wrong = next((index for index, row in enumerate(rows) if not isinstance(row, dict)), None)
    if wrong is not None:
        message = f"row {wrong} is no JSON object; rows are objects: column name to value"
        raise InputInvalid(message)
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


def _open_files(source: FileSource, roots: Sequence[Path]) -> pl.LazyFrame:
    kind = format_of(source.path, source.format)
    files = find_files(source.path, roots, suffix=f".{kind or 'parquet'}")
    kind = kind or SUFFIXES.get(files[0].suffix.lower())
    match kind:
        case "parquet":
            return pl.scan_parquet(files, glob=False, hive_partitioning=_is_partitioned(files, roots))
        case "csv":
            return _open_csv(source, files)
        case "ndjson":
            return pl.scan_ndjson(files, infer_schema_length=None)
        case "json":
            return pl.concat([rows_table(pl.read_json(file).to_dicts(), {}) for file in files], how="diagonal_relaxed")
        case "ipc":
            return pl.scan_ipc(files, glob=False)
        case _:
            message = f'the format cannot be told from {source.path[:200]!r}; set "format" to one of {listed(FORMATS)}'
            raise InputInvalid(message)


def _is_partitioned(files: Sequence[Path], roots: Sequence[Path]) -> bool:
    """Whether folders like `origin=JFK` lie between a data root and the files; names of folders above do not count."""
    folders = [file.parent.relative_to(root.resolve()) for file in files for root in roots if _holds(root, file)]
    return any("=" in part for folder in folders for part in folder.parts)


def _holds(root: Path, file: Path) -> bool:
    return file.is_relative_to(root.resolve())


def _open_csv(source: FileSource, files: list[Path]) -> pl.LazyFrame:
    frame = pl.scan_csv(
        files,
        glob=False,
        separator=source.separator,
        has_header=source.has_header,
        null_values=source.null_values or None,
        try_parse_dates=source.parse_dates,
        schema_overrides=dict.fromkeys(source.types, pl.String),
        infer_schema_length=10_000,
    )
    require_columns(source.types, frame.collect_schema())
    return _typed(frame, source.types)


def _without_path(error: BaseException, source: AnySource) -> BaseException:
    """Messages of the operating system hold absolute paths of the machine."""
    if isinstance(error, OSError) and isinstance(source, FileSource):
        return OSError(f"{source.path[:200]!r} cannot be read: {error.strerror or type(error).__name__}")
    return error
