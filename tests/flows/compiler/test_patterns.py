"""How large patterns are taken to be."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from flows.compiler.patterns import pattern_error, pattern_found, written_out


@pytest.mark.parametrize(
    ("pattern", "size"),
    [("abc", 3), ("a{5}", 5), ("a{2,7}", 7), ("a{3,}", 3), ("(ab){10}", 20), ("((a{10}){10}){10}", 1_000),
     ("a{10}{10}", 100), ("[^]x]{2}", 20), ("\\w{3}", 30), ("\\{3}", 3), ("\\p{L}{2}", 20), ("", 0), ("a{0}", 1)],
)  # fmt: skip
def test_repetitions_are_written_out(pattern: str, size: int) -> None:
    assert written_out(pattern) == size


@given(st.text(alphabet="ab()[]{}\\^$*+?|.,:0123456789wdpLx-", max_size=40))
def test_any_text_is_a_pattern_or_refused(pattern: str) -> None:
    refused = pattern_error(pattern) is not None

    assert refused or isinstance(pattern_found(pattern, "aaabbb" * 100), bool)


def test_patterns_are_searched_for_not_anchored() -> None:
    assert pattern_found("b+", "abbc")
    assert not pattern_found("^b+", "abbc")
    assert not pattern_found("(", "(")


def test_the_flag_that_hides_repetitions_is_refused() -> None:
    assert pattern_error("(?x)(aaaa) {500} {500}") is not None
    assert pattern_error("(?i)abc") is None
