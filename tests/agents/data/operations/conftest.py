"""Applies one operation to rows, without an executor."""

from collections.abc import Callable
from typing import Any

import polars as pl
import pytest
from pydantic import TypeAdapter

from agents.data.config import parse_config
from agents.data.operations import AnyOperation
from agents.data.scanning import rows_table
from agents.data.sources import AnySource, RowsSource

_OPERATIONS: TypeAdapter[Any] = TypeAdapter(AnyOperation)

Apply = Callable[..., pl.DataFrame]


class InlineTables:
    """Reads the rows that stand in the config."""

    def read(self, source: AnySource, path: str) -> pl.LazyFrame:
        assert isinstance(source, RowsSource)
        return rows_table(source.rows, source.types)


@pytest.fixture(scope="session")
def apply() -> Apply:
    """`apply(rows, op=…, …)` gives the table after the operation; it is collected only here."""

    def apply_operation(rows: list[dict[str, Any]] | pl.DataFrame, /, **operation: Any) -> pl.DataFrame:
        frame = rows.lazy() if isinstance(rows, pl.DataFrame) else rows_table(rows, {})
        result = _OPERATIONS.validate_python(operation).apply(frame, InlineTables())
        assert isinstance(result, pl.LazyFrame)
        return result.collect(engine="streaming")

    return apply_operation


def apply_all(rows: list[dict[str, Any]], types: dict[str, str], operations: list[dict[str, Any]]) -> pl.DataFrame:
    """The rows that a DATA agent's operations make of `rows`; the tables that they name are inline."""
    config = parse_config({"source": {"rows": rows, "types": types}, "operations": operations})
    frame = rows_table(rows, types)
    for operation in config.operations:
        frame = operation.apply(frame, InlineTables())
    return frame.collect(engine="streaming")
