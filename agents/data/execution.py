"""Runs a plan in a thread: one query into a Parquet file, then what the result says about it."""

from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

import polars as pl

from agents.data.column_types import schema_names
from agents.data.config import DataConfig
from agents.data.failures import POLARS_FAILURES, failed_at, polars_reason
from agents.data.json_rows import PREVIEW_ROWS, json_rows, json_size, preview_rows
from agents.data.lazy import Stage
from agents.data.planning import DataPlan
from agents.data.quality import check_record, summary
from agents.data.stopping import Stopped, StopSignal
from agents.errors import DataFailed

MAX_INLINE_ROWS = 1_000
MAX_INLINE_BYTES = 64 * 1024
_QUICK: Literal["lz4"] = "lz4"
"""Written and read several times faster than zstd for a few percent more bytes: most datasets are read once."""


_WRITING = Stage("result", "writing it as Parquet", pl.LazyFrame())


@dataclass(frozen=True)
class Materialised:
    """A written result. `data` is there when it is small; `checks` in the order of the config."""

    rows: int
    columns: dict[str, str]
    preview: list[dict[str, Any]]
    data: list[dict[str, Any]] | None
    checks: list[dict[str, Any]] = field(default_factory=list)


def materialise(plan: DataPlan, config: DataConfig, staged: Path, stop: StopSignal) -> Materialised:
    """Writes the plan's result to `staged`; raises `DataFailed` that names the operation, and removes the file then."""
    try:
        _write_table(plan, staged, stop)
        table = pl.scan_parquet(staged, glob=False)
        checks = _run_checks(plan, config, table)
        return _shown(table, plan.schema, checks)
    except BaseException:
        staged.unlink(missing_ok=True)
        raise


def _write_table(plan: DataPlan, staged: Path, stop: StopSignal) -> None:
    try:
        plan.frame.sink_parquet(staged, compression=_QUICK, engine="streaming")
    except Stopped:
        raise
    except POLARS_FAILURES as error:
        stop.check()
        culprit = _first_failing((*plan.stages, _WRITING), stop)
        raise failed_at(culprit.path, culprit.name, error) from error


def _first_failing(stages: tuple[Stage, ...], stop: StopSignal) -> Stage:
    """Polars does not say which part of a query failed, so shorter queries are tried, by halves, their rows dropped.

    The last of `stages` is taken to fail when none before it does.
    """
    low, high = 0, len(stages) - 1
    while low < high:
        middle = (low + high) // 2
        if _succeeds(stages[middle].frame, stop):
            low = middle + 1
        else:
            high = middle
    return stages[low]


def _succeeds(frame: pl.LazyFrame, stop: StopSignal) -> bool:
    try:
        frame.sink_batches(lambda _batch: stop.check(), engine="streaming")
    except Stopped:
        raise
    except POLARS_FAILURES:
        stop.check()
        return False
    return True


def _run_checks(plan: DataPlan, config: DataConfig, table: pl.LazyFrame) -> list[dict[str, Any]]:
    if not plan.checks:
        return []
    try:
        counts = table.select(plan.checks).collect(engine="streaming").row(0)
    except POLARS_FAILURES as error:
        message = f"checks: {polars_reason(error)}"
        raise DataFailed(message, path="checks") from error
    return [check_record(check, int(count or 0)) for check, count in zip(config.checks, counts, strict=True)]


def require_passed(records: list[dict[str, Any]]) -> None:
    """Raises `DataFailed` if a check of severity ERROR did not pass; all records are in its details."""
    if any(not record["passed"] and record["severity"] == "ERROR" for record in records):
        raise DataFailed(f"the data breaks {summary(records)}", path="checks", details={"checks": records})


def _shown(table: pl.LazyFrame, schema: pl.Schema, checks: list[dict[str, Any]]) -> Materialised:
    try:
        return _described(table, schema, checks)
    except POLARS_FAILURES as error:
        raise failed_at("result", "showing it as JSON", error) from error


def _described(table: pl.LazyFrame, schema: pl.Schema, checks: list[dict[str, Any]]) -> Materialised:
    head = table.head(MAX_INLINE_ROWS + 1).collect()
    is_short = head.height <= MAX_INLINE_ROWS
    rows = head.height if is_short else int(table.select(pl.len()).collect().item())
    first = json_rows(head if is_short else head.head(PREVIEW_ROWS))
    is_small = is_short and json_size(first) <= MAX_INLINE_BYTES
    return Materialised(
        rows=rows,
        columns=schema_names(schema),
        preview=preview_rows(first),
        data=first if is_small else None,
        checks=checks,
    )
