"""JSON that PostgreSQL takes."""

import json
from typing import Any

import psycopg
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from flows.runtime.storable import storable_json

JSON = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**80), 2**80) | st.floats(allow_nan=True) | st.text(st.characters()),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(), inner, max_size=4),
    max_leaves=12,
)


@pytest.mark.parametrize(
    ("value", "kept"),
    [
        ({"a": "b\x00c"}, {"a": "b\ufffdc"}),
        (["\\u0000"], ["\\u0000"]),
        (["\\\x00"], ["\\\ufffd"]),
        ("\ud800x", "?x"),
        ([2**70, float("nan")], [2**70, None]),
        (float("inf"), None),
        ({1: "a"}, {"1": "a"}),
        ("\u202e\U0001f600", "\u202e\U0001f600"),
    ],
)
def test_what_becomes_of_odd_values(value: Any, kept: Any) -> None:
    assert json.loads(storable_json(value)) == kept


def test_what_is_no_json_is_refused() -> None:
    with pytest.raises(TypeError):
        storable_json({"a": object()})


def test_deep_data_is_refused_without_breaking_the_process() -> None:
    deep: list[Any] = []
    for _ in range(100_000):
        deep = [deep]
    with pytest.raises(TypeError, match="deeper than"):
        storable_json(deep)


def test_postgresql_takes_it_all(database_url: str) -> None:
    with psycopg.connect(database_url) as connection:

        @settings(max_examples=150, deadline=None)
        @given(JSON)
        def takes(value: Any) -> None:
            row = connection.execute("select %s::jsonb is null", (storable_json(value).decode(),)).fetchone()
            assert row == (False,)

        takes()
