"""Each operation, source, sink and check of a config fails with the place that it has there and what to change.

The tables below are held against the config's own lists: a new kind needs its line.
"""

from pathlib import Path
from typing import Any, get_args

import pytest

from agents.data.formats import FORMATS
from agents.data.operations import AnyOperation
from agents.data.quality import CHECK_NAMES
from agents.data.sinks import SINK_KINDS
from agents.data.sources import SOURCE_KINDS
from agents.egress.policy import EgressPolicy
from agents.errors import AgentError
from tests.agents.data.conftest import Run

ROWS = [{"a": 1, "b": "x", "l": [1], "o": {"p": 1}}]
MISSING = r'column "z" not found; there are: a, b, l, o'
OPERATIONS: list[tuple[dict[str, Any], str]] = [
    ({"op": "filter", "where": "z > 1"}, MISSING),
    ({"op": "select", "columns": ["z"]}, MISSING),
    ({"op": "drop", "columns": ["z"]}, MISSING),
    ({"op": "rename", "columns": {"z": "y"}}, MISSING),
    ({"op": "cast", "columns": {"z": "int64"}}, MISSING),
    ({"op": "map", "columns": {"y": "z"}}, MISSING),
    ({"op": "fill_null", "columns": ["z"], "value": 1}, MISSING),
    ({"op": "fill_null", "columns": ["b"], "value": 1}, 'column "b" has the type String, which cannot hold 1'),
    ({"op": "drop_nulls", "columns": ["z"]}, MISSING),
    ({"op": "unique", "columns": ["z"]}, MISSING),
    ({"op": "sort", "by": ["z"]}, MISSING),
    ({"op": "explode", "columns": ["z"]}, MISSING),
    ({"op": "explode", "columns": ["a"]}, 'column "a" holds no lists but Int64'),
    ({"op": "unnest", "columns": ["z"]}, MISSING),
    ({"op": "join", "with": {"rows": [{"a": 1}]}, "on": ["z"]}, MISSING),
    ({"op": "join", "with": {"rows": [{"c": 1}]}, "on": ["a"]}, r'column "a" not found; there are: c'),
    ({"op": "join", "with": {"rows": [{"a": 1}, {"a": 1}]}, "on": ["a"], "validate": "1:1"}, "join keys"),
    ({"op": "concat", "with": [{"rows": [{"c": 1}]}]}, "concat"),
    ({"op": "group", "by": ["z"], "aggregations": {"n": "COUNT(*)"}}, MISSING),
    ({"op": "pivot", "index": ["a"], "on": "z", "columns": ["x"], "values": "b"}, MISSING),
    (
        {"op": "pivot", "index": ["a"], "on": "b", "columns": [str(n) for n in range(2_501)], "values": ["a", "b"]},
        "it would make 5002 columns; at most 5000",
    ),
    ({"op": "unpivot", "columns": ["z"]}, MISSING),
    ({"op": "window", "partitionBy": ["z"], "columns": {"n": "COUNT(*)"}}, MISSING),
    ({"op": "rolling", "index": "z", "period": "2i", "aggregations": {"n": "COUNT(*)"}}, MISSING),
    ({"op": "reduce", "aggregations": {"s": "SUM(z)"}}, MISSING),
    ({"op": "sql", "query": "SELECT z FROM self"}, "z"),
]
NEVER = {"limit", "sample"}
"""What fits any table."""


def kinds(union: Any) -> set[str]:
    """The values of `op` or `check` in a union of models."""
    (models, *_) = get_args(union)
    return {get_args(model.model_fields["op"].annotation)[0] for model in get_args(models)}


@pytest.mark.parametrize(
    ("operation", "message"), OPERATIONS, ids=lambda value: value.get("op", "") if isinstance(value, dict) else ""
)
async def test_an_operation_says_what_does_not_fit(run: Run, operation: dict[str, Any], message: str) -> None:
    operations = [{"op": "limit", "rows": 9}, operation]
    with pytest.raises(AgentError, match=rf"^operations\[1\] \({operation['op']}\): .*{message}") as caught:
        await run({"source": {"rows": ROWS}, "operations": operations})
    assert caught.value.path == "operations[1]"
    assert "Resolved plan" not in caught.value.message


def test_all_operations_are_tried() -> None:
    assert {operation["op"] for operation, _ in OPERATIONS} | NEVER == kinds(AnyOperation)
    assert len(kinds(AnyOperation)) == 23


@pytest.mark.parametrize("kind", FORMATS)
async def test_a_file_that_is_something_else_is_told_by_its_source(run: Run, data_root: Path, kind: str) -> None:
    (data_root / "t").write_bytes(b'\xff\xfe{"a": \x00 ,,,\n"\n1,2\n')
    with pytest.raises(AgentError, match=r"^source: ") as caught:
        await run({"source": {"path": "t", "format": kind, "types": {"z": "int64"}}, "operations": []})
    assert caught.value.path == "source"
    assert str(data_root) not in caught.value.message


