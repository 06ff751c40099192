"""Pipelines of operations give the same rows as the same work said in SQL to SQLite."""

import sqlite3
from collections.abc import Callable
from typing import Any

import polars as pl
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.agents.data.operations.conftest import apply_all

Row = dict[str, Any]
Move = tuple[dict[str, Any], str]
"""An operation, and the query that does the same to the table `t`; both keep the columns k, a and b."""

TYPES = {"k": "string", "a": "int64", "b": "int64"}
KEYS = st.one_of(st.none(), st.sampled_from(["", "x", "y", "it's", "Ä"]))
NUMBERS = st.one_of(st.none(), st.integers(-20, 20))
ROWS = st.lists(st.fixed_dictionaries({"k": KEYS, "a": NUMBERS, "b": NUMBERS}), max_size=12)

CONDITIONS = ("a > 3", "a = b OR k = 'x'", "k IS NULL", "NOT (a < b)", "a BETWEEN -5 AND 5 AND k <> 'y'", "k LIKE 'i%'")
VALUES = ("a + b", "a * 2 - 1", "COALESCE(a, b, 0)", "CASE WHEN a > b THEN a ELSE b END", "ABS(b)", "0 - a")
BY_ALL: list[Any] = [{"column": "a", "descending": True}, "k", "b"]
BY_ALL_SQL = "ORDER BY a DESC NULLS LAST, k NULLS LAST, b NULLS LAST"


def _head(rows: int, offset: int) -> list[Move]:
    """Only an order makes the first rows the same ones for both."""
    return [
        ({"op": "sort", "by": BY_ALL}, f"SELECT * FROM t {BY_ALL_SQL}"),
        (
            {"op": "limit", "rows": rows, "offset": offset},
            f"SELECT * FROM t {BY_ALL_SQL} LIMIT {rows} OFFSET {offset}",
        ),
    ]


