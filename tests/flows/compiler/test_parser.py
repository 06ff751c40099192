"""The gate before MiniJinja: what is let through means the same there, and the rest is refused with a reason."""

import pytest
from hypothesis import given
from hypothesis import strategies as st
from minijinja import Environment, TemplateError

from flows.compiler.expressions import evaluate, syntax_problems
from flows.errors import ExpressionFailed

numbers = st.integers(0, 9).map(str)
arithmetic = st.recursive(
    numbers,
    lambda inner: st.one_of(
        st.tuples(inner, st.sampled_from(["+", "-", "*", "//", "%", "<", "==", "and", "or"]), inner).map(" ".join),
        inner.map(lambda text: f"({text})"),
        inner.map(lambda text: f"not {text}"),
        inner.map(lambda text: f"-({text})"),
        st.tuples(inner, inner, inner).map(lambda part: f"({part[0]} if {part[1]} else {part[2]})"),
    ),
    max_leaves=12,
)


def outcome(text: str) -> object:
    """The value, or the message of our refusal."""
    try:
        return evaluate(text, {})
    except ExpressionFailed as error:
        return error


@given(arithmetic)
def test_precedence_is_that_of_minijinja(text: str) -> None:
    found = outcome(text)
    if any(reason in str(found) for reason in ("deeper", "beyond 64 bits", "two values at a time")):
        return
    try:
        expected = Environment(undefined_behavior="strict").eval_expr(text)
    except TemplateError:
        assert isinstance(found, ExpressionFailed)
        return

    assert found == expected


@pytest.mark.parametrize(
    ("expression", "value"),
    [("2 ** 3 ** 2", 64), ("-2 ** 2", 4), ("10 - 3 - 2", 5), ("1 ~ 2 ~ 3", "123"), ("not 1 in [2]", True),
     ("1 not in [2]", True), ("1 + 2 * 3", 7), ("[1, 2, 3][1:]", [2, 3]), ("'abc'[:2]", "ab")],
)  # fmt: skip
def test_known_precedences(expression: str, value: object) -> None:
    assert evaluate(expression, {}) == value


@pytest.mark.parametrize(
    ("expression", "reason"),
    [
        ("", "a value was expected"),
        ("1 +", "a value was expected"),
        ("().__class__", "a value was expected"),
        ("(1, 2)", "`)` was expected"),
        ("inputs.rows.append(1)", "calls are not part"),
        ("range(10)", "calls are not part"),
        ("inputs.x | upcase", "there is no filter `upcase`"),
        ("inputs.x | uper", "did you mean `upper`?"),
        ("'x' | center(80)", "there is no filter"),
        ("'x' | indent(10 ** 9)", "there is no filter"),
        ("inputs.x is odder", "there is no test"),
        ("1 if 2", "needs an `else`"),
        ("inputs.x | replace('a')", "needs `new`"),
        ("inputs.x | join(',', sep=1)", "no free argument `sep`"),
        ("inputs.x | length(1)", "at most 0"),
        ("'abc", "never closed"),
        ("'\\q'", "unknown escape"),
        ("'\\ud800'", "surrogate"),
        ("1e999", "too large"),
        ("99999999999999999999", "too large"),
        ("1 2", "an operator or the end"),
        ("inputs.1", "field's name"),
        ("1 < a < 3", "two values at a time"),
        ("a = 1", "an operator or the end"),
        ("if", "a value was expected"),
        ("a @ b", "means nothing"),
        ("{'a' 1}", "`:` was expected"),
        ("{{ 1 }}", "`:` was expected"),
    ],
)
def test_what_is_no_expression_is_refused_with_a_reason(expression: str, reason: str) -> None:
    with pytest.raises(ExpressionFailed) as caught:
        evaluate(expression, {})

    assert reason in str(caught.value)


@given(st.text(alphabet="{}[]()|.,:'\"\\ ab1+-*/~<>=!%", max_size=60))
def test_any_text_is_read_or_refused(text: str) -> None:
    problems = syntax_problems("{{" + text, "here")

    assert all(problem.code == "BAD_EXPRESSION" and problem.path == "here" for problem in problems)
