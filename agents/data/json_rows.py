"""Tables as JSON: dates and times as ISO text, decimals as text, bytes as base64, NaN and infinities as null."""

import base64
import datetime as dt
import math
from decimal import Decimal
from typing import Any

import orjson
import polars as pl

PREVIEW_ROWS = 20
MAX_PREVIEW_BYTES = 64 * 1024
MAX_CELL_CHARACTERS = 500
MAX_CELL_ITEMS = 20
_SAFE_INTEGER = 2**63


def json_rows(frame: pl.DataFrame) -> list[dict[str, Any]]:
    """One object per row; whole numbers beyond 64 bits become text."""
    try:
        return _rows(frame)
    except (ValueError, OverflowError):  # times beyond what Python's can hold
        seconds = (
            pl.col(name).dt.total_seconds(fractional=True) for name, kind in frame.schema.items() if _is_span(kind)
        )
        counted = frame.with_columns(seconds)
        return _rows(counted.cast({name: _as_text(kind) for name, kind in counted.schema.items()}))


def _rows(frame: pl.DataFrame) -> list[dict[str, Any]]:
    return [{name: json_value(value) for name, value in row.items()} for row in frame.iter_rows(named=True)]


def _is_span(kind: pl.DataType) -> bool:
    return isinstance(kind, pl.Duration)


def _as_text(kind: pl.DataType) -> pl.DataType:
    """The same type with texts in the place of times."""
    match kind:
        case pl.List():
            return pl.List(_as_text(kind.inner))  # type: ignore[arg-type]  # an instance, as columns have
        case pl.Array():
            return pl.List(_as_text(kind.inner))  # type: ignore[arg-type]
        case pl.Struct():
            return pl.Struct([pl.Field(field.name, _as_text(field.dtype)) for field in kind.fields])  # type: ignore[arg-type]
        case _:
            return pl.String() if kind.is_temporal() else kind


def json_value(value: Any) -> Any:
    """`value` as JSON has it; durations become seconds."""
    match value:
        case None | bool() | str():
            return value
        case int():
            return value if -_SAFE_INTEGER <= value < _SAFE_INTEGER else str(value)
        case float():
            return value if math.isfinite(value) else None
        case dt.datetime() | dt.date() | dt.time():
            return value.isoformat()
        case dt.timedelta():
            return value.total_seconds()
        case Decimal():
            return str(value)
        case bytes():
            return base64.b64encode(value).decode()
        case dict():
            return {str(key): json_value(item) for key, item in value.items()}
        case list() | tuple() | pl.Series():
            return [json_value(item) for item in value]
        case _:
            return str(value)


def json_size(rows: list[dict[str, Any]]) -> int:
    """Bytes of `rows` as UTF-8 JSON."""
    return len(orjson.dumps(rows))


def preview_rows(rows: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """The first 20 rows with long cells cut, fewer if they are still larger than 64 KiB."""
    shown = [{name: _short(value) for name, value in row.items()} for row in rows[:PREVIEW_ROWS]]
    while shown and json_size(shown) > MAX_PREVIEW_BYTES:
        shown = shown[: len(shown) // 2]
    return shown


def _short(value: Any) -> Any:
    if isinstance(value, str) and len(value) > MAX_CELL_CHARACTERS:
        return f"{value[:MAX_CELL_CHARACTERS]}…"
    if isinstance(value, list):
        return [_short(item) for item in value[:MAX_CELL_ITEMS]]
    if isinstance(value, dict):
        return {key: _short(item) for key, item in list(value.items())[:MAX_CELL_ITEMS]}
    return value
