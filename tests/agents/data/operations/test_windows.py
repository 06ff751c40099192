import datetime as dt
from collections.abc import Callable
from typing import Any

import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st

from agents.data.failures import ColumnMissing, OperationRefused

Apply = Callable[..., pl.DataFrame]

ROWS: list[dict[str, Any]] = [
    {"origin": "JFK", "delay": 3, "day": 1},
    {"origin": "JFK", "delay": 9, "day": 2},
    {"origin": "JFK", "delay": 9, "day": 3},
    {"origin": "EWR", "delay": None, "day": 1},
    {"origin": "EWR", "delay": 1, "day": 2},
]
BY_DELAY: list[dict[str, Any]] = [{"column": "delay", "descending": True}]


@pytest.mark.parametrize(
    ("call", "expected"),
    [("RANK()", [3, 1, 1, 2, 1]), ("DENSE_RANK()", [2, 1, 1, 2, 1])],
)
def test_window_ranks_within_partitions_and_keeps_rows_in_place(apply: Apply, call: str, expected: list[int]) -> None:
    found = apply(ROWS, op="window", partitionBy=["origin"], orderBy=BY_DELAY, columns={"place": call})
    assert found["place"].to_list() == expected
    assert found["day"].to_list() == [row["day"] for row in ROWS]


def test_window_breaks_ties_by_the_next_key(apply: Apply) -> None:
    order = [*BY_DELAY, {"column": "day", "descending": True}]
    found = apply(ROWS, op="window", partitionBy=["origin"], orderBy=order, columns={"n": "ROW_NUMBER()"})
    assert found["n"].to_list() == [3, 2, 1, 2, 1]


def test_window_without_partition_is_the_whole_table(apply: Apply) -> None:
    found = apply(ROWS, op="window", columns={"most": "MAX(delay)"})
    assert found["most"].to_list() == [9] * 5


def test_window_looks_back(apply: Apply) -> None:
    found = apply(ROWS, op="window", partitionBy=["origin"], orderBy=["day"], columns={"before": "LAG(delay, 1)"})
    assert found["before"].to_list() == [None, 3, 9, None, None]


@given(values=st.lists(st.integers(-20, 20), min_size=1, max_size=40))
def test_window_running_sum_equals_plain_polars(apply: Apply, values: list[int]) -> None:
    table = pl.DataFrame({"at": range(len(values)), "v": values})
    found = apply(table, op="window", orderBy=["at"], columns={"total": "SUM(v)"})
    assert found["total"].to_list() == table["v"].cum_sum().to_list()


def test_window_quotes_names(apply: Apply) -> None:
    rows = [{'a "b"; --': 1, "v": 2}, {'a "b"; --': 1, "v": 3}]
    found = apply(rows, op="window", partitionBy=['a "b"; --'], columns={"sum": "SUM(v)"})
    assert found["sum"].to_list() == [5, 5]


def test_window_names_missing_columns(apply: Apply) -> None:
    with pytest.raises(ColumnMissing, match='"z"'):
        apply(ROWS, op="window", partitionBy=["z"], columns={"n": "COUNT(*)"})
    with pytest.raises(ColumnMissing, match='"z"'):
        apply(ROWS, op="window", orderBy=["z"], columns={"n": "RANK()"})


def test_rolling_over_time_per_group(apply: Apply) -> None:
    start = dt.datetime.fromisoformat("2013-01-01")
    rows = [{"at": start + dt.timedelta(hours=hour), "o": o, "v": hour} for o in "ab" for hour in (2, 0, 1)]
    found = apply(rows, op="rolling", index="at", period="2h", by=["o"], aggregations={"sum": "SUM(v)"})
    assert found.columns == ["o", "at", "sum"]
    assert found["sum"].to_list() == [0, 1, 3, 0, 1, 3]


def test_rolling_over_numbers(apply: Apply) -> None:
    found = apply([{"n": 3}, {"n": 1}, {"n": 2}], op="rolling", index="n", period="2i", aggregations={"s": "SUM(n)"})
    assert found.rows() == [(1, 1), (2, 3), (3, 5)]


def test_rolling_wants_an_index_that_can_be_measured(apply: Apply) -> None:
    with pytest.raises(OperationRefused, match='"at" is String: cast it first'):
        apply([{"at": "2013-01-01"}], op="rolling", index="at", period="2h", aggregations={"n": "COUNT(*)"})
