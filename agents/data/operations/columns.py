"""Operations on columns."""

import re
from typing import Annotated, Any, Literal

import polars as pl
from pydantic import BeforeValidator, Field, model_validator

from agents.data.casting import cast_expression
from agents.data.column_types import TypeName, parse_type
from agents.data.expressions import Expression, literal, require_columns, resolve_named
from agents.data.failures import OperationRefused
from agents.data.model import DataModel, refuse
from agents.data.operations.base import Operation, Tables

_JOINING = re.compile(r"\|\||concat|replace|pad", re.IGNORECASE)
"""What makes long texts of short ones."""


class Select(Operation):
    """`{"op": "select", "columns": ["carrier", "dest"]}`: these columns in this order."""

    op: Literal["select"]
    columns: list[str] = Field(min_length=1)

    def apply(self, frame: pl.LazyFrame, tables: Tables) -> pl.LazyFrame:
        require_columns(self.columns, frame.collect_schema())
        return frame.select(pl.col(name) for name in self.columns)


class Drop(Operation):
    """`{"op": "drop", "columns": ["year"]}`: all columns but these."""

    op: Literal["drop"]
    columns: list[str] = Field(min_length=1)

    def apply(self, frame: pl.LazyFrame, tables: Tables) -> pl.LazyFrame:
        schema = frame.collect_schema()
        require_columns(self.columns, schema)
        return frame.select(pl.col(name) for name in schema if name not in self.columns)


class Rename(Operation):
    """`{"op": "rename", "columns": {"dest": "destination"}}`: old name to new name."""

    op: Literal["rename"]
    columns: dict[str, str] = Field(min_length=1)

    def apply(self, frame: pl.LazyFrame, tables: Tables) -> pl.LazyFrame:
        require_columns(self.columns, frame.collect_schema())
        return frame.rename(self.columns)


class ColumnCast(DataModel):
    """`{"type": "datetime", "format": "%d.%m.%Y %H:%M"}`; `format` says how dates and times are written in text."""

    type: TypeName
    format: str | None = None


def _as_cast(value: Any) -> Any:
    return {"type": value} if isinstance(value, str) else value


class Cast(Operation):
    """`{"op": "cast", "columns": {"time_hour": "datetime", "day": {"type": "date", "format": "%d.%m.%Y"}}}`.

    Text becomes numbers, dates and times; without `format` ISO 8601 is expected. A value that does not fit fails the
    step; with `"strict": false` it becomes null.
    """

    op: Literal["cast"]
    columns: dict[str, Annotated[ColumnCast, BeforeValidator(_as_cast)]] = Field(min_length=1)
    strict: bool = True

    def apply(self, frame: pl.LazyFrame, tables: Tables) -> pl.LazyFrame:
        schema = frame.collect_schema()
        require_columns(self.columns, schema)
        return frame.with_columns(
            cast_expression(name, schema[name], parse_type(cast.type), text_format=cast.format, strict=self.strict)
            for name, cast in self.columns.items()
        )


class Map(Operation):
    """`{"op": "map", "columns": {"speed": "distance / air_time * 60"}}`: new or replaced columns.

    All see the columns as they were before the operation.
    """

    op: Literal["map"]
    columns: dict[str, Expression] = Field(min_length=1)

    @property
    def grows(self) -> bool:
        return any(_JOINING.search(text) for text in self.columns.values())

    def apply(self, frame: pl.LazyFrame, tables: Tables) -> pl.LazyFrame:
        return frame.with_columns(resolve_named(self.columns, frame.collect_schema()))


class FillNull(Operation):
    """`{"op": "fill_null", "columns": ["delay"], "value": 0}` or `"strategy": "forward"`.

    Without `columns` everywhere; `value` then only where the type of the column can hold it.
    """

    op: Literal["fill_null"]
    columns: list[str] | None = Field(default=None, min_length=1)
    value: str | int | float | bool | None = None
    strategy: Literal["forward", "backward", "min", "max", "mean", "zero", "one"] | None = None

    @model_validator(mode="after")
    def _one_of_both(self) -> "FillNull":
        if (self.value is None) == (self.strategy is None):
            raise refuse("BAD_CONFIG", 'give either "value" or "strategy"')
        return self

    def apply(self, frame: pl.LazyFrame, tables: Tables) -> pl.LazyFrame:
        schema = frame.collect_schema()
        require_columns(self.columns or (), schema)
        if self.strategy is not None:
            return frame.with_columns(pl.col(self.columns or list(schema)).fill_null(strategy=self.strategy))
        names = self.columns or [name for name, dtype in schema.items() if _holds(dtype, self.value)]
        return frame.with_columns(self._filled(name, schema[name]) for name in names)

    def _filled(self, name: str, dtype: pl.DataType) -> pl.Expr:
        if dtype != pl.Null() and not _holds(dtype, self.value):
            message = f'column "{name}" has the type {dtype}, which cannot hold {self.value!r}'
            raise OperationRefused(message)
        return pl.col(name).fill_null(literal(self.value, dtype))


def _holds(dtype: pl.DataType, value: Any) -> bool:
    match value:
        case bool():
            return dtype == pl.Boolean()
        case int():
            return dtype.is_numeric()
        case float():
            return dtype.is_float() or dtype.is_decimal()
        case _:
            return dtype in (pl.String(), pl.Categorical()) or isinstance(dtype, pl.Enum) or dtype.is_temporal()


class Explode(Operation):
    """`{"op": "explode", "columns": ["tags"]}`: a row per element; several lists in a row must be equally long.

    An empty list gives no row, a null one row with a null.
    """

    multiplies = True

    op: Literal["explode"]
    columns: list[str] = Field(min_length=1)

    def apply(self, frame: pl.LazyFrame, tables: Tables) -> pl.LazyFrame:
        schema = frame.collect_schema()
        require_columns(self.columns, schema)
        for name in self.columns:
            if not isinstance(schema[name], pl.List | pl.Array):
                message = f'column "{name}" holds no lists but {schema[name]}'
                raise OperationRefused(message)
        return frame.explode(self.columns)


class Unnest(Operation):
    """`{"op": "unnest", "columns": ["address"], "separator": "_"}`: a column per field of the object.

    With `separator` the new names are `address_city`, else `city`.
    """

    op: Literal["unnest"]
    columns: list[str] = Field(min_length=1)
    separator: str | None = None

    def apply(self, frame: pl.LazyFrame, tables: Tables) -> pl.LazyFrame:
        require_columns(self.columns, frame.collect_schema())
        return frame.unnest(self.columns, separator=self.separator)