SOURCES: list[tuple[dict[str, Any], str]] = [
    ({"rows": [1]}, "row 0 is no JSON object"),
    ({"input": "nothing"}, 'the agent has no input "nothing"; there are: none'),
    ({"path": "missing.csv"}, "no file matches 'missing.csv'"),
    ({"url": "http://127.0.0.1:1/t.csv"}, "may not be reached"),
    ({"database": "sqlite:///missing.db", "query": "SELECT 1"}, "no file matches 'missing.db'"),
]


@pytest.mark.parametrize(("source", "message"), SOURCES)
async def test_a_source_says_what_is_wrong_and_where(run: Run, source: dict[str, Any], message: str) -> None:
    assert EgressPolicy().allow == ()
    with pytest.raises(AgentError, match=message) as caught:
        await run({"source": source, "operations": []})
    assert str(caught.value.path).startswith("source")
    joined = {"op": "join", "with": source, "how": "cross"}
    with pytest.raises(AgentError, match=message) as caught:
        await run({"source": {"rows": ROWS}, "operations": [joined]})
    assert str(caught.value.path).startswith("operations[0].with")


SINKS: list[tuple[dict[str, Any], str]] = [
    ({"path": "../t.csv"}, r'without "\.\."'),
    ({"path": "t.csv", "ifExists": "fail"}, "'t.csv' exists; choose another path"),
    ({"url": "http://127.0.0.1:1/t.parquet"}, "may not be reached"),
    ({"database": "sqlite:///t.db", "table": "t", "ifExists": "fail"}, "t"),
]


@pytest.mark.parametrize(("sink", "message"), SINKS)
async def test_a_sink_says_what_is_wrong_and_where(
    run: Run, data_root: Path, sink: dict[str, Any], message: str
) -> None:
    (data_root / "t.csv").touch()
    first = {"source": {"rows": [{"a": 1}]}, "operations": [], "sink": {"database": "sqlite:///t.db", "table": "t"}}
    await run(first)
    with pytest.raises(AgentError, match=message) as caught:
        await run({**first, "sink": sink})
    assert str(caught.value.path).startswith("sink")


@pytest.mark.parametrize(
    ("rows", "operations", "message"),
    [
        ([{"a": 2**70}], [], "too large"),
        ([{"a": 2**62}], [{"op": "cast", "columns": {"a": "datetime"}}], "out of range"),
        ([{"a": 1, "A": 2}], [], "duplicate column name"),
        ([], [], '"types" gives empty rows columns'),
    ],
)
async def test_what_no_database_takes_is_told_by_the_sink(
    run: Run, rows: list[Any], operations: list[Any], message: str
) -> None:
    sink = {"database": "sqlite:///t.db", "table": "t"}
    with pytest.raises(AgentError, match=rf"^sink: .*{message}") as caught:
        await run({"source": {"rows": rows}, "operations": operations, "sink": sink})
    assert str(caught.value.path).startswith("sink")


def test_all_sources_and_sinks_are_tried() -> None:
    assert [next(iter(source)) for source, _ in SOURCES] == list(SOURCE_KINDS)
    assert {next(iter(sink)) for sink, _ in SINKS} == set(SINK_KINDS)


CHECKS: list[tuple[dict[str, Any], str]] = [
    ({"check": "not_null", "columns": ["n"]}, r"checks\[0\] \(not_null of n\): 1 row"),
    ({"check": "unique", "columns": ["a"]}, r"checks\[0\] \(unique of a\): 1 row"),
    ({"check": "in_range", "column": "a", "max": 0}, r"checks\[0\] \(in_range of a\): 2 row"),
    ({"check": "accepted_values", "column": "a", "values": [5]}, r"checks\[0\] \(accepted_values of a\): 2 row"),
    ({"check": "row_count", "min": 3}, r"checks\[0\] \(row_count\): 1 row"),
    ({"check": "expression", "expression": "a > 1"}, r"checks\[0\] \(expression\): 2 row"),
]


@pytest.mark.parametrize(("check", "message"), CHECKS)
async def test_a_check_says_how_many_rows_break_it(run: Run, check: dict[str, Any], message: str) -> None:
    config = {"source": {"rows": [{"a": 1, "n": 1}, {"a": 1, "n": None}]}, "operations": []}
    with pytest.raises(AgentError, match=message) as caught:
        await run({**config, "checks": [check]})
    assert caught.value.path == "checks"
    assert [record["passed"] for record in caught.value.details["checks"]] == [False]


def test_all_checks_are_tried() -> None:
    assert [check["check"] for check, _ in CHECKS] == list(CHECK_NAMES)
