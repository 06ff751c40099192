"""JSON that is taken, and what is not: case 24 (duplicate keys), case 26 (depth, keys, numbers)."""

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from platform_api.kit.strict_json import MAX_DEPTH, MAX_KEYS, depth_exceeded, json_problem

TEXTS = st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\x00"))
VALUES = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(2**63), 2**63 - 1)
    | st.floats(allow_nan=False, allow_infinity=False)
    | TEXTS,
    lambda inner: st.lists(inner) | st.dictionaries(TEXTS, inner),
    max_leaves=20,
)


@given(VALUES, st.booleans())
def test_ordinary_json_is_taken(value: Any, escaped: bool) -> None:
    assert json_problem(json.dumps(value, ensure_ascii=escaped).encode()) is None


@given(st.binary(max_size=200))
def test_whatever_comes_there_is_an_answer(body: bytes) -> None:
    problem = json_problem(body)
    assert problem is None or problem.message


@pytest.mark.parametrize(
    "body",
    [rb'"\\u0000"', rb'"\\\\ud800"', rb'"\ud83d\udd11"', b'"[[["', b'{"a": {"a": 1}}', b'"' + b"[" * 200 + b'"'],
)
def test_what_only_looks_bad_is_taken(body: bytes) -> None:
    assert json_problem(body) is None


@pytest.mark.case(24, 26)
@pytest.mark.parametrize(
    "body",
    [
        *(rb'"\u0000"', b'"\x00"', rb'"\ud83d"', rb'"\udd11"', rb'"\udd11\ud83d"', rb'"\ud83d x \udd11"'),
        *(rb'"\ud83d\ud83d\udd11"', rb'"\ud83d\n\udd11"', b"NaN", b"-Infinity", b"1e999", b"-9223372036854775809"),
        *(b'{"a": 1, "b": {"c": 1, "c": 2}}', b"\xef\xbb\xbf{}", b"{} {}", b"'a'", b"[1,]", b""),
    ],
)
def test_what_is_refused(body: bytes) -> None:
    assert json_problem(body) is not None


@pytest.mark.case(26)
def test_depth_counts_what_is_open_at_once() -> None:
    assert not depth_exceeded(b"[" * MAX_DEPTH + b"]" * MAX_DEPTH)
    assert depth_exceeded(b"[" * (MAX_DEPTH + 1) + b"]" * (MAX_DEPTH + 1))
    assert not depth_exceeded(b"[" + b"[]," * 1000 + b"[]]")
    assert not depth_exceeded(b'["' + b"[" * 1000 + rb"\"[[" + b'"]')


@pytest.mark.case(26)
def test_keys_are_bounded() -> None:
    many = "{" + ",".join(f'"k{number}":1' for number in range(MAX_KEYS + 1)) + "}"
    problem = json_problem(many.encode())
    assert problem is not None
    assert "keys" in problem.message
