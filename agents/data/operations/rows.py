"""Operations that choose or order rows."""

from typing import Annotated, Any, Literal

import polars as pl
from pydantic import BeforeValidator, Field, model_validator

from agents.data.expressions import Expression, require_columns, resolve
from agents.data.model import DataModel, refuse
from agents.data.operations.base import Operation, Tables


class Filter(Operation):
    """`{"op": "filter", "where": "dep_delay > 15 AND origin = 'JFK'"}`: rows for which `where` is true."""

    op: Literal["filter"]
    where: Expression

    def apply(self, frame: pl.LazyFrame, tables: Tables) -> pl.LazyFrame:
        return frame.filter(resolve(self.where, frame.collect_schema()))


class DropNulls(Operation):
    """`{"op": "drop_nulls", "columns": ["arr_delay"]}`: no rows with a null there (without `columns`: anywhere)."""

    op: Literal["drop_nulls"]
    columns: list[str] | None = Field(default=None, min_length=1)

    def apply(self, frame: pl.LazyFrame, tables: Tables) -> pl.LazyFrame:
        require_columns(self.columns or (), frame.collect_schema())
        return frame.drop_nulls(self.columns)


class Unique(Operation):
    """`{"op": "unique", "columns": ["tailnum"], "keep": "first"}`: a row per combination (`none`: those met once)."""

    op: Literal["unique"]
    columns: list[str] | None = Field(default=None, min_length=1)
    keep: Literal["first", "last", "any", "none"] = "first"

    def apply(self, frame: pl.LazyFrame, tables: Tables) -> pl.LazyFrame:
        require_columns(self.columns or (), frame.collect_schema())
        return frame.unique(self.columns, keep=self.keep, maintain_order=self.keep != "any")


class SortKey(DataModel):
    """`{"expression": "ABS(delay)", "descending": true}` or `{"column": "delay"}`."""

    column: str | None = None
    expression: Expression | None = None
    descending: bool = False

    @model_validator(mode="after")
    def _one_of_both(self) -> "SortKey":
        if (self.column is None) == (self.expression is None):
            raise refuse("BAD_CONFIG", 'a sort key has either "column" or "expression"')
        return self

    def resolved(self, columns: pl.Schema) -> pl.Expr:
        """What is sorted by; raises `ColumnMissing`."""
        if self.expression is not None:
            return resolve(self.expression, columns)
        assert self.column is not None
        require_columns([self.column], columns)
        return pl.col(self.column)


def _as_key(value: Any) -> Any:
    return {"column": value} if isinstance(value, str) else value


SortKeys = list[Annotated[SortKey, BeforeValidator(_as_key)]]
"""Names stand for ascending keys: `["carrier", {"column": "delay", "descending": true}]`."""


class Sort(Operation):
    """`{"op": "sort", "by": ["carrier", {"column": "delay", "descending": true}]}`: stable; nulls last unless told."""

    op: Literal["sort"]
    by: SortKeys = Field(min_length=1)
    nulls_last: bool = True

    def apply(self, frame: pl.LazyFrame, tables: Tables) -> pl.LazyFrame:
        schema = frame.collect_schema()
        keys = [key.resolved(schema) for key in self.by]
        descending = [key.descending for key in self.by]
        return frame.sort(keys, descending=descending, nulls_last=self.nulls_last, maintain_order=True)


class Limit(Operation):
    """`{"op": "limit", "rows": 10, "offset": 0}`: `rows` rows after the first `offset`."""

    op: Literal["limit"]
    rows: int = Field(ge=0, lt=2**32)
    offset: int = Field(default=0, ge=0, lt=2**32)

    def apply(self, frame: pl.LazyFrame, tables: Tables) -> pl.LazyFrame:
        return frame.slice(self.offset, self.rows)


class Sample(Operation):
    """`{"op": "sample", "rows": 1000}` or `"fraction": 0.1`: rows by chance, in order; the same for the same `seed`."""

    op: Literal["sample"]
    rows: int | None = Field(default=None, ge=0)
    fraction: float | None = Field(default=None, ge=0, le=1)
    seed: int = Field(default=0, ge=0, lt=2**63)

    @model_validator(mode="after")
    def _one_of_both(self) -> "Sample":
        if (self.rows is None) == (self.fraction is None):
            raise refuse("BAD_CONFIG", 'give either "rows" or "fraction"')
        return self

    def apply(self, frame: pl.LazyFrame, tables: Tables) -> pl.LazyFrame:
        size = pl.lit(self.rows) if self.rows is not None else (pl.len() * pl.lit(self.fraction)).round()
        return frame.filter(pl.int_range(pl.len()).shuffle(self.seed) < size)