KEEPING: st.SearchStrategy[list[Move]] = st.one_of(
    st.sampled_from(CONDITIONS).map(lambda c: [({"op": "filter", "where": c}, f"SELECT * FROM t WHERE {c}")]),
    st.sampled_from(VALUES).map(lambda v: [({"op": "map", "columns": {"b": v}}, f"SELECT k, a, {v} AS b FROM t")]),
    st.just([({"op": "select", "columns": ["b", "k", "a"]}, "SELECT b, k, a FROM t")]),
    st.just([({"op": "rename", "columns": {"a": "b", "b": "a"}}, "SELECT k, a AS b, b AS a FROM t")]),
    st.just([({"op": "drop_nulls", "columns": ["k", "a"]}, "SELECT * FROM t WHERE k IS NOT NULL AND a IS NOT NULL")]),
    st.just([({"op": "drop_nulls"}, "SELECT * FROM t WHERE k IS NOT NULL AND a IS NOT NULL AND b IS NOT NULL")]),
    st.just([({"op": "fill_null", "value": 7}, "SELECT k, COALESCE(a, 7) AS a, COALESCE(b, 7) AS b FROM t")]),
    st.just([({"op": "fill_null", "columns": ["k"], "value": "?"}, "SELECT COALESCE(k, '?') AS k, a, b FROM t")]),
    st.just([({"op": "unique"}, "SELECT DISTINCT k, a, b FROM t")]),
    st.just(
        [
            (
                {"op": "concat", "with": [{"rows": [{"k": "z", "a": 1, "b": 2}]}]},
                "SELECT k, a, b FROM t UNION ALL SELECT 'z', 1, 2",
            )
        ]
    ),
    st.just(
        [
            (
                {"op": "sql", "query": "SELECT k, MAX(a) AS a, MIN(b) AS b FROM self GROUP BY k"},
                "SELECT k, MAX(a) AS a, MIN(b) AS b FROM t GROUP BY k",
            )
        ]
    ),
    st.builds(_head, st.integers(0, 6), st.integers(0, 3)),
)
OTHER = "(SELECT 'x' AS k, 10 AS n UNION ALL SELECT 'x', 11 UNION ALL SELECT 'w', 12)"
JOINED: dict[str, Any] = {
    "op": "join",
    "with": {"rows": [{"k": "x", "n": 10}, {"k": "x", "n": 11}, {"k": "w", "n": 12}]},
    "on": ["k"],
}
OVER = f"OVER (PARTITION BY k {BY_ALL_SQL} ROWS BETWEEN UNBOUNDED PRECEDING AND CURRENT ROW)"
LAST: st.SearchStrategy[Move] = st.sampled_from(
    [
        ({"op": "select", "columns": ["k", "a", "b"]}, "SELECT k, a, b FROM t"),
        ({"op": "drop", "columns": ["k"]}, "SELECT a, b FROM t"),
        (
            {
                "op": "group",
                "by": ["k"],
                "aggregations": {"n": "COUNT(*)", "s": "SUM(a)", "m": "MAX(b)", "c": "COUNT(b)"},
            },
            "SELECT k, COUNT(*) AS n, SUM(a) AS s, MAX(b) AS m, COUNT(b) AS c FROM t GROUP BY k",
        ),
        (
            {"op": "reduce", "aggregations": {"n": "COUNT(*)", "d": "COUNT(DISTINCT k)", "lo": "MIN(a)"}},
            "SELECT COUNT(*) AS n, COUNT(DISTINCT k) AS d, MIN(a) AS lo FROM t",
        ),
        ({**JOINED, "how": "inner"}, f"SELECT t.*, n FROM t JOIN {OTHER} AS o ON t.k = o.k"),
        ({**JOINED, "how": "left"}, f"SELECT t.*, n FROM t LEFT JOIN {OTHER} AS o ON t.k = o.k"),
        ({**JOINED, "how": "semi"}, f"SELECT * FROM t WHERE k IN (SELECT k FROM {OTHER})"),
        (
            {**JOINED, "how": "anti"},
            f"SELECT * FROM t WHERE NOT EXISTS (SELECT 1 FROM {OTHER} AS o WHERE o.k = t.k)",
        ),
        (
            {**JOINED, "how": "full"},
            f"SELECT COALESCE(t.k, o.k) AS k, a, b, n FROM t FULL JOIN {OTHER} AS o ON t.k = o.k",
        ),
        ({**JOINED, "how": "right"}, f"SELECT t.a, t.b, o.k, n FROM t RIGHT JOIN {OTHER} AS o ON t.k = o.k"),
        (
            {"op": "join", "with": JOINED["with"], "how": "cross"},
            f"SELECT t.*, o.k AS k_right, n FROM t CROSS JOIN {OTHER} AS o",
        ),
        (
            {"op": "concat", "with": [{"rows": [{"a": 1, "z": "q"}]}], "how": "diagonal"},
            "SELECT k, a, b, NULL AS z FROM t UNION ALL SELECT NULL, 1, NULL, 'q'",
        ),
        (
            {"op": "sql", "query": "SELECT DISTINCT k FROM self WHERE a IS NOT NULL"},
            "SELECT DISTINCT k FROM t WHERE a IS NOT NULL",
        ),
        (
            {"op": "unpivot", "index": ["k"], "columns": ["a", "b"]},
            "SELECT k, 'a' AS variable, a AS value FROM t UNION ALL SELECT k, 'b', b FROM t",
        ),
        (
            {
                "op": "pivot",
                "index": ["k"],
                "on": "variable",
                "columns": ["a", "b"],
                "values": "value",
                "aggregate": "max",
            },
            "SELECT k, MAX(a) AS a, MAX(b) AS b FROM t GROUP BY k",
        ),
        (
            {"op": "window", "partitionBy": ["k"], "orderBy": BY_ALL, "columns": {"place": "RANK()"}},
            f"SELECT t.*, RANK() OVER (PARTITION BY k {BY_ALL_SQL}) AS place FROM t",
        ),
    ]
)


