"""Keys, edges and names of steps inside others."""

from typing import Any

import pytest

from flows.spec import StepType
from tests.flows.compiler.definitions import agent, condition, found, loop, parallel, problems_of, step, wait


def test_each_body_has_keys_and_edges_of_its_own() -> None:
    problems = problems_of(
        step("load"),
        loop("each", "inputs.x", step("a", "load"), step("b", "c"), step("c", "b"), step("a"), step("if")),
        parallel("both", "each", left=[step("a")], right=[step("a", "a"), condition("fork", "1", then=["left", "b"])]),
    )

    left_out = "steps[2].config.branches.right"
    assert found(problems) == {
        ("steps[1].config.steps[0].dependsOn[0]", "UNKNOWN_DEPENDENCY"),
        ("steps[1].config.steps[1].dependsOn", "CYCLE"),
        ("steps[1].config.steps[3].stepKey", "DUPLICATE_STEP_KEY"),
        ("steps[1].config.steps[4].stepKey", "BAD_STEP_KEY"),
        (f"{left_out}.steps[0].dependsOn", "CYCLE"),
        (f"{left_out}.steps[1].config.then[0]", "UNKNOWN_DEPENDENCY"),
        (f"{left_out}.steps[1].config.then[1]", "UNKNOWN_DEPENDENCY"),
    }


def test_who_is_named_must_stand_beside() -> None:
    problems = problems_of(
        condition("fork", "1", then=["b"], **{"else": ["inside"]}),
        {"stepKey": "more", "type": "CONDITION", "config": {"cases": [{"when": "1", "then": ["x"]}], "default": ["y"]}},
        step("b", fallback="z"),
        loop("each", "inputs.x", step("inside")),
    )

    assert found(problems) == {
        ("steps[0].config.else[0]", "UNKNOWN_DEPENDENCY"),
        ("steps[1].config.cases[0].then[0]", "UNKNOWN_DEPENDENCY"),
        ("steps[1].config.default[0]", "UNKNOWN_DEPENDENCY"),
        ("steps[2].fallback", "UNKNOWN_DEPENDENCY"),
    }


@pytest.mark.parametrize(
    ("steps", "path"),
    [
        ([condition("fork", "1", "a", then=["a"]), step("a")], "steps[0].dependsOn"),
        ([condition("fork", "1", then=["fork"])], "steps[0].config.then[0]"),
        ([step("a", fallback="b"), step("b", fallback="a")], "steps[0].fallback"),
        ([step("a", fallback="a")], "steps[0].fallback"),
    ],
)
def test_naming_a_step_is_an_edge_of_a_cycle(steps: list[dict[str, Any]], path: str) -> None:
    (problem,) = problems_of(*steps)

    assert problem.code == "CYCLE"
    assert "waits for the one that names it" in problem.message
    assert problem.path in {path, "steps[1].config.then[0]", "steps[1].fallback", "steps[1].dependsOn"}


def test_a_key_hides_no_step_that_can_be_named() -> None:
    both = parallel("both", "first", left=[step("first"), step("both")])
    each = loop("each", "inputs.x", step("load"), step("later"), step("first"), both)

    problems = problems_of(step("load"), {**each, "dependsOn": ["load"]}, step("later", "each"))

    assert found(problems) == {
        ("steps[1].config.steps[0].stepKey", "DUPLICATE_STEP_KEY"),
        ("steps[1].config.steps[3].config.branches.left.steps[0].stepKey", "DUPLICATE_STEP_KEY"),
    }


def used_inside(template: str, **config: Any) -> set[str]:
    """Codes of what is wrong with `template` two bodies deep: load → each(first → both(left(before → here)))."""
    here = step("here", "before", inputs={"x": template})
    both = parallel("both", "first", left=[step("before"), here, step("after")], right=[step("other")])
    each = loop("each", "load.output.rows", step("first"), step("beside"), both, **config)
    problems = problems_of(step("load"), {**each, "dependsOn": ["load"]}, step("aside"), secrets=("TOKEN",))
    assert {path for path, _ in found(problems)} <= {"steps[1].config.steps[2].config.branches.left.steps[1].inputs.x"}
    return {code for _, code in found(problems)}


@pytest.mark.parametrize(
    "template",
    ["{{ load.output.x }}", "{{ first.output }}", "{{ before.output }}", "{{ steps.load.output }}", "{{ item.id }}",
     "{{ index }}", "{{ inputs.q }}", "{{ secrets.TOKEN }}", "{{ execution.id }}"],
)  # fmt: skip
def test_inner_steps_name_what_runs_before_all_that_is_around_them(template: str) -> None:
    assert used_inside(template) == set()


