"""The shape of documents: exact paths at every depth, hints, and never an exception, whatever was sent."""

import json
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from agents.errors import Problem
from flows.compiler.compile import definition_problems
from flows.compiler.nesting import all_steps, body_of
from flows.compiler.shape import MAX_DEPTH, agent_of, parse_definition, rewritten, written_steps
from flows.errors import DefinitionInvalid
from tests.flows.compiler.definitions import agent, found, loop, parallel, step, wait


def shape_of(*steps: dict[str, Any]) -> set[tuple[str, str]]:
    with pytest.raises(DefinitionInvalid) as caught:
        parse_definition({"steps": list(steps)})
    return found(list(caught.value.problems))


def test_findings_inside_containers_have_exact_paths() -> None:
    inner = parallel("both", left=[step("a", tires=3)], right=[step("b", onError="MAYBE"), {"type": "LOOP"}])

    assert shape_of(step("x", y=1), step("z"), loop("each", "inputs.rows", inner, retries=2)) == {
        ("steps[0].y", "UNKNOWN_FIELD"),
        ("steps[2].config.retries", "UNKNOWN_FIELD"),
        ("steps[2].config.steps[0].config.branches.left.steps[0].tires", "UNKNOWN_FIELD"),
        ("steps[2].config.steps[0].config.branches.right.steps[0].onError", "BAD_VALUE"),
        ("steps[2].config.steps[0].config.branches.right.steps[1].stepKey", "MISSING_FIELD"),
    }


@pytest.mark.parametrize(
    ("made", "path", "code"),
    [
        ({"stepKey": "a", "type": "CONDITION", "config": {"expresion": "1"}}, "expresion", "UNKNOWN_FIELD"),
        ({"stepKey": "a", "type": "CONDITION", "config": {"cases": [{"then": []}]}}, "cases[0].when", "MISSING_FIELD"),
        ({"stepKey": "a", "type": "CONDITION", "config": {"then": "b"}}, "then", "BAD_VALUE"),
        (loop("a", "x", step("b"), maxConcurrency=0), "maxConcurrency", "BAD_VALUE"),
        (loop("a", "x", step("b"), maxIterations=10**400), "maxIterations", "BAD_VALUE"),
        ({"stepKey": "a", "type": "PARALLEL", "config": {"branches": {"l": 5}}}, "branches.l", "BAD_VALUE"),
        ({"stepKey": "a", "type": "PARALLEL", "config": {"wait": "some"}}, "wait", "BAD_VALUE"),
        ({"stepKey": "a", "type": "WAIT"}, "kind", "MISSING_FIELD"),
        (wait("a", "forever"), "kind", "BAD_VALUE"),
        (wait("a", "duration", seconds=True), "seconds", "BAD_VALUE"),
        (wait("a", "duration", seconds=[5]), "seconds", "BAD_VALUE"),
        (wait("a", "event", timeoutSeconds=-1), "timeoutSeconds", "BAD_VALUE"),
    ],
)
def test_each_config_has_its_fields(made: dict[str, Any], path: str, code: str) -> None:
    assert shape_of(made) == {(f"steps[0].config.{path}", code)}


def test_what_was_meant_is_told_from_the_fields_that_there_are_at_that_place() -> None:
    with pytest.raises(DefinitionInvalid) as caught:
        parse_definition(
            {"steps": [loop("a", "x", step("b", dependOn=[]), maxConcurency=3), wait("c", "event", evntType="x")]}
        )

    told = {problem.path.rpartition(".")[2]: problem.message for problem in caught.value.problems}
    assert "did you mean `dependsOn`?" in told["dependOn"]
    assert "did you mean `maxConcurrency`?" in told["maxConcurency"]
    assert "did you mean `eventType`?" in told["evntType"]


def nested(levels: int) -> dict[str, Any]:
    return loop(f"l{levels}", "inputs.rows", nested(levels - 1)) if levels else step("innermost")


