import datetime as dt
from collections.abc import Callable
from typing import Any

import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st

from agents.data.failures import ColumnMissing, OperationRefused

Apply = Callable[..., pl.DataFrame]

ROWS = [{"a": 1, "b": "x", "c": 2.5}, {"a": 2, "b": None, "c": None}]


def test_select_and_drop_and_rename(apply: Apply) -> None:
    assert apply(ROWS, op="select", columns=["c", "a"]).columns == ["c", "a"]
    assert apply(ROWS, op="drop", columns=["b"]).columns == ["a", "c"]
    assert apply(ROWS, op="rename", columns={"a": "id"}).columns == ["id", "b", "c"]


def test_select_takes_names_literally(apply: Apply) -> None:
    with pytest.raises(ColumnMissing):
        apply(ROWS, op="select", columns=["^.*$"])
    assert apply([{"^a$": 1, "a": 2}], op="drop", columns=["^a$"]).columns == ["a"]


@pytest.mark.parametrize(
    "operation",
    [
        {"op": "select", "columns": ["aa"]},
        {"op": "drop", "columns": ["aa"]},
        {"op": "rename", "columns": {"aa": "x"}},
        {"op": "cast", "columns": {"aa": "string"}},
        {"op": "map", "columns": {"x": "aa + 1"}},
        {"op": "fill_null", "columns": ["aa"], "value": 1},
        {"op": "explode", "columns": ["aa"]},
        {"op": "unnest", "columns": ["aa"]},
    ],
)
def test_every_operation_names_a_column_that_is_missing(apply: Apply, operation: dict[str, Any]) -> None:
    with pytest.raises(ColumnMissing, match='"aa" not found; there are: a, b, c'):
        apply(ROWS, **operation)


def test_map_sees_the_columns_as_they_were(apply: Apply) -> None:
    mapped = apply([{"a": 1, "b": 10}], op="map", columns={"a": "b", "b": "a", "sum": "a + b"})
    assert mapped.to_dicts() == [{"a": 10, "b": 1, "sum": 11}]


@given(values=st.lists(st.none() | st.integers(-(10**6), 10**6), min_size=1))
def test_map_equals_plain_polars(apply: Apply, values: list[int | None]) -> None:
    table = pl.DataFrame({"v": values}, schema={"v": pl.Int64})
    found = apply(table, op="map", columns={"w": "CASE WHEN v > 0 THEN v * 2 ELSE 0 END"})["w"].to_list()
    assert found == [value * 2 if value is not None and value > 0 else 0 for value in values]


@pytest.mark.parametrize(
    ("text", "kind", "expected"),
    [
        ("2013-01-01T10:00:00Z", "datetime", dt.datetime.fromisoformat("2013-01-01T10:00")),
        ("2013-01-01T10:00:00+02:00", "datetime", dt.datetime.fromisoformat("2013-01-01T08:00")),
        ("2013-01-01 10:00:00", "datetime", dt.datetime.fromisoformat("2013-01-01T10:00")),
        ("2013-01-01", "date", dt.date(2013, 1, 1)),
        ("10:30:00", "time", dt.time(10, 30)),
        ("12", "int64", 12),
        ("1.5", "float64", 1.5),
        ("Yes", "boolean", True),
        ("0", "bool", False),
        ("7", "text", "7"),
    ],
)
def test_cast_reads_text(apply: Apply, text: str, kind: str, expected: object) -> None:
    assert apply([{"v": text}], op="cast", columns={"v": kind})["v"].to_list() == [expected]


def test_cast_keeps_the_zone_that_was_asked_for(apply: Apply) -> None:
    cast = apply([{"v": "2013-07-01T10:00:00Z"}], op="cast", columns={"v": "datetime[ms, Europe/Berlin]"})
    assert cast["v"].dtype == pl.Datetime("ms", "Europe/Berlin")
    assert cast["v"].item().hour == 12


def test_cast_with_a_format_both_ways(apply: Apply) -> None:
    dates = apply([{"v": "31.12.2013"}], op="cast", columns={"v": {"type": "date", "format": "%d.%m.%Y"}})
    assert dates["v"].item() == dt.date(2013, 12, 31)
    texts = apply(dates, op="cast", columns={"v": {"type": "string", "format": "%Y/%m"}})
    assert texts["v"].item() == "2013/12"


@pytest.mark.parametrize("kind", ["int64", "date", "datetime", "time", "boolean"])
def test_cast_of_what_does_not_fit_fails_or_gives_null(apply: Apply, kind: str) -> None:
    rows = [{"v": "nonsense"}]
    with pytest.raises(pl.exceptions.PolarsError):
        apply(rows, op="cast", columns={"v": kind})
    assert apply(rows, op="cast", columns={"v": kind}, strict=False)["v"].to_list() == [None]


def test_fill_null_with_a_value_fills_what_can_hold_it(apply: Apply) -> None:
    assert apply(ROWS, op="fill_null", value=0).to_dicts()[1] == {"a": 2, "b": None, "c": 0.0}
    assert apply(ROWS, op="fill_null", columns=["b"], value="?")["b"].to_list() == ["x", "?"]


def test_fill_null_refuses_a_value_of_another_kind(apply: Apply) -> None:
    with pytest.raises(OperationRefused, match='column "c" has the type Float64'):
        apply(ROWS, op="fill_null", columns=["c"], value="none")


def test_fill_null_by_strategy(apply: Apply) -> None:
    rows = [{"v": 1}, {"v": None}, {"v": 3}]
    assert apply(rows, op="fill_null", strategy="forward")["v"].to_list() == [1, 1, 3]
    assert apply(rows, op="fill_null", strategy="max", columns=["v"])["v"].to_list() == [1, 3, 3]


def test_explode_gives_a_row_per_element(apply: Apply) -> None:
    exploded = apply([{"k": 1, "v": [1, 2]}, {"k": 2, "v": [3]}], op="explode", columns=["v"])
    assert exploded.rows() == [(1, 1), (1, 2), (2, 3)]
    with pytest.raises(OperationRefused, match='"k" holds no lists'):
        apply([{"k": 1}], op="explode", columns=["k"])


def test_unnest_gives_a_column_per_field(apply: Apply) -> None:
    rows = [{"at": {"lat": 1.0, "lon": 2.0}}]
    assert apply(rows, op="unnest", columns=["at"]).columns == ["lat", "lon"]
    assert apply(rows, op="unnest", columns=["at"], separator="_").columns == ["at_lat", "at_lon"]
