"""What each type of step needs and refuses."""

from typing import Any

import pytest

from tests.flows.compiler.definitions import agent, condition, found, loop, parallel, problems_of, step, wait


def told(*steps: dict[str, Any]) -> set[tuple[str, str]]:
    """Paths inside the first step, with codes."""
    problems = found(problems_of(*steps, step("x"), step("y")))
    assert all(path.startswith("steps[0].") for path, _ in problems)
    return {(path.removeprefix("steps[0]."), code) for path, code in problems}


def test_sound_steps_have_no_problems() -> None:
    cases = [{"when": "inputs.a > 1", "then": ["x"]}, {"when": "{{ inputs.a }}", "then": ["y"]}]

    for made in (
        condition("c", "inputs.a | length > 2", then=["x"], **{"else": ["y"]}),
        condition("c", "{{ inputs.a }}"),
        {"stepKey": "c", "type": "CONDITION", "config": {"cases": cases, "default": ["x", "y"]}},
        loop("l", "inputs.rows", step("one")),
        loop("l", "{{ inputs.rows }}", step("one"), batchSize=100, collect="{{ item }}") | {"onError": "CONTINUE"},
        loop("l", ["{{ inputs.a }}", 2, {"x": 1}], step("one"), maxConcurrency=1),
        loop("l", {"data": "{{ inputs.rows }}"}, step("one")),
        loop("l", None, step("one"), **{"while": "index < 3"}, maxIterations=5),
        parallel("p", left=[step("one")], right=[step("one")]) | {"timeoutSeconds": 5},
        wait("w", "duration", seconds=0),
        wait("w", "duration", seconds="{{ inputs.delay }}"),
        wait("w", "until", at="2027-01-31T08:00:00Z"),
        wait("w", "until", at="{{ inputs.day }}T08:00:00"),
        wait("w", "approval"),
        wait("w", "approval", message="Send {{ inputs.n }}?", assignees=["ADMIN"], onReject="CONTINUE"),
        wait("w", "approval", timeoutSeconds=9, onTimeout="APPROVE"),
        wait("w", "input", schema={"type": "object"}, timeoutSeconds=9, onTimeout="CONTINUE"),
        wait("w", "event", eventType="order.{{ inputs.id }}", filter="event.data.id == inputs.id and event.type"),
    ):
        assert told(made) == set(), made