def test_nesting_ends_at_eight() -> None:
    assert len(list(all_steps(body_of(parse_definition({"steps": [nested(MAX_DEPTH)]}))))) == MAX_DEPTH + 1
    assert shape_of(nested(MAX_DEPTH + 1)) == {("steps[0]" + ".config.steps[0]" * MAX_DEPTH + ".config", "TOO_DEEP")}
    assert {code for _, code in shape_of(nested(200))} == {"TOO_DEEP"}


def test_steps_are_found_and_rewritten_at_every_depth_and_nothing_else_is_touched() -> None:
    steps = [
        loop("each", "x", parallel("both", left=[step("a")], right=[step("b", inputs={"steps": [1]})])),
        step("c"),
        7,
    ]

    places = {written.path: agent_of(written.step) for written in written_steps(steps)}
    changed = rewritten(steps, lambda each: {**each, "agentId": "other"} if "agentId" in each else each)

    assert places == {
        "steps[0]": None,
        "steps[0].config.steps[0]": None,
        "steps[0].config.steps[0].config.branches.left.steps[0]": "a1",
        "steps[0].config.steps[0].config.branches.right.steps[0]": "a1",
        "steps[1]": "a1",
    }
    assert json.dumps(changed) == json.dumps(steps).replace('"a1"', '"other"')


FIELDS = """stepKey type agentId config inputs dependsOn steps branches items while then else cases when default wait
kind expression fallback onError retry collect seconds at schema assignees filter eventType timeoutSeconds left a"""
KEYS = st.sampled_from(tuple(FIELDS.split()))
WORDS = ("LOOP", "PARALLEL", "CONDITION", "WAIT", "AGENT", "approval", "{{ item }}", "{{", "1 +", "\ud800")
LEAVES = st.one_of(
    st.none(), st.booleans(), st.integers(), st.floats(), st.text(max_size=5), KEYS, st.sampled_from(WORDS)
)
JSON = st.recursive(
    LEAVES, lambda inner: st.lists(inner, max_size=4) | st.dictionaries(KEYS | st.text(max_size=3), inner, max_size=6)
)
STEPS = st.fixed_dictionaries(
    {"stepKey": st.sampled_from(["a", "b", "c"]), "type": st.sampled_from(["LOOP", "PARALLEL", "CONDITION", "WAIT"])},
    optional={"config": st.dictionaries(KEYS, JSON, max_size=6), "dependsOn": JSON, "fallback": JSON, "onError": JSON},
)


@settings(suppress_health_check=[HealthCheck.too_slow])
@given(JSON | st.fixed_dictionaries({"steps": st.lists(STEPS | JSON, max_size=4)}, optional={"output": JSON}))
def test_any_json_gives_problems_and_never_an_exception(document: Any) -> None:
    problems = problems_in(document)

    assert all(problem.code and problem.message for problem in problems)


def test_values_that_are_nested_without_end_are_problems_too() -> None:
    deep: Any = "{{ x }}"
    for _ in range(200):
        deep = [deep]
    steps = [step("a", inputs={"x": deep}), loop("b", deep, step("c")), loop("d", "inputs.x", step("e"), collect=deep)]
    form = wait("f", "input", schema={"default": deep})

    told = {problem.path: problem.code for problem in problems_in({"steps": [*steps, form], "output": deep})}

    assert told["steps[3].config.schema"] in ("BAD_SCHEMA", "BAD_EXPRESSION")
    assert {told[path] for path in ("steps[0].inputs", "steps[1].config.items", "output")} == {"BAD_EXPRESSION"}
    assert told["steps[2].config.collect"] == "BAD_EXPRESSION"


def problems_in(document: Any) -> list[Problem]:
    try:
        return definition_problems(parse_definition(document), {"a1": agent()})
    except DefinitionInvalid as invalid:
        return list(invalid.problems)
