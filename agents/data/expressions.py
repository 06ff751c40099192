"""Polars SQL expressions: `dep_delay > 15 AND origin = 'JFK'`, `AVG(arr_delay)`."""

from collections.abc import Iterable, Mapping
from typing import Annotated, Any

import polars as pl
from pydantic import AfterValidator, ValidationInfo

from agents.data.column_types import is_temporal_text
from agents.data.failures import ColumnMissing, polars_reason
from agents.data.model import is_unfilled, refuse
from agents.data.sql_guard import check_expression
from agents.data.sql_tokens import BadSql
from agents.data.widening import with_wide_sums


def parse_expression(text: str) -> pl.Expr:
    """The expression behind `text`; raises `BadSql`. What depends on column types shows only when it meets a frame."""
    check_expression(text)
    try:
        return pl.sql_expr(text)
    except pl.exceptions.PolarsError as error:
        raise BadSql(_reason(error, text)) from error


def _reason(error: pl.exceptions.PolarsError, text: str) -> str:
    reason = polars_reason(error)
    if "cannot determine the type" in reason:
        return f'{reason}; use it in the operation "sql", which knows the types of the columns'
    if reason.startswith("unable to parse"):
        return f"{text[:200]!r} is no SQL expression"
    return reason


def resolve(text: str, schema: pl.Schema) -> pl.Expr:
    """The expression behind `text`, whose columns are all in `schema`; raises `ColumnMissing` or `BadSql`."""
    expression = parse_expression(text)
    require_columns(expression.meta.root_names(), schema)
    return with_wide_sums(expression, schema)


def resolve_named(expressions: Mapping[str, str], schema: pl.Schema) -> list[pl.Expr]:
    """One expression per new column, under its name."""
    return [resolve(text, schema).alias(name) for name, text in expressions.items()]


def require_columns(names: Iterable[str], columns: Iterable[str]) -> None:
    """Raises `ColumnMissing` for the first of `names` that is not among `columns`."""
    columns = list(columns)
    for name in names:
        if name not in columns:
            raise ColumnMissing(name, columns)


def literal(value: Any, dtype: pl.DataType) -> pl.Expr:
    """`value` from JSON as a constant to compare with a column of `dtype`; dates and times come as ISO text."""
    return pl.lit(temporal_value(value, dtype))


def temporal_value(value: Any, dtype: pl.DataType) -> Any:
    """ISO text as what a column of `dtype` holds; anything else unchanged."""
    if not is_temporal_text(value, dtype):
        return value
    text = pl.Series([value], dtype=pl.String)
    match dtype:
        case pl.Date():
            return text.str.to_date().item()
        case pl.Time():
            return text.str.to_time().item()
        case pl.Datetime():
            return text.str.to_datetime(time_unit=dtype.time_unit, time_zone=dtype.time_zone).item()
        case _:
            return value


def _check(value: str, info: ValidationInfo) -> str:
    if is_unfilled(value, info):
        return value
    try:
        parse_expression(value)
    except BadSql as error:
        raise refuse("BAD_EXPRESSION", str(error)) from None
    return value


Expression = Annotated[str, AfterValidator(_check)]
"""A field that holds an SQL expression."""
