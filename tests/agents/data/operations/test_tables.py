from collections.abc import Callable
from typing import Any

import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st
from polars.testing import assert_frame_equal

from agents.data.failures import ColumnMissing
from agents.data.sql_tokens import BadSql

Apply = Callable[..., pl.DataFrame]

LEFT = [{"k": 1, "l": "a"}, {"k": 2, "l": "b"}, {"k": 2, "l": "c"}]
RIGHT = {"rows": [{"k": 2, "r": "x"}, {"k": 3, "r": "y"}]}
keyed = st.lists(st.fixed_dictionaries({"k": st.integers(0, 5), "v": st.integers(0, 99)}), min_size=1, max_size=20)


@pytest.mark.parametrize(
    ("how", "expected"),
    [
        ("inner", [(2, "b", "x"), (2, "c", "x")]),
        ("left", [(1, "a", None), (2, "b", "x"), (2, "c", "x")]),
        ("full", [(1, "a", None), (2, "b", "x"), (2, "c", "x"), (3, None, "y")]),
        ("right", [(2, "b", "x"), (2, "c", "x"), (3, None, "y")]),
    ],
)
def test_join_kinds(apply: Apply, how: str, expected: list[tuple[Any, ...]]) -> None:
    joined = apply(LEFT, op="join", how=how, on=["k"], **{"with": RIGHT}).select("k", "l", "r")
    assert joined.sort("k", "l").rows() == expected


def test_semi_and_anti_keep_rows_with_and_without_partner(apply: Apply) -> None:
    assert apply(LEFT, op="join", how="semi", on=["k"], **{"with": RIGHT})["l"].sort().to_list() == ["b", "c"]
    assert apply(LEFT, op="join", how="anti", on=["k"], **{"with": RIGHT})["l"].to_list() == ["a"]


@given(left=keyed, right=keyed)
def test_left_join_equals_plain_polars(apply: Apply, left: list[dict[str, int]], right: list[dict[str, int]]) -> None:
    found = apply(left, op="join", how="left", on=["k"], **{"with": {"rows": right}})
    expected = pl.DataFrame(left).join(pl.DataFrame(right), on="k", how="left")
    assert_frame_equal(found, expected, check_row_order=False)


def test_join_can_keep_the_order_of_its_table(apply: Apply) -> None:
    rows = [{"k": key % 7} for key in range(500)]
    other = {"rows": [{"k": key} for key in range(7)]}
    for how in ("inner", "left"):
        assert apply(rows, op="join", how=how, on=["k"], maintainOrder=True, **{"with": other}).to_dicts() == rows


def test_join_with_names_that_differ_and_a_suffix(apply: Apply) -> None:
    other = {"rows": [{"id": 2, "l": "other"}]}
    joined = apply(LEFT, op="join", leftOn=["k"], rightOn=["id"], suffix="_2", **{"with": other})
    assert joined.columns == ["k", "l", "l_2"]


def test_cross_join(apply: Apply) -> None:
    assert apply(LEFT, op="join", how="cross", **{"with": RIGHT}).height == 6


def test_join_says_which_side_lacks_the_key(apply: Apply) -> None:
    with pytest.raises(ColumnMissing, match="there are: k, r"):
        apply(LEFT, op="join", leftOn=["k"], rightOn=["z"], **{"with": RIGHT})


def test_join_can_insist_on_single_partners(apply: Apply) -> None:
    with pytest.raises(pl.exceptions.PolarsError, match="1:1"):
        apply(LEFT, op="join", on=["k"], validate="1:1", **{"with": RIGHT})


def test_concat_below_and_beside(apply: Apply) -> None:
    more = [{"rows": [{"k": 9, "l": "z"}]}]
    assert apply(LEFT, op="concat", **{"with": more})["k"].to_list() == [1, 2, 2, 9]
    diagonal = apply(LEFT, op="concat", how="diagonal", **{"with": [RIGHT]})
    assert diagonal.columns == ["k", "l", "r"]
    beside = apply(LEFT, op="concat", how="horizontal", **{"with": [{"rows": [{"n": 1}, {"n": 2}, {"n": 3}]}]})
    assert beside.columns == ["k", "l", "n"]


def test_concat_of_different_types_only_when_relaxed(apply: Apply) -> None:
    floats = [{"rows": [{"k": 0.5, "l": "z"}]}]
    with pytest.raises(pl.exceptions.PolarsError):
        apply(LEFT, op="concat", **{"with": floats})
    assert apply(LEFT, op="concat", relaxed=True, **{"with": floats})["k"].to_list() == [1.0, 2.0, 2.0, 0.5]
    assert apply(LEFT, op="concat", relaxed=True, how="diagonal", **{"with": floats}).height == 4


def test_sql_reads_self_and_the_tables_given(apply: Apply) -> None:
    query = "SELECT s.l, o.r FROM self AS s JOIN other AS o ON s.k = o.k WHERE s.l <> 'c'"
    assert apply(LEFT, op="sql", query=query, **{"with": {"other": RIGHT}}).rows() == [("b", "x")]


def test_sql_knows_the_types_that_expressions_do_not(apply: Apply) -> None:
    table = pl.DataFrame({"at": ["2013-01-01T10:30:00"]}).with_columns(pl.col("at").str.to_datetime())
    found = apply(table, op="sql", query="SELECT DATE_TRUNC('hour', at) AS hour FROM self")
    assert found["hour"].item().minute == 0


def test_sql_is_checked_again_when_it_runs(apply: Apply, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("agents.data.operations.tables.is_unfilled", lambda value, info: True)
    with pytest.raises(BadSql, match="read_csv"):
        apply(LEFT, op="sql", query="SELECT * FROM read_csv('/etc/passwd')")
