"""Conversions between column types, text included."""

import polars as pl

TRUE_TEXTS = ("true", "t", "yes", "y", "1")
FALSE_TEXTS = ("false", "f", "no", "n", "0")
_ZONE_MARKS = ("%z", "%:z", "%#z", "%+")


def cast_expression(
    name: str, source: pl.DataType, target: pl.DataType, *, text_format: str | None = None, strict: bool = True
) -> pl.Expr:
    """Column `name` of type `source` as `target`.

    A value that does not fit raises when the query runs, or becomes null unless `strict`. `text_format` matters only
    between text and dates or times.
    """
    column = pl.col(name)
    if source == pl.String():
        return _from_text(column, target, text_format, strict=strict)
    if target == pl.String() and source.is_temporal() and text_format is not None:
        return column.dt.to_string(text_format)
    return column.cast(target, strict=strict)


def _from_text(column: pl.Expr, target: pl.DataType, text_format: str | None, *, strict: bool) -> pl.Expr:
    match target:
        case pl.Datetime():
            return _text_to_datetime(column, target, text_format, strict=strict)
        case pl.Date():
            return column.str.to_date(text_format, strict=strict)
        case pl.Time():
            return column.str.to_time(text_format, strict=strict)
        case pl.Boolean():
            return _text_to_boolean(column, strict=strict)
        case _:
            return column.cast(target, strict=strict)


def _text_to_datetime(column: pl.Expr, target: pl.Datetime, text_format: str | None, *, strict: bool) -> pl.Expr:
    """Text with an offset is converted to the target's zone, to UTC for a target without one; other text is local."""
    reads_zone = text_format is None or any(mark in text_format for mark in _ZONE_MARKS)
    zone = target.time_zone or ("UTC" if reads_zone else None)
    parsed = column.str.to_datetime(text_format, time_unit=target.time_unit, time_zone=zone, strict=strict)
    return parsed if target.time_zone or not reads_zone else parsed.dt.replace_time_zone(None)


def _text_to_boolean(column: pl.Expr, *, strict: bool) -> pl.Expr:
    """Polars has no cast for this."""
    words = column.str.strip_chars().str.to_lowercase()
    texts = {**dict.fromkeys(TRUE_TEXTS, True), **dict.fromkeys(FALSE_TEXTS, False)}
    if strict:
        return words.replace_strict(texts, return_dtype=pl.Boolean())
    return words.replace_strict(texts, default=None, return_dtype=pl.Boolean())
