"""Turns a config into one lazy query, one operation at a time: an error names its operation before a row is read."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import polars as pl

from agents.data.charts.config import AnyChart
from agents.data.charts.figures import require_drawable
from agents.data.column_types import UnknownType, parse_type, schema_names, type_name
from agents.data.config import DataConfig, parse_config
from agents.data.expressions import require_columns
from agents.data.failures import POLARS_FAILURES, ColumnMissing, OperationRefused, failed_at
from agents.data.lazy import Stage
from agents.data.nesting import require_shallow
from agents.data.partitions import require_folder_names
from agents.data.quality import AnyCheck
from agents.data.reading import SourceReader
from agents.data.sinks import AnySink, FileSink, TableSink, UrlSink
from agents.data.sources import AnySource
from agents.data.sql_tokens import BadSql
from agents.data.stopping import StopSignal
from agents.errors import AgentError, DataFailed

_REFUSALS = (*POLARS_FAILURES, ColumnMissing, OperationRefused, BadSql, UnknownType)


@dataclass(frozen=True)
class DataPlan:
    """Nothing has been read yet; `checks` counts failing rows, one column per check."""

    stages: tuple[Stage, ...]
    schema: pl.Schema
    checks: tuple[pl.Expr, ...]

    @property
    def frame(self) -> pl.LazyFrame:
        """The whole query."""
        return self.stages[-1].frame


class _OperationTables:
    """Names the operation in the errors of the sources that it opens."""

    def __init__(self, reader: SourceReader, prefix: str, stop: StopSignal) -> None:
        self._reader = reader
        self._prefix = prefix
        self._stop = stop

    def read(self, source: AnySource, path: str) -> pl.LazyFrame:
        planned = _planned(source, self._reader, self._stop)
        return planned[-1].frame if planned else self._reader.read(source, f"{self._prefix}.{path}")


def make_plan(config: DataConfig, reader: SourceReader, stop: StopSignal) -> DataPlan:
    """Raises `DataFailed` or `InputInvalid` for what does not fit the columns that there are."""
    stages = list(_planned(config.source, reader, stop)) or [Stage("source", "", reader.main_table(config.source))]
    for index, operation in enumerate(config.operations):
        path = f"operations[{index}]"
        try:
            frame = operation.apply(stages[-1].frame, _OperationTables(reader, path, stop))
            if operation.multiplies or operation.grows:
                frame = stop.checkpoint(frame, sees_all_rows=operation.explodes)
            require_shallow(frame.collect_schema())
        except AgentError:
            raise
        except _REFUSALS as error:
            raise failed_at(path, operation.op, error) from error
        stages.append(Stage(path, operation.op, frame))
    schema = stages[-1].frame.collect_schema()
    _require_contract(config.contract, schema)
    _require_partitions(config, schema)
    _require_columns_for(config.sink, schema)
    _require_chart(config.chart, schema)
    return DataPlan(tuple(stages), schema, _resolve_checks(config.checks, schema))


def _planned(source: AnySource | None, reader: SourceReader, stop: StopSignal) -> tuple[Stage, ...]:
    """The stages of the table that another step has left to this one; empty for any other source."""
    found = reader.lazy_table(source)
    if found is None:
        return ()
    name, table = found
    plan = make_plan(parse_config(table.config), reader.within(table), stop)
    return tuple(Stage(f"inputs.{name}.{stage.path}", stage.name, stage.frame) for stage in plan.stages)


def _require_contract(contract: Mapping[str, str] | None, schema: pl.Schema) -> None:
    """Raises `DataFailed` with all differences between the promised columns and those that there are."""
    if contract is None:
        return
    missing = [f'column "{name}" is missing' for name in contract if name not in schema]
    surplus = [f'column "{name}" is not in the schema' for name in schema if name not in contract]
    wrong = [
        f'column "{name}" is {type_name(schema[name])}, not {type_name(parse_type(kind))}'
        for name, kind in contract.items()
        if name in schema and schema[name] != parse_type(kind)
    ]
    differences = [*missing, *surplus, *wrong]
    if differences:
        details = {"expected": dict(contract), "found": schema_names(schema)}
        raise DataFailed(f"schema: {'; '.join(differences[:20])}", path="schema", details=details)


def _require_partitions(config: DataConfig, schema: pl.Schema) -> None:
    if not isinstance(config.sink, FileSink | UrlSink):
        return
    try:
        require_columns(config.sink.partition_by, schema)
        require_folder_names(config.sink.partition_by, schema)
    except (ColumnMissing, OperationRefused) as error:
        raise failed_at("sink.partitionBy", "", error) from error


def _require_columns_for(sink: AnySink | None, schema: pl.Schema) -> None:
    if isinstance(sink, TableSink) and not schema:
        message = (
            'sink: the result has no columns, and a table of a database has some; "types" gives empty rows columns'
        )
        raise DataFailed(message, path="sink")


def _require_chart(chart: AnyChart | None, schema: pl.Schema) -> None:
    if chart is None:
        return
    try:
        require_drawable(chart, schema)
    except _REFUSALS as error:
        raise failed_at("chart", chart.kind, error) from error


def _resolve_checks(checks: Sequence[AnyCheck], schema: pl.Schema) -> tuple[pl.Expr, ...]:
    counts = []
    empty = pl.LazyFrame(schema=schema)
    for index, check in enumerate(checks):
        try:
            count = check.failing(schema).cast(pl.Int64).alias(str(index))
            empty.select(count).collect_schema()
        except _REFUSALS as error:
            raise failed_at(f"checks[{index}]", check.check, error) from error
        counts.append(count)
    return tuple(counts)
