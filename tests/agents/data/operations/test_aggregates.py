from collections.abc import Callable

import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st
from polars.testing import assert_frame_equal

from agents.data.failures import ColumnMissing

Apply = Callable[..., pl.DataFrame]

tables = st.lists(
    st.fixed_dictionaries({"key": st.sampled_from("abc"), "value": st.none() | st.integers(-50, 50)}), min_size=1
).map(lambda rows: pl.DataFrame(rows, schema={"key": pl.String, "value": pl.Int64}))


@given(table=tables)
def test_group_equals_plain_polars(apply: Apply, table: pl.DataFrame) -> None:
    found = apply(
        table,
        op="group",
        by=["key"],
        aggregations={"mean": "AVG(value)", "rows": "COUNT(*)", "known": "COUNT(value)", "top": "MAX(value)"},
    )
    expected = table.group_by("key").agg(
        mean=pl.col("value").mean(),
        rows=pl.len().cast(pl.Int64),
        known=pl.col("value").count().cast(pl.Int64),
        top=pl.col("value").max(),
    )
    assert_frame_equal(found, expected, check_row_order=False, check_dtypes=False)


@given(table=tables)
def test_reduce_gives_one_row(apply: Apply, table: pl.DataFrame) -> None:
    found = apply(table, op="reduce", aggregations={"n": "COUNT(*)", "low": "MIN(value)"})
    assert found.rows() == [(table.height, table["value"].min())]


def test_group_can_keep_the_order_of_first_rows(apply: Apply) -> None:
    rows = [{"k": key} for key in "zyxzyx"]
    found = apply(rows, op="group", by=["k"], aggregations={"n": "COUNT(*)"}, maintainOrder=True)
    assert found["k"].to_list() == ["z", "y", "x"]


def test_group_names_a_missing_column(apply: Apply) -> None:
    with pytest.raises(ColumnMissing, match='"z" not found'):
        apply([{"k": 1}], op="group", by=["z"], aggregations={"n": "COUNT(*)"})
    with pytest.raises(ColumnMissing, match='"z" not found'):
        apply([{"k": 1}], op="group", by=["k"], aggregations={"n": "SUM(z)"})


def test_pivot_has_the_columns_named_in_advance(apply: Apply) -> None:
    rows = [
        {"dest": "MIA", "origin": "JFK", "delay": 10},
        {"dest": "MIA", "origin": "JFK", "delay": 20},
        {"dest": "MIA", "origin": "EWR", "delay": 5},
        {"dest": "BOS", "origin": "LGA", "delay": 1},
    ]
    found = apply(
        rows, op="pivot", index=["dest"], on="origin", columns=["JFK", "EWR", "XXX"], values="delay", aggregate="mean"
    )
    assert found.to_dicts() == [
        {"dest": "MIA", "JFK": 15.0, "EWR": 5.0, "XXX": None},
        {"dest": "BOS", "JFK": None, "EWR": None, "XXX": None},
    ]


def test_unpivot_gives_a_row_per_cell(apply: Apply) -> None:
    rows = [{"dest": "MIA", "JFK": 1, "EWR": 2}]
    found = apply(rows, op="unpivot", index=["dest"], variableName="origin", valueName="delay")
    assert found.rows() == [("MIA", "JFK", 1), ("MIA", "EWR", 2)]


@pytest.mark.parametrize("sum_of", ["SUM(a)", "SUM(CASE WHEN k = 1 THEN a ELSE a END)", "SUM(a) + SUM(f)"])
def test_sums_of_narrow_numbers_do_not_overflow(apply: Apply, sum_of: str) -> None:
    largest = 2**31 - 1
    narrow = pl.DataFrame({"k": [1, 1], "a": [largest, largest], "f": [0.0, 0.0]}).cast({"a": pl.Int32})
    for operation in ({"op": "group", "by": ["k"]}, {"op": "reduce"}):
        found = apply(narrow, **operation, aggregations={"s": sum_of, "low": "MIN(a)"})
        assert found["s"].to_list() == [2 * largest]
        assert found["low"].dtype == pl.Int32()
    over = apply(narrow, op="window", partitionBy=["k"], columns={"s": "SUM(a)"})
    assert over["s"].to_list() == [2 * largest] * 2
