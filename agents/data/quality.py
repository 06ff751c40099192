"""Checks of a result: each counts the rows that break it; ERROR fails the step, WARN is only recorded."""

from abc import abstractmethod
from collections.abc import Iterable
from typing import Annotated, Any, Literal

import polars as pl
from pydantic import Field, model_validator

from agents.data.expressions import Expression, literal, require_columns, resolve, temporal_value
from agents.data.model import DataModel, refuse


class Check(DataModel):
    """What all checks share. Except for `not_null`, a null breaks no rule, as in SQL."""

    severity: Literal["ERROR", "WARN"] = "ERROR"

    @abstractmethod
    def failing(self, schema: pl.Schema) -> pl.Expr:
        """An aggregate that counts the rows that break the rule; raises `ColumnMissing`."""

    def column_names(self) -> list[str]:
        """The columns that the record names."""
        return []


class NotNull(Check):
    """`{"check": "not_null", "columns": ["carrier"]}`: no null in any of the columns."""

    check: Literal["not_null"]
    columns: list[str] = Field(min_length=1)

    def failing(self, schema: pl.Schema) -> pl.Expr:
        require_columns(self.columns, schema)
        return pl.any_horizontal(pl.col(name).is_null() for name in self.columns).sum()

    def column_names(self) -> list[str]:
        return self.columns


class Unique(Check):
    """`{"check": "unique", "columns": ["id"]}`: no combination of values twice; counts the surplus rows."""

    check: Literal["unique"]
    columns: list[str] = Field(min_length=1)

    def failing(self, schema: pl.Schema) -> pl.Expr:
        require_columns(self.columns, schema)
        key = pl.col(self.columns[0]) if len(self.columns) == 1 else pl.struct(self.columns)
        return pl.len() - key.n_unique()

    def column_names(self) -> list[str]:
        return self.columns


class InRange(Check):
    """`{"check": "in_range", "column": "delay", "min": -60, "max": 1500}`: ends included, either may be left out."""

    check: Literal["in_range"]
    column: str
    min: int | float | str | None = None
    max: int | float | str | None = None

    @model_validator(mode="after")
    def _has_an_end(self) -> "InRange":
        if self.min is None and self.max is None:
            raise refuse("MISSING_FIELD", 'give "min", "max" or both')
        return self

    def failing(self, schema: pl.Schema) -> pl.Expr:
        require_columns([self.column], schema)
        column, dtype = pl.col(self.column), schema[self.column]
        outside = pl.lit(False)
        if self.min is not None:
            outside = outside | (column < literal(self.min, dtype)).fill_null(False)
        if self.max is not None:
            outside = outside | (column > literal(self.max, dtype)).fill_null(False)
        return outside.sum()

    def column_names(self) -> list[str]:
        return [self.column]


class AcceptedValues(Check):
    """`{"check": "accepted_values", "column": "origin", "values": ["JFK", "LGA", "EWR"]}`."""

    check: Literal["accepted_values"]
    column: str
    values: list[Any] = Field(min_length=1)

    def failing(self, schema: pl.Schema) -> pl.Expr:
        require_columns([self.column], schema)
        dtype = schema[self.column]
        accepted = [temporal_value(value, dtype) for value in self.values]
        return (~pl.col(self.column).is_in(pl.Series(accepted).implode())).fill_null(False).sum()

    def column_names(self) -> list[str]:
        return [self.column]


class RowCount(Check):
    """`{"check": "row_count", "min": 1, "max": 1000}`: counts the rows missing or too many."""

    check: Literal["row_count"]
    min: int | None = Field(default=None, ge=0)
    max: int | None = Field(default=None, ge=0)

    @model_validator(mode="after")
    def _has_an_end(self) -> "RowCount":
        if self.min is None and self.max is None:
            raise refuse("MISSING_FIELD", 'give "min", "max" or both')
        return self

    def failing(self, schema: pl.Schema) -> pl.Expr:
        rows = pl.len().cast(pl.Int64)
        missing = pl.lit(0) if self.min is None else (self.min - rows).clip(0)
        surplus = pl.lit(0) if self.max is None else (rows - self.max).clip(0)
        return missing + surplus


class ExpressionCheck(Check):
    """`{"check": "expression", "expression": "arr_time >= dep_time"}`: true for every row."""

    check: Literal["expression"]
    expression: Expression

    def failing(self, schema: pl.Schema) -> pl.Expr:
        return (~resolve(self.expression, schema)).fill_null(False).sum()


AnyCheck = Annotated[
    NotNull | Unique | InRange | AcceptedValues | RowCount | ExpressionCheck,
    Field(discriminator="check"),
]
CHECK_NAMES = ("not_null", "unique", "in_range", "accepted_values", "row_count", "expression")


def check_record(check: AnyCheck, failed: int) -> dict[str, Any]:
    """What the result says about one check."""
    record: dict[str, Any] = {"check": check.check, "severity": check.severity, "passed": failed == 0, "failed": failed}
    columns = check.column_names()
    return {**record, "columns": columns} if columns else record


def summary(records: Iterable[dict[str, Any]]) -> str:
    """`checks[0] (not_null): 3 rows` for each record that did not pass."""
    lines = [
        f"checks[{index}] ({record['check']}{_of(record)}): {record['failed']} row(s)"
        for index, record in enumerate(records)
        if not record["passed"]
    ]
    return "; ".join(lines)


def _of(record: dict[str, Any]) -> str:
    return f" of {', '.join(record['columns'])}" if "columns" in record else ""