@pytest.mark.parametrize(
    ("template", "code"),
    [
        ("{{ aside.output }}", "NOT_AN_ANCESTOR"),
        ("{{ beside.output }}", "NOT_AN_ANCESTOR"),
        ("{{ after.output }}", "NOT_AN_ANCESTOR"),
        ("{{ here.output }}", "NOT_AN_ANCESTOR"),
        ("{{ both.output }}", "NOT_AN_ANCESTOR"),
        ("{{ each.output }}", "NOT_AN_ANCESTOR"),
        ("{{ other.output }}", "UNKNOWN_REFERENCE"),
        ("{{ previous.output }}", "UNKNOWN_REFERENCE"),
        ("{{ nothing.output }}", "UNKNOWN_REFERENCE"),
    ],
)
def test_inner_steps_name_nothing_else(template: str, code: str) -> None:
    assert used_inside(template) == {code}


def test_previous_exists_where_iterations_follow_each_other() -> None:
    assert used_inside("{{ previous.output.x }}", maxConcurrency=1) == set()
    assert used_inside("{{ previous.x }}", maxConcurrency=1) == {"UNKNOWN_REFERENCE"}


def test_a_while_loop_has_no_item_and_its_condition_sees_index_and_previous() -> None:
    again = "previous.output.more | default(true) and index < 3"
    inner = loop("again", None, step("a", inputs={"x": "{{ item }}"}), **{"while": again})
    outer = loop("outer", "inputs.rows", inner)

    assert found(problems_of(outer)) == {("steps[0].config.steps[0].config.steps[0].inputs.x", "UNKNOWN_REFERENCE")}
    outside = loop("again", None, step("a"), **{"while": "item or a.output"})
    assert found(problems_of(outside)) == {("steps[0].config.while", "UNKNOWN_REFERENCE")}


def test_expressions_and_texts_of_configs_are_checked_like_inputs() -> None:
    problems = problems_of(
        step("load"),
        condition("fork", "load.output > 1 and secrets.K"),
        loop("each", "aside.output", step("a"), collect="{{ a.output }} {{ b.output }} {{ previous }} {{ item }}"),
        wait("ask", "approval", message="{{ lode.output }}", assignees=["{{ gone.output }}"]),
        wait("form", "input", schema={"title": "{{ item }}"}),
        secrets=("K",),
        output={"x": "{{ a.output }}", "y": "{{ each.output.items[0] }}"},
    )

    assert {(problem.path, problem.code) for problem in problems} == {
        ("steps[1].config.expression", "NOT_AN_ANCESTOR"),
        ("steps[1].config.expression", "UNKNOWN_REFERENCE"),
        ("steps[2].config.items", "UNKNOWN_REFERENCE"),
        ("steps[2].config.collect", "UNKNOWN_REFERENCE"),
        ("steps[3].config.message", "UNKNOWN_REFERENCE"),
        ("steps[3].config.assignees[0]", "UNKNOWN_REFERENCE"),
        ("steps[4].config.schema.title", "UNKNOWN_REFERENCE"),
        ("output.x", "UNKNOWN_REFERENCE"),
    }
    assert "is inside `each`" in next(problem.message for problem in problems if problem.path == "output.x")


@pytest.mark.parametrize(
    ("made", "known", "unknown"),
    [
        (loop("s", "inputs.x", step("a")), "items", "item"),
        (condition("s", "1"), "chosen", "choice"),
        (parallel("s", left=[step("a")]), "left.anything", "right"),
        (wait("s", "approval"), "approved", "answer"),
        (wait("s", "duration", seconds=1), "waitedSeconds", "seconds"),
        (wait("s", "event", eventType="x"), "data.any", "payload"),
        (wait("s", "input", schema={"properties": {"n": {}}, "additionalProperties": False}), "n", "m"),
    ],
)
def test_fields_of_what_steps_without_agent_give_are_known(made: dict[str, Any], known: str, unknown: str) -> None:
    reads = step("reads", "s", inputs={"a": f"{{{{ s.output.{known} }}}}", "b": f"{{{{ s.output.{unknown} }}}}"})

    assert found(problems_of(made, reads)) == {("steps[1].inputs.b", "UNKNOWN_FIELD")}
    assert problems_of({**made, "onError": "CONTINUE", "default": {unknown: 1}}, reads) == []


def test_steps_are_counted_at_every_depth() -> None:
    inner = [step(f"s{n}") for n in range(1_000)]

    assert problems_of(loop("one", "inputs.x", *inner), step("two")) == []
    assert found(problems_of(loop("one", "inputs.x", *inner), loop("two", "inputs.x", *inner))) == {
        ("steps", "TOO_MANY_STEPS")
    }


def test_every_type_can_stand_inside_every_container() -> None:
    types = {
        StepType.AGENT: step("x"),
        StepType.CONDITION: condition("x", "index > 1"),
        StepType.LOOP: loop("x", "item", step("y")),
        StepType.PARALLEL: parallel("x", left=[step("y")]),
        StepType.WAIT: wait("x", "approval", message="{{ index }}"),
    }

    for made in types.values():
        assert problems_of(loop("outer", "inputs.rows", parallel("both", left=[made])), agents=(agent(),)) == []
