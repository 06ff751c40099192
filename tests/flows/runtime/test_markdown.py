"""Text of tenants in Prefect's Markdown."""

import pytest

from flows.runtime.markdown import plain


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("late flights", "late flights"),
        ("a\n# b", r"a \# b"),
        ("*x* `y` | ~z~ &lt;", r"\*x\* \`y\` \| \~z\~ \&lt;"),
        ("- x", r"\- x"),
        ("1. x", r"1\. x"),
        ("a-b 1.5", "a-b 1.5"),
    ],
)
def test_no_mark_has_a_meaning(text: str, shown: str) -> None:
    assert plain(text) == shown
