"""Filling in templates: types, text, missing data, references."""

import threading
import time
import timeit
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from flows.compiler.expressions import (
    MAX_NESTING,
    MAX_TEMPLATE,
    evaluate,
    references,
    render,
    syntax_problems,
    uses,
)
from flows.errors import ExpressionFailed, UnresolvedReference

SCOPE: dict[str, Any] = {
    "inputs": {"path": "a.csv", "n": 5, "flag": False, "none": None, "half": 0.5, "tags": ["x", "y"], "whole": 2.0},
    "load": {"output": {"rows": 3, "items": [{"id": 1}, {"id": 2}], "empty": {}}},
}
json_values = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(2**53), 2**53)
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(), inner, max_size=4),
    max_leaves=12,
)


@pytest.mark.parametrize(
    ("template", "value"),
    [
        ("{{ inputs.n }}", 5),
        ("{{inputs.tags}}", ["x", "y"]),
        ("{{ inputs.flag }}", False),
        ("{{ inputs.none }}", None),
        ("{{ inputs.whole }}", 2.0),
        ("{{ load.output['items'][1].id }}", 2),
        ("{{ load.output.items[-1] }}", {"id": 2}),
        ("{{ {'a': {'b': 1}} }}", {"a": {"b": 1}}),
        ("{{ inputs.n > 3 and not inputs.flag }}", True),
        ("{{ 'yes' if inputs.n == 5 else 'no' }}", "yes"),
    ],
)
def test_one_expression_keeps_its_type(template: str, value: Any) -> None:
    result = render(template, SCOPE)

    assert result == value
    assert type(result) is type(value)


@pytest.mark.parametrize(
    ("template", "text"),
    [
        ("n={{ inputs.n }}!", "n=5!"),
        (" {{ inputs.n }}", " 5"),
        ("{{ inputs.n }}{{ inputs.half }}", "50.5"),
        ("<{{ inputs.none }}>", "<>"),
        ("{{ inputs.flag }} and {{ load.output.items }}", 'false and [{"id": 1}, {"id": 2}]'),
        ("{{ inputs.path }} }} {# kept #}", "a.csv }} {# kept #}"),
        ("a {{ '{{ }}' }} b", "a {{ }} b"),
        ("{{ 'é' ~ \"\\u00e9\\n\" ~ none ~ 1 }}.", "éé\n1."),
    ],
)
def test_anything_else_becomes_text(template: str, text: str) -> None:
    assert render(template, SCOPE) == text


@given(json_values)
def test_documents_without_templates_are_unchanged(document: Any) -> None:
    if "{{" not in str(document):
        assert render(document, {}) == document


@given(json_values)
def test_a_reference_gives_any_value_back_as_it_is(value: Any) -> None:
    assert render("{{ inputs.value }}", {"inputs": {"value": value}}) is value
    assert evaluate("[inputs.value][0]", {"inputs": {"value": value}}) == value


@given(st.text())
def test_string_literals_keep_every_character(text: str) -> None:
    quoted = text.replace("\\", "\\\\").replace("'", "\\'")

    assert evaluate(f"'{quoted}' ~ ''", {}) == text


def test_keys_are_never_templates_and_nested_values_are_filled_in() -> None:
    assert render({"{{ x }}": [{"a": "{{ inputs.n }}"}]}, SCOPE) == {"{{ x }}": [{"a": 5}]}


@pytest.mark.parametrize(
    ("expression", "path", "hint"),
    [
        ("inputs.pth", "inputs.pth", "path, n, flag"),
        ("inputs.path.name", "inputs.path.name", "single value"),
        ("inputs.none.x.y", "inputs.none.x", "is null"),
        ("load.output.empty.x", "load.output.empty.x", "is empty"),
        ("load.output.items[2].id", "load.output.items[2]", "2 item(s)"),
        ("load.output.items[inputs.n].id", "load.output.items[5]", "2 item(s)"),
        ("lod.output", "lod", "inputs, load"),
        ("1 + inputs.pth", "inputs.pth", "path"),
        ("[inputs.pth]", "inputs.pth", "path"),
        ("{'a': inputs.pth}", "inputs.pth", "path"),
        ("inputs.n | default(inputs.pth)", "inputs.pth", "path"),
        ("inputs.pth is none", "inputs.pth", "path"),
        ("inputs.pth if true else 1", "inputs.pth", "path"),
    ],
)
def test_missing_data_names_the_exact_path_and_what_there_is(expression: str, path: str, hint: str) -> None:
    with pytest.raises(UnresolvedReference) as caught:
        evaluate(expression, SCOPE)

    assert caught.value.path == path
    assert caught.value.code == "UNRESOLVED_REFERENCE"
    assert hint in caught.value.message


