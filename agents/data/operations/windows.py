"""Operations that look at neighbouring rows."""

from collections.abc import Sequence
from typing import Annotated, Literal

import polars as pl
from pydantic import AfterValidator, Field, ValidationInfo

from agents.data.expressions import parse_expression, require_columns, resolve, resolve_named
from agents.data.failures import OperationRefused
from agents.data.model import is_unfilled, refuse
from agents.data.operations.aggregates import Aggregations
from agents.data.operations.base import Operation, Tables
from agents.data.operations.rows import SortKey, SortKeys
from agents.data.sql_tokens import BadSql


def _check_call(value: str, info: ValidationInfo) -> str:
    if is_unfilled(value, info):
        return value
    try:
        parse_expression(f"{value} OVER (PARTITION BY p ORDER BY o)")
    except BadSql as error:
        message = f"one function call without OVER is expected, like RANK() or AVG(delay): {error}"
        raise refuse("BAD_EXPRESSION", message) from None
    return value


WindowCall = Annotated[str, AfterValidator(_check_call)]


class Window(Operation):
    """`{"op": "window", "partitionBy": ["origin"], "orderBy": ["day"], "columns": {"place": "RANK()"}}`.

    New columns over the rows of the same partition, in the given order: `{"place": "RANK()", "mean": "AVG(delay)",
    "before": "LAG(delay, 1)", "running": "SUM(delay)"}`, each one call, to which the operation adds `OVER (…)`. With
    `orderBy` an aggregate runs up to the row itself, as in SQL. All rows stay, in their order.
    """

    op: Literal["window"]
    partition_by: list[str] = Field(default_factory=list)
    order_by: SortKeys = Field(default_factory=list)
    nulls_last: bool = True
    columns: dict[str, WindowCall] = Field(min_length=1)

    def apply(self, frame: pl.LazyFrame, tables: Tables) -> pl.LazyFrame:
        schema = frame.collect_schema()
        require_columns(self.partition_by, schema)
        for key in self.order_by:
            key.resolved(schema)
        over = self._over()
        return frame.with_columns(resolve(f"{call} {over}", schema).alias(name) for name, call in self.columns.items())

    def _over(self) -> str:
        parts = []
        if self.partition_by:
            parts.append(f"PARTITION BY {', '.join(_quoted(name) for name in self.partition_by)}")
        if self.order_by:
            parts.append(f"ORDER BY {', '.join(self._order(key) for key in self.order_by)}")
        return f"OVER ({' '.join(parts)})"

    def _order(self, key: SortKey) -> str:
        text = f"({key.expression})" if key.expression is not None else _quoted(key.column or "")
        return f"{text} {'DESC' if key.descending else 'ASC'} NULLS {'LAST' if self.nulls_last else 'FIRST'}"


def _quoted(name: str) -> str:
    return '"' + name.replace('"', '""') + '"'


class Rolling(Operation):
    """`{"op": "rolling", "index": "time", "period": "3h", "by": ["origin"], "aggregations": {"mean": "AVG(temp)"}}`.

    For each row an aggregate over the rows whose `index` (a date, a time stamp or a whole number) lies within `period`
    before it: `30m`, `3h`, `7d`, `1mo`, or `10i` for numbers. `offset` moves the window, `closed` says which of its
    ends belong to it. The result is sorted by `by` and `index` and has those columns and the aggregates.
    """

    op: Literal["rolling"]
    index: str
    period: str
    offset: str | None = None
    closed: Literal["right", "left", "both", "none"] = "right"
    by: list[str] = Field(default_factory=list)
    aggregations: Aggregations

    def apply(self, frame: pl.LazyFrame, tables: Tables) -> pl.LazyFrame:
        schema = frame.collect_schema()
        require_columns([self.index, *self.by], schema)
        kind = schema[self.index]
        if not (kind.is_integer() or kind in (pl.Date(), pl.Datetime)):
            message = f'"index" must be a date, a time stamp or a whole number; "{self.index}" is {kind}: cast it first'
            raise OperationRefused(message)
        ordered: Sequence[str] = [*self.by, self.index]
        rolling = frame.sort(ordered).rolling(
            self.index, period=self.period, offset=self.offset, closed=self.closed, group_by=self.by or None
        )
        return rolling.agg(resolve_named(self.aggregations, schema))