@settings(max_examples=300, deadline=None)
@given(rows=ROWS, moves=st.lists(KEEPING, max_size=4), last=LAST)
def test_operations_do_what_the_same_sql_does(rows: list[Row], moves: list[list[Move]], last: Move) -> None:
    steps = [move for group in moves for move in group]
    operations = [operation for operation, _ in steps] + _with_melted(last[0])
    found = apply_all(rows, TYPES, operations)
    expected = in_sqlite(rows, [query for _, query in steps] + [last[1]])
    assert sorted(map(_sortable, found.select(expected.columns).rows())) == sorted(map(_sortable, expected.rows()))
    assert set(found.columns) == set(expected.columns)


def _with_melted(operation: dict[str, Any]) -> list[dict[str, Any]]:
    """A pivot takes what an unpivot gives."""
    melt = {"op": "unpivot", "index": ["k"], "columns": ["a", "b"]}
    return [melt, operation] if operation["op"] == "pivot" else [operation]


def in_sqlite(rows: list[Row], queries: list[str]) -> pl.DataFrame:
    """Each query reads what the one before it gave."""
    connection = sqlite3.connect(":memory:")
    connection.execute("CREATE TABLE t0 (k TEXT, a INTEGER, b INTEGER)")
    connection.executemany("INSERT INTO t0 VALUES (:k, :a, :b)", rows)
    for number, query in enumerate(queries):
        named = query.replace("FROM t", f"FROM t{number} AS t")
        connection.execute(f"CREATE TABLE t{number + 1} AS {named}")
    cursor = connection.execute(f"SELECT * FROM t{len(queries)}")
    names = [column[0] for column in cursor.description]
    return pl.DataFrame(cursor.fetchall(), schema=names, orient="row", infer_schema_length=None)


def _sortable(row: tuple[Any, ...]) -> tuple[tuple[bool, str], ...]:
    return tuple((value is None, str(value)) for value in row)


PLAIN: list[tuple[dict[str, Any], Callable[[pl.LazyFrame], pl.LazyFrame]]] = [
    ({"op": "cast", "columns": {"a": "string"}}, lambda t: t.with_columns(pl.col("a").cast(pl.String))),
    (
        {"op": "fill_null", "columns": ["a"], "strategy": "forward"},
        lambda t: t.with_columns(pl.col("a").forward_fill()),
    ),
    ({"op": "unique", "columns": ["k"], "keep": "last"}, lambda t: t.unique(["k"], keep="last", maintain_order=True)),
    ({"op": "map", "columns": {"m": "a / b"}}, lambda t: t.with_columns(m=pl.sql_expr("a / b"))),
    (
        {"op": "rolling", "index": "i", "period": "3i", "aggregations": {"s": "SUM(a)"}},
        lambda t: t.rolling("i", period="3i").agg(pl.sql_expr("SUM(a)").alias("s")),
    ),
    ({"op": "sample", "fraction": 1.0}, lambda t: t),
]


@settings(max_examples=60, deadline=None)
@given(rows=ROWS, work=st.sampled_from(PLAIN))
def test_operations_do_what_plain_polars_does(
    rows: list[Row], work: tuple[dict[str, Any], Callable[[pl.LazyFrame], pl.LazyFrame]]
) -> None:
    numbered = [{"k": row["k"], "a": row["a"], "b": row["b"], "i": number} for number, row in enumerate(rows)]
    types = {**TYPES, "i": "int64"}
    table = pl.LazyFrame(numbered, schema={"k": pl.String, "a": pl.Int64, "b": pl.Int64, "i": pl.Int64})
    assert apply_all(numbered, types, [work[0]]).equals(work[1](table).collect())


@settings(max_examples=60, deadline=None)
@given(lists=st.lists(st.one_of(st.none(), st.lists(st.integers(0, 9), max_size=3)), max_size=8))
def test_nested_columns_are_taken_apart_row_by_row(lists: list[list[int] | None]) -> None:
    rows = [{"i": number, "o": {"l": items}} for number, items in enumerate(lists)]
    operations: list[dict[str, Any]] = [{"op": "unnest", "columns": ["o"]}, {"op": "explode", "columns": ["l"]}]
    if not any(lists):
        return
    found = apply_all(rows, {}, operations).rows()
    assert found == [
        (number, item) for number, items in enumerate(lists) for item in ([None] if items is None else items)
    ]