@pytest.mark.parametrize(
    ("made", "path", "code"),
    [
        (condition("c", "1 +"), "config.expression", "BAD_EXPRESSION"),
        (condition("c", "is {{ inputs.a }}"), "config.expression", "BAD_EXPRESSION"),
        (condition("c", "x" * 3_000), "config.expression", "BAD_EXPRESSION"),
        (condition("c", "1", cases=[]), "config.expression", "BAD_CONFIG"),
        (condition("c", "1", default=["x"]), "config.default", "BAD_CONFIG"),
        ({"stepKey": "c", "type": "CONDITION"}, "config.expression", "MISSING_FIELD"),
        ({"stepKey": "c", "type": "CONDITION", "config": {"cases": []}}, "config.cases", "BAD_CONFIG"),
        ({"stepKey": "c", "type": "CONDITION", "config": {"cases": [{"when": "1"}], "else": ["x"]}},
         "config.else", "BAD_CONFIG"),
        ({"stepKey": "c", "type": "CONDITION", "config": {"cases": [{"when": "1"}, {"when": "("}]}},
         "config.cases[1].when", "BAD_EXPRESSION"),
        (loop("l", "inputs.rows"), "config.steps", "EMPTY_BODY"),
        (loop("l", None, step("one")), "config.items", "MISSING_FIELD"),
        (loop("l", "inputs.a", step("one"), **{"while": "true"}), "config.while", "BAD_CONFIG"),
        (loop("l", None, step("one"), **{"while": "("}), "config.while", "BAD_EXPRESSION"),
        (loop("l", None, step("one"), **{"while": "true"}, batchSize=2), "config.batchSize", "BAD_CONFIG"),
        (loop("l", "rows: {{ inputs.a }}", step("one")), "config.items", "BAD_EXPRESSION"),
        (loop("l", ["{{ ( }}"], step("one")), "config.items[0]", "BAD_EXPRESSION"),
        (loop("l", 7, step("one")), "config.items", "BAD_VALUE"),
        (loop("l", "inputs.a", step("one"), collect={"x": "{{ ( }}"}), "config.collect.x", "BAD_EXPRESSION"),
        (parallel("p"), "config.branches", "EMPTY_BODY"),
        (parallel("p", left=[]), "config.branches.left.steps", "EMPTY_BODY"),
        (parallel("p", **{"a b": [step("one")]}), "config.branches.a b", "BAD_BRANCH_NAME"),
        (parallel("p", **{"a" * 101: [step("one")]}), f"config.branches.{'a' * 101}", "BAD_BRANCH_NAME"),
        (wait("w", "duration"), "config.seconds", "MISSING_FIELD"),
        (wait("w", "until"), "config.at", "MISSING_FIELD"),
        (wait("w", "input"), "config.schema", "MISSING_FIELD"),
        (wait("w", "event"), "config.eventType", "MISSING_FIELD"),
        (wait("w", "duration", seconds=-1), "config.seconds", "BAD_VALUE"),
        (wait("w", "duration", seconds=1e12), "config.seconds", "BAD_VALUE"),
        (wait("w", "duration", seconds="soon"), "config.seconds", "BAD_VALUE"),
        (wait("w", "duration", seconds="{{ ( }}"), "config.seconds", "BAD_EXPRESSION"),
        (wait("w", "duration", seconds=1, eventType="x"), "config.eventType", "BAD_CONFIG"),
        (wait("w", "duration", seconds=1, timeoutSeconds=1), "config.timeoutSeconds", "BAD_CONFIG"),
        (wait("w", "until", at="next monday"), "config.at", "BAD_VALUE"),
        (wait("w", "approval", schema={}), "config.schema", "BAD_CONFIG"),
        (wait("w", "approval", onTimeout="APPROVE"), "config.onTimeout", "BAD_CONFIG"),
        (wait("w", "approval", message="{{ ( }}"), "config.message", "BAD_EXPRESSION"),
        (wait("w", "input", schema={"type": "strin"}), "config.schema.type", "BAD_SCHEMA"),
        (wait("w", "input", schema={}, timeoutSeconds=1, onTimeout="REJECT"), "config.onTimeout", "BAD_CONFIG"),
        (wait("w", "event", eventType="x", filter="event."), "config.filter", "BAD_EXPRESSION"),
        (wait("w", "event", eventType="x", filter="x.output"), "config.filter", "UNKNOWN_REFERENCE"),
        (wait("w", "event", eventType="x", filter="env.HOME == event.payload"), "config.filter", "UNKNOWN_REFERENCE"),
        (loop("l", "inputs.a", step("one")) | {"onError": "RETRY"}, "onError", "BAD_RETRY"),
        (wait("w", "approval") | {"onError": "RETRY", "retry": {}}, "onError", "BAD_RETRY"),
        (wait("w", "approval") | {"timeoutSeconds": 5}, "timeoutSeconds", "BAD_CONFIG"),
        (condition("c", "1") | {"agentId": "a1"}, "agentId", "BAD_CONFIG"),
        (condition("c", "1") | {"inputs": {"x": 1}}, "inputs", "BAD_CONFIG"),
        (condition("c", "1") | {"retry": {}}, "retry", "BAD_RETRY"),
    ],
)  # fmt: skip
def test_what_is_refused(made: dict[str, Any], path: str, code: str) -> None:
    assert told(made) == {(path, code)}


def test_problems_of_agents_inside_have_their_place_and_are_told_once() -> None:
    needs = agent("needs", input_schema={"required": ["url"], "properties": {"url": {}}, "additionalProperties": False},
                  config={"url": "{{ nonsense.x }}"})  # fmt: skip
    first = step("a", agentId="needs", inputs={"ulr": 1})
    each = loop("l", "inputs.x", first, step("b", agentId="needs", inputs={"url": 1}))
    both = parallel("p", left=[step("c", agentId="gone"), {"stepKey": "d"}])

    problems = problems_of(each, both, agents=(needs,))

    assert [(problem.path, problem.code) for problem in problems] == [
        ("steps[0].config.steps[0].agentId", "UNKNOWN_REFERENCE"),
        ("steps[0].config.steps[0].inputs.ulr", "UNKNOWN_INPUT"),
        ("steps[0].config.steps[0].inputs.url", "MISSING_INPUT"),
        ("steps[1].config.branches.left.steps[0].agentId", "UNKNOWN_AGENT"),
        ("steps[1].config.branches.left.steps[1].agentId", "MISSING_AGENT"),
    ]
