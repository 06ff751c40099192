from collections.abc import Callable

import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st
from polars.testing import assert_frame_equal

from agents.data.failures import ColumnMissing

Apply = Callable[..., pl.DataFrame]

FLIGHTS = [
    {"carrier": "UA", "delay": 20},
    {"carrier": "AA", "delay": None},
    {"carrier": "UA", "delay": -3},
    {"carrier": "B6", "delay": 20},
]
tables = st.lists(
    st.fixed_dictionaries({"key": st.sampled_from("abc"), "value": st.none() | st.integers(-50, 50)}), min_size=1
).map(lambda rows: pl.DataFrame(rows, schema={"key": pl.String, "value": pl.Int64}))


def test_filter_keeps_rows_for_which_the_condition_is_true(apply: Apply) -> None:
    kept = apply(FLIGHTS, op="filter", where="delay > 15 AND carrier = 'UA'")
    assert kept.to_dicts() == [{"carrier": "UA", "delay": 20}]


@given(table=tables, bound=st.integers(-60, 60))
def test_filter_equals_plain_polars(apply: Apply, table: pl.DataFrame, bound: int) -> None:
    found = apply(table, op="filter", where=f"value >= {bound} OR key = 'a'")
    assert_frame_equal(found, table.filter((pl.col("value") >= bound) | (pl.col("key") == "a")))


def test_filter_on_an_unknown_column_names_those_that_there_are(apply: Apply) -> None:
    with pytest.raises(ColumnMissing, match='column "dely" not found; there are: carrier, delay') as caught:
        apply(FLIGHTS, op="filter", where="dely > 1")
    assert caught.value.hint == 'did you mean "delay"?'


def test_drop_nulls_looks_at_the_named_columns_only(apply: Apply) -> None:
    rows = [{"a": 1, "b": None}, {"a": None, "b": 2}]
    assert apply(rows, op="drop_nulls", columns=["a"]).to_dicts() == [{"a": 1, "b": None}]
    assert apply(rows, op="drop_nulls").height == 0


@pytest.mark.parametrize(("keep", "expected"), [("first", [1, 3]), ("last", [2, 3]), ("none", [3])])
def test_unique_keeps_the_row_asked_for(apply: Apply, keep: str, expected: list[int]) -> None:
    rows = [{"k": "x", "v": 1}, {"k": "x", "v": 2}, {"k": "y", "v": 3}]
    assert apply(rows, op="unique", columns=["k"], keep=keep)["v"].to_list() == expected


@given(table=tables, descending=st.booleans(), nulls_last=st.booleans())
def test_sort_equals_plain_polars(apply: Apply, table: pl.DataFrame, descending: bool, nulls_last: bool) -> None:
    found = apply(table, op="sort", by=[{"column": "value", "descending": descending}, "key"], nullsLast=nulls_last)
    expected = table.sort("value", "key", descending=[descending, False], nulls_last=nulls_last, maintain_order=True)
    assert_frame_equal(found, expected)


def test_sort_takes_expressions(apply: Apply) -> None:
    rows = [{"v": -5}, {"v": 1}, {"v": 3}]
    assert apply(rows, op="sort", by=[{"expression": "ABS(v)"}])["v"].to_list() == [1, 3, -5]


def test_limit_counts_from_the_offset(apply: Apply) -> None:
    assert apply(FLIGHTS, op="limit", rows=2, offset=1)["carrier"].to_list() == ["AA", "UA"]


@given(size=st.integers(0, 60), wanted=st.integers(0, 80), seed=st.integers(0, 1000))
def test_sample_gives_distinct_rows_in_order_and_the_same_for_a_seed(
    apply: Apply, size: int, wanted: int, seed: int
) -> None:
    table = pl.DataFrame({"n": range(size)}, schema={"n": pl.Int64})
    first = apply(table, op="sample", rows=wanted, seed=seed)["n"].to_list()
    assert len(first) == min(size, wanted)
    assert first == sorted(set(first))
    assert first == apply(table, op="sample", rows=wanted, seed=seed)["n"].to_list()


def test_sample_by_fraction(apply: Apply) -> None:
    table = pl.DataFrame({"n": range(200)})
    assert apply(table, op="sample", fraction=0.25).height == 50
