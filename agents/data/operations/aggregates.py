"""Operations that sum up rows."""

from typing import Annotated, Literal

import polars as pl
from pydantic import Field

from agents.data.expressions import Expression, require_columns, resolve_named
from agents.data.failures import OperationRefused
from agents.data.operations.base import Operation, Tables

Aggregations = Annotated[dict[str, Expression], Field(min_length=1)]
"""New column to aggregate: `{"avg_delay": "AVG(arr_delay)", "flights": "COUNT(*)"}`."""


class Group(Operation):
    """`{"op": "group", "by": ["carrier"], "aggregations": {"avg_delay": "AVG(arr_delay)"}}`: a row per group.

    The groups come in no order unless `maintainOrder` asks for that of their first rows (slower).
    """

    op: Literal["group"]
    by: list[str] = Field(min_length=1)
    aggregations: Aggregations
    maintain_order: bool = False

    def apply(self, frame: pl.LazyFrame, tables: Tables) -> pl.LazyFrame:
        schema = frame.collect_schema()
        require_columns(self.by, schema)
        return frame.group_by(self.by, maintain_order=self.maintain_order).agg(resolve_named(self.aggregations, schema))


class Reduce(Operation):
    """`{"op": "reduce", "aggregations": {"flights": "COUNT(*)"}}`: the whole table becomes one row."""

    op: Literal["reduce"]
    aggregations: Aggregations

    def apply(self, frame: pl.LazyFrame, tables: Tables) -> pl.LazyFrame:
        return frame.select(resolve_named(self.aggregations, frame.collect_schema()))


MAX_PIVOTED = 5_000
"""Columns; the time that Polars takes grows with their square (seen with 2.1)."""


class Pivot(Operation):
    """`{"op": "pivot", "index": ["dest"], "on": "origin", "columns": ["JFK"], "values": "delay", "aggregate": "mean"}`.

    A row per `index`, a column for each of `columns`, which are values of `on`. They are named in advance so that the
    result's columns are known before any row is read. `{"values": ["a", "b"]}` gives columns `a_JFK`, `b_JFK`, ….
    """

    op: Literal["pivot"]
    index: list[str] = Field(min_length=1)
    on: str
    columns: list[str | int | bool] = Field(min_length=1)
    values: str | list[str]
    aggregate: Literal["first", "last", "min", "max", "sum", "mean", "median", "len"] = "first"

    def apply(self, frame: pl.LazyFrame, tables: Tables) -> pl.LazyFrame:
        values = [self.values] if isinstance(self.values, str) else self.values
        self._refuse_width(len(values))
        require_columns([*self.index, self.on, *values], frame.collect_schema())
        return frame.pivot(
            self.on,
            on_columns=self.columns,
            index=self.index,
            values=values,
            aggregate_function=self.aggregate,
            maintain_order=True,
        )

    def _refuse_width(self, values: int) -> None:
        made = len(self.columns) * values
        if made > MAX_PIVOTED:
            message = f"it would make {made} columns; at most {MAX_PIVOTED}"
            raise OperationRefused(message)


class Unpivot(Operation):
    """`{"op": "unpivot", "index": ["dest"], "columns": ["JFK"], "variableName": "origin", "valueName": "delay"}`.

    A row per cell of `columns` (without them: all but `index`).
    """

    multiplies = True

    op: Literal["unpivot"]
    index: list[str] = Field(default_factory=list)
    columns: list[str] | None = Field(default=None, min_length=1)
    variable_name: str = "variable"
    value_name: str = "value"

    def apply(self, frame: pl.LazyFrame, tables: Tables) -> pl.LazyFrame:
        require_columns([*self.index, *(self.columns or ())], frame.collect_schema())
        return frame.unpivot(
            self.columns, index=self.index, variable_name=self.variable_name, value_name=self.value_name
        )
