"""What Prefect shows of a DATA step's rows."""

import json
from typing import Any

import pytest

from flows.runtime.preview_table import preview_table


def rows_of(output: dict[str, Any]) -> list[dict[str, Any]]:
    table = preview_table(output)
    assert table is not None
    rows: list[dict[str, Any]] = json.loads(table[1])
    return rows


def test_twenty_rows_and_thirty_columns_at_most() -> None:
    names = [f"c{number}" for number in range(40)]
    output = {"rows": 1234, "schema": dict.fromkeys(names, "Int64"), "preview": [dict.fromkeys(names, 1)] * 25}
    rows = rows_of(output)
    assert (len(rows), list(rows[0])) == (20, names[:30])
    table = preview_table(output)
    assert table is not None
    assert table[0] == "1,234 rows, 40 columns; shown: the first 20 rows, the first 30 columns"


def test_a_whole_table_says_its_size_alone() -> None:
    table = preview_table({"rows": 1, "schema": {"a": "Int64"}, "preview": [{"a": 1}]})
    assert table == ("1 row, 1 column", '[{"a":1}]')


@pytest.mark.parametrize(
    ("value", "shown"),
    [
        ("x" * 101, "x" * 100 + "…"),
        (["a", {"b": 1}], r'\["a",{"b":1}\]'),
        (2**53, str(2**53)),
        (-7, -7),
        (1.5, 1.5),
        (float("nan"), None),
        (None, None),
        (True, True),
        ("![i](http://example.com/a.png)", r"!\[i\](http://example.com/a.png)"),
        ("<img src=x>", r"\<img src=x\>"),
    ],
)
def test_cells_are_short_and_plain(value: object, shown: object) -> None:
    assert rows_of({"rows": 1, "schema": {"a": "?"}, "preview": [{"a": value}]}) == [{"a": shown}]


@pytest.mark.parametrize("output", [{}, {"rows": 0, "schema": {"a": "Int64"}, "preview": []}, {"preview": None}])
def test_no_rows_no_table(output: dict[str, Any]) -> None:
    assert preview_table(output) is None
