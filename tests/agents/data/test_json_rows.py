import datetime as dt
import json
from decimal import Decimal
from typing import Any

import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st
from polars.testing.parametric import dataframes

from agents.data.json_rows import MAX_PREVIEW_BYTES, json_rows, json_size, json_value, preview_rows


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        (None, None),
        (True, True),
        (2**63, "9223372036854775808"),
        (-(2**63), -(2**63)),
        (float("nan"), None),
        (float("-inf"), None),
        (Decimal("1.10"), "1.10"),
        (b"\x00\xff", "AP8="),
        (dt.date(2013, 1, 1), "2013-01-01"),
        (dt.datetime(2013, 1, 1, 5, tzinfo=dt.UTC), "2013-01-01T05:00:00+00:00"),
        (dt.time(5, 30), "05:30:00"),
        (dt.timedelta(minutes=2), 120.0),
        ({"a": [float("nan"), b"x"]}, {"a": [None, "eA=="]}),
    ],
)
def test_values_become_json(value: Any, expected: Any) -> None:
    assert json_value(value) == expected


@given(frame=dataframes(max_size=5, excluded_dtypes=[pl.Object]))
def test_any_table_becomes_json(frame: pl.DataFrame) -> None:
    rows = json_rows(frame)
    assert len(rows) == frame.height
    assert json.loads(json.dumps(rows, allow_nan=False)) == rows
    assert json_size(rows) > 0


@given(count=st.integers(0, 50), width=st.integers(1, 40), length=st.integers(0, 2_000))
def test_a_preview_is_bounded(count: int, width: int, length: int) -> None:
    rows = [{f"c{column}": "x" * length for column in range(width)} for _ in range(count)]
    shown = preview_rows(rows)
    assert len(shown) <= 20
    assert json_size(shown) <= MAX_PREVIEW_BYTES
    assert bool(shown) == bool(rows)


def test_a_preview_cuts_long_cells_of_any_kind() -> None:
    (shown,) = preview_rows([{"text": "x" * 900, "list": list(range(100)), "object": {"text": "y" * 900}}])
    assert shown["text"] == "x" * 500 + "…"
    assert shown["list"] == list(range(20))
    assert len(shown["object"]["text"]) == 501


@pytest.mark.parametrize("kind", [pl.Date(), pl.Datetime("us"), pl.Datetime("ms", "UTC")])
def test_times_beyond_those_of_python_are_texts(kind: pl.DataType) -> None:
    number = {"Date": 4_000_000, "us": 2**60, "ms": 2**50}[getattr(kind, "time_unit", "Date")]
    column = pl.Series("t", [number]).cast(kind)
    nested = pl.DataFrame([column, column.implode().alias("list"), column.to_frame().to_struct("object")])
    (row,) = json_rows(nested)
    assert int(row["t"].partition("-")[0].lstrip("+")) > 9_999
    assert (row["list"], row["object"]) == ([row["t"]], {"t": row["t"]})


def test_durations_beyond_those_of_python_are_seconds_as_ever() -> None:
    frame = pl.DataFrame({"d": pl.Series([2**62]).cast(pl.Duration("ms"))})
    assert json_rows(frame) == [{"d": 2**62 / 1_000}]