@pytest.mark.parametrize(
    ("expression", "value"),
    [
        ("inputs.pth | default('d')", "d"),
        ("inputs.a.b.c | d(1)", 1),
        ("load.output.items[inputs.n].id | default(0)", 0),
        ("([] | first) | default('none there')", "none there"),
        ("inputs.none | default('d')", None),
        ("inputs.none | default('d', true)", "d"),
        ("inputs.pth is defined", False),
        ("inputs.n is not undefined", True),
        ("1 if true else inputs.pth", 1),
        ("inputs.flag and inputs.pth", False),
    ],
)
def test_missing_data_may_be_asked_for(expression: str, value: Any) -> None:
    assert evaluate(expression, SCOPE) == value


@pytest.mark.parametrize(
    "expression",
    ["1 / 0", "'a' - 1", "1 + 'a'", "[1] + 'a'", "'%5d' % 3", "2 ** 100", "2.0 ** 2000", "inputs.path * 2", "-'3'",
     "[1] | first | upper", "[] | first", "'x' | int", "[1, 'a'] | sort", "(0.0 / 1.0) ** -1"],
)  # fmt: skip
def test_values_that_do_not_fit_are_one_typed_error(expression: str) -> None:
    with pytest.raises(ExpressionFailed) as caught:
        evaluate(expression, SCOPE)

    assert caught.value.code == "EXPRESSION_FAILED"
    assert expression in caught.value.message


def test_errors_do_not_repeat_values() -> None:
    for expression in (
        "secrets.KEY * 2",
        "secrets.KEY - 1",
        "secrets.KEY.x",
        "secrets.KEY | int",
        "[secrets.KEY, 1] | max",
    ):
        with pytest.raises(ExpressionFailed) as caught:
            evaluate(expression, {"secrets": {"KEY": "hunter2"}})
        assert "hunter2" not in str(caught.value)


def test_references_are_paths_of_names() -> None:
    document = {
        "a": "{{ load.output.rows }} {{ inputs['path'] }}",
        "b": ["{{ steps.load.output.items[inputs.n].id | default(env.HOME) }}", "{{ broken"],
    }

    assert references(document) == {
        ("load", "output", "rows"),
        ("inputs", "path"),
        ("steps", "load", "output", "items"),
        ("inputs", "n"),
        ("env", "HOME"),
    }


def test_uses_say_where_and_whether_data_may_be_missing() -> None:
    written = uses({"a": ["{{ inputs.x | default(inputs.y) }}"]}, "steps[0].inputs")

    assert {(use.where, use.path, use.optional) for use in written} == {
        ("steps[0].inputs.a[0]", ("inputs", "x"), True),
        ("steps[0].inputs.a[0]", ("inputs", "y"), False),
    }


def test_syntax_problems_have_paths_and_all_come_at_once() -> None:
    document = {"a": "{{ 1 + }}", "b": ["fine {{ x }}", "{% for x in y %}"], "c": {"d": "{{ open"}, "e": "{{ }}"}

    problems = syntax_problems(document, "output")

    assert [problem.path for problem in problems] == ["output.a", "output.b[1]", "output.c.d", "output.e"]
    assert {problem.code for problem in problems} == {"BAD_EXPRESSION"}


def test_sizes_are_bounded() -> None:
    deep: Any = "{{ 1 }}"
    for _ in range(MAX_NESTING + 1):
        deep = [deep]

    assert [p.code for p in syntax_problems(deep, "x")] == ["BAD_EXPRESSION"]
    assert [p.code for p in syntax_problems("{{ 1 }}" + "x" * MAX_TEMPLATE, "x")] == ["BAD_EXPRESSION"]
    with pytest.raises(ExpressionFailed):
        render(deep, {})
    with pytest.raises(ExpressionFailed):
        evaluate("1" + " " * 10_000, {})


def test_evaluation_is_fast_after_the_first_time() -> None:
    seconds = min(
        timeit.repeat(
            lambda: evaluate("load.output.rows > 1000", SCOPE), number=1_000, repeat=3, timer=time.process_time
        )
    )

    assert seconds < 0.05  # 50 µs each, ten times what is usual


def test_threads_do_not_share_an_engine() -> None:
    results: list[list[int]] = []

    def work(number: int) -> None:
        results.append([evaluate("inputs.n + 1", {"inputs": {"n": number}}) for _ in range(200)])

    threads = [threading.Thread(target=work, args=(number,)) for number in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    assert sorted(set(result).pop() for result in results) == [1, 2, 3, 4]
    assert all(len(set(result)) == 1 for result in results)
