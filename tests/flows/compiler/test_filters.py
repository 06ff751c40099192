"""Each filter and test of expressions, on what it takes and on what it does not."""

from typing import Any

import pytest

from flows.compiler.expressions import evaluate
from flows.errors import ExpressionFailed

SCOPE = {"rows": [{"n": "b", "v": 2}, {"n": "a", "v": 3}, {"n": "a", "v": 1}], "o": {"x": 1, "y": [2]}}


@pytest.mark.parametrize(
    ("expression", "value"),
    [
        ("-3 | abs", 3),
        ("'' | bool", False),
        ("o | length", 2),
        ("'é' | count", 1),
        ("rows | first", {"n": "b", "v": 2}),
        ("'abc' | last", "c"),
        ("'3.5' | float", 3.5),
        ("'1e3' | int", 1000),
        ("'9007199254740993' | int", 9007199254740993),
        ("'x' | int(7)", 7),
        ("none | int(default=7)", 7),
        ("o | items", [["x", 1], ["y", [2]]]),
        ("o | keys", ["x", "y"]),
        ("o | values", [1, [2]]),
        ("rows | join('-', attribute='n')", "b-a-a"),
        ("[1, none, 'x', [2]] | join(',')", "1,,x,[2]"),
        ("'Ab' | lower ~ ('Ab' | upper) ~ ('ab cd' | title)", "abABAb Cd"),
        ("rows | map('v')", [2, 3, 1]),
        ("rows | map(attribute='v') | max", 3),
        ("rows | min(attribute='v')", {"n": "a", "v": 1}),
        ("rows | selectattr('v', '>', 1) | map('n')", ["b", "a"]),
        ("rows | selectattr('n', 'in', ['b'])", [{"n": "b", "v": 2}]),
        ("rows | rejectattr('n', '==', 'a') | length", 1),
        ("rows | selectattr('v') | length", 3),
        ("'aXbX' | replace('X', '--')", "a--b--"),
        ("[1, 2] | reverse", [2, 1]),
        ("'ab' | reverse", "ba"),
        ("2.345 | round(2)", 2.35),
        ("2.5 | round", 2),
        ("1234 | round(-2)", 1200),
        ("rows | sort(attribute='v') | map('v')", [1, 2, 3]),
        ("[3, 1] | sort(true)", [3, 1]),
        ("' a  b ' | split", ["a", "b"]),
        ("'a,b' | split(',')", ["a", "b"]),
        ("[1] | string", "[1]"),
        ("rows | sum(attribute='v')", 6),
        ("[0.5, 1] | sum", 1.5),
        ("{'a': [1, none]} | tojson", '{"a": [1, null]}'),
        ("'x' | tojson", '"x"'),
        ("none | tojson", "null"),
        ("' x ' | trim", "x"),
        ("[1, '1', 1, 1.5] | unique", [1, "1", 1.5]),
        ("rows | unique('n') | map('v')", [2, 3]),
        ("1 is number and 'x' is string and true is boolean and [1] is sequence and o is mapping", True),
        ("none is none and 1 is odd and 2 is even and 1 is integer and 1.5 is float", True),
        ("true is true and false is false and 1 is not true", True),
        ("true is integer", False),
    ],
)
def test_filters_and_tests(expression: str, value: Any) -> None:
    result = evaluate(expression, SCOPE)

    assert result == value
    assert type(result) is type(value)


@pytest.mark.parametrize(
    "expression",
    ["'x' | abs", "1 | length", "[] | last", "[] | max", "[1, 'x'] | max", "'x' | float", "[1] | int", "1 | items",
     "'x' | join", "[1] | join(2)", "1 | lower", "rows | map('z')", "rows | map('n.z')",
     "rows | selectattr('v', '~', 1)", "rows | selectattr('v', '<', 'x')",
     "'a' | replace('', 'b')", "1 | reverse", "1 | round(99)", "1.5 | round(true)",
     "[[1], 1] | sort", "'a' | split('')", "1 | split", "['1'] | sum", "1 | trim", "1 | unique", "'x' is odd",
     "1e300 | round(-21)", "[1][0:'a']", "1[0:1]", "rows | sort(attribute=1)"],
)  # fmt: skip
def test_what_a_filter_cannot_take_is_a_typed_error(expression: str) -> None:
    with pytest.raises(ExpressionFailed):
        evaluate(expression, SCOPE)
