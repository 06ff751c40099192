"""Opens sources as lazy tables."""

from collections.abc import Collection, Mapping, Sequence
from pathlib import Path
from typing import Any

import polars as pl
from pydantic import ValidationError

from agents.context import AgentContext
from agents.data.addresses import is_object, label_of
from agents.data.failures import POLARS_FAILURES, ColumnMissing, OperationRefused, failed_at
from agents.data.formats import FORMATS, SUFFIXES, FileFormat, Reading, format_of
from agents.data.lazy import LAZY, LazyTable
from agents.data.nesting import require_shallow
from agents.data.paths import find_files, stamp_of
from agents.data.remote.objects import reason_of
from agents.data.remote.tables import Ready, RemoteTables
from agents.data.scanning import rows_table, scan_files, scan_objects
from agents.data.sources import (
    AnySource,
    DatabaseSource,
    FileSource,
    InputSource,
    RemoteSource,
    RowsSource,
    UrlSource,
)
from agents.data.stopping import StopSignal
from agents.data.suggestions import listed
from agents.errors import InputInvalid
from agents.result import DatasetRef

DEFAULT_INPUT = "source"


class SourceReader:
    """Gives operations the tables they name; each is made stoppable by the signal."""

    def __init__(
        self,
        *,
        inputs: Mapping[str, Any],
        context: AgentContext,
        remote: RemoteTables | None,
        stop: StopSignal,
        lazy_inputs: Collection[str] = (),
        expected_stamps: Mapping[str, str] | None = None,
    ) -> None:
        self._inputs = inputs
        self._context = context
        self._remote = remote
        self._stop = stop
        self._lazy_inputs = lazy_inputs
        self._expected_stamps = expected_stamps or {}
        self.stamps: dict[str, str] = {}
        """Of the files of each source that was opened, where somebody may want to know."""

    def lazy_table(self, source: AnySource | None) -> tuple[str, LazyTable] | None:
        """The name and plan of the input behind `source`, where that is the plan of a table."""
        chosen = source or self._only_input()
        if not isinstance(chosen, InputSource) or chosen.input not in self._lazy_inputs:
            return None
        value = self._inputs.get(chosen.input)
        return (chosen.input, LazyTable.of(value)) if isinstance(value, dict) and LAZY in value else None

    def within(self, table: LazyTable) -> "SourceReader":
        """What reads for the agent whose table that is. Nothing far away: that is never left to another step."""
        return SourceReader(
            inputs=table.inputs,
            context=self._context,
            remote=None,
            stop=self._stop,
            lazy_inputs=table.lazy_inputs,
            expected_stamps=table.stamps if self._context.replays else None,
        )

    def main_table(self, source: AnySource | None) -> pl.LazyFrame:
        """The table that the operations begin with."""
        return self.read(source or self._only_input(), "source")

    def read(self, source: AnySource, path: str) -> pl.LazyFrame:
        """Opens a source; its columns are known then, its rows unread. Raises `AgentError` that names `path`."""
        try:
            frame = self._open(source, path)
            require_shallow(frame.collect_schema())
        except InputInvalid as error:
            raise InputInvalid(f"{path}: {error.message}", code=error.code, path=path, hint=error.hint) from error
        except (*POLARS_FAILURES, ColumnMissing, OperationRefused) as error:
            raise failed_at(path, "", _in_words(error, source)) from error
        return self._stop.checkpoint(frame)

    def _only_input(self) -> InputSource:
        if DEFAULT_INPUT in self._inputs or len(self._inputs) == 1:
            return InputSource(input=DEFAULT_INPUT if DEFAULT_INPUT in self._inputs else next(iter(self._inputs)))
        names = listed(self._inputs) or "none"
        message = f'the config has no "source" and no input is called "{DEFAULT_INPUT}"; the inputs are: {names}'
        raise InputInvalid(message, path="source")

    def _open(self, source: AnySource, path: str) -> pl.LazyFrame:
        match source:
            case RowsSource():
                return rows_table(source.rows, source.types)
            case InputSource():
                return self._open_input(source)
            case FileSource():
                return self._open_files(source, path)
            case UrlSource() | DatabaseSource():
                assert self._remote is not None
                return _open_remote(self._remote.at(path), source)

    def _open_files(self, source: FileSource, path: str) -> pl.LazyFrame:
        roots = self._context.data_roots
        files, kind = _found(source, roots)
        self._stamp(files, path)
        return scan_files(kind, files, source, partitioned=_is_partitioned(files, roots))

    def _stamp(self, files: Sequence[Path], path: str) -> None:
        """Notes what the files look like, and refuses others than those of the run that is replayed."""
        expected = self._expected_stamps.get(path)
        if expected is None and self._context.fused_into is None:
            return
        self.stamps[path] = stamp_of(files)
        if expected is not None and self.stamps[path] != expected:
            message = "the files have changed since the run read them; run the workflow again"
            raise InputInvalid(message, code="SOURCE_CHANGED")

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


def _open_remote(table: Ready, source: RemoteSource) -> pl.LazyFrame:
    reading = source if isinstance(source, UrlSource) else Reading()
    if table.url is not None:
        return scan_objects(table.kind, table.url, table.options or {}, reading)
    return scan_files(table.kind, table.files, reading)


def _found(source: FileSource, roots: Sequence[Path]) -> tuple[list[Path], FileFormat]:
    stated = format_of(source.path, source.format)
    files = find_files(source.path, roots, suffix=f".{stated or 'parquet'}")
    kind = stated or SUFFIXES.get(files[0].suffix.lower())
    if kind is None:
        message = f'the format cannot be told from {source.path[:200]!r}; set "format" to one of {listed(FORMATS)}'
        raise InputInvalid(message)
    return files, kind


def _is_partitioned(files: Sequence[Path], roots: Sequence[Path]) -> bool:
    """Whether folders like `origin=JFK` lie between a data root and the files; names of folders above do not count."""
    folders = [file.parent.relative_to(root.resolve()) for file in files for root in roots if _holds(root, file)]
    return any("=" in part for folder in folders for part in folder.parts)


def _holds(root: Path, file: Path) -> bool:
    return file.is_relative_to(root.resolve())


def _in_words(error: BaseException, source: AnySource) -> BaseException:
    """Messages of the operating system hold absolute paths of the machine, those of stores hold anything."""
    if isinstance(source, UrlSource) and is_object(source.url):
        return ValueError(f"{label_of(source.url)}: {reason_of(source, error)}")
    if isinstance(error, OSError) and isinstance(source, FileSource):
        return OSError(f"{source.path[:200]!r} cannot be read: {error.strerror or type(error).__name__}")
    return error
