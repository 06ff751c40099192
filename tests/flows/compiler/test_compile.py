"""Definitions as a whole: their shape, every problem at once, and the plan of a sound one."""

from collections.abc import Callable
from functools import partial
from itertools import count, pairwise
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agents.errors import Problem
from agents.spec import Limits
from flows.compiler.compile import MAX_PROBLEMS, MAX_STEPS, compile_plan, definition_problems
from flows.compiler.shape import parse_definition
from flows.errors import DefinitionInvalid
from flows.plan import Plan
from flows.spec import RetryPolicy
from tests.fixtures.cost import LINEAR, costs_less, growth
from tests.flows.compiler.definitions import WORKFLOW, agent, found, problems_of, step


def plan_of(*steps: dict[str, Any], agents: tuple[Any, ...] = (agent(),), **parts: Any) -> Plan:
    definition = parse_definition({"steps": list(steps), **parts})
    return compile_plan(definition, WORKFLOW, {each.id: each for each in agents})


@pytest.mark.parametrize(
    ("document", "expected"),
    [
        ({"foo": 1}, {("foo", "UNKNOWN_FIELD")}),
        ({"steps": [{}]}, {("steps[0].stepKey", "MISSING_FIELD")}),
        ({"steps": [step("a", onError="MAYBE")]}, {("steps[0].onError", "BAD_VALUE")}),
        ({"steps": [step("a", type="GOTO"), step("b", x=1)]},
         {("steps[0].type", "BAD_VALUE"), ("steps[1].x", "UNKNOWN_FIELD")}),
        ({"steps": [step("a", retry={"maxAttempts": 0, "tries": 3})]},
         {("steps[0].retry.maxAttempts", "BAD_VALUE"), ("steps[0].retry.tries", "UNKNOWN_FIELD")}),
        ({"steps": [step("a", timeoutSeconds=-1)], "limits": {"maxConcurrency": 0}},
         {("steps[0].timeoutSeconds", "BAD_VALUE"), ("limits.maxConcurrency", "BAD_VALUE")}),
        ({"steps": 5}, {("steps", "BAD_VALUE")}),
        ([], {("", "BAD_VALUE")}),
        (None, {("", "BAD_VALUE")}),
    ],
)  # fmt: skip
def test_shape_problems_have_paths_and_codes(document: Any, expected: set[tuple[str, str]]) -> None:
    with pytest.raises(DefinitionInvalid) as caught:
        parse_definition(document)

    assert found(list(caught.value.problems)) == expected


def test_an_unknown_field_is_told_with_the_one_that_was_meant_and_without_its_value() -> None:
    with pytest.raises(DefinitionInvalid) as caught:
        parse_definition({"steps": [step("a", onErorr="hunter2")]})

    assert "did you mean `onError`?" in str(caught.value)
    assert "hunter2" not in str(caught.value)


def test_a_sound_definition_has_no_problems() -> None:
    schema = {"type": "object", "properties": {"path": {"type": "string"}}}

    load = {"path": "{{ inputs.path }}", "run": "{{ execution.id }} {{ workflow.name }} {{ env.HOME }}"}
    report = {"rows": "{{ load.output.rows + steps.load.output.rows }}", "key": "{{ secrets.K }}"}

    problems = problems_of(
        step("load", inputs=load),
        step("report", "load", inputs=report),
        secrets=("K",),
        inputSchema=schema,
        output={"summary": "{{ report.output }} of {{ load.output.x | default('x') }}"},
    )

    assert problems == []


def test_problems_planted_in_every_corner_are_all_told_at_once() -> None:
    problems = problems_of(
        step("a", "c", inputs={"p": "{{ inputs.pth }}", "q": ["{% if %}", "{{ secrets.K }}", "{{ nope.x }}"]}),
        step("b", "a", "zz", agentId="a9", inputs={"x": "{{ a.outputs }}", "z": "{{ item }}", "w": "{{ steps }}"}),
        step("c", "b", retry={}),
        {"stepKey": "c", "type": "LOOP"},
        {"stepKey": "if"},
        step("9x", "9x"),
        step("d", inputs={"x": "{{ e.output.q }}", "y": "{{ d.output }}", "z": "{{ 1 + }}"}),
        step("e"),
        inputSchema={"properties": {"path": {}}},
        output={"t": "{{ secrets.A }}", "u": "{{ gone.output }}"},
    )

    assert found(problems) == {
        ("steps[0].inputs.p", "UNKNOWN_INPUT"),
        ("steps[0].inputs.q[0]", "BAD_EXPRESSION"),
        ("steps[0].inputs.q[1]", "UNKNOWN_SECRET"),
        ("steps[0].inputs.q[2]", "UNKNOWN_REFERENCE"),
        ("steps[0].dependsOn", "CYCLE"),
        ("steps[1].dependsOn[1]", "UNKNOWN_DEPENDENCY"),
        ("steps[1].agentId", "UNKNOWN_AGENT"),
        ("steps[1].inputs.x", "UNKNOWN_REFERENCE"),
        ("steps[1].inputs.z", "UNKNOWN_REFERENCE"),
        ("steps[1].inputs.w", "UNKNOWN_REFERENCE"),
        ("steps[2].retry", "BAD_RETRY"),
        ("steps[3].stepKey", "DUPLICATE_STEP_KEY"),
        ("steps[3].config.items", "MISSING_FIELD"),
        ("steps[3].config.steps", "EMPTY_BODY"),
        ("steps[4].stepKey", "BAD_STEP_KEY"),
        ("steps[4].agentId", "MISSING_AGENT"),
        ("steps[5].stepKey", "BAD_STEP_KEY"),
        ("steps[5].dependsOn", "CYCLE"),
        ("steps[6].inputs.x", "NOT_AN_ANCESTOR"),
        ("steps[6].inputs.y", "NOT_AN_ANCESTOR"),
        ("steps[6].inputs.z", "BAD_EXPRESSION"),
        ("output.t", "UNKNOWN_REFERENCE"),
        ("output.u", "UNKNOWN_REFERENCE"),
    }
    assert len(problems) == 23


def test_compiling_a_bad_definition_raises_all_of_its_problems() -> None:
    with pytest.raises(DefinitionInvalid) as caught:
        plan_of(step("a", "gone"), step("a"))

    assert found(list(caught.value.problems)) == {
        ("steps[0].dependsOn[0]", "UNKNOWN_DEPENDENCY"),
        ("steps[1].stepKey", "DUPLICATE_STEP_KEY"),
    }


def test_workflows_have_steps_but_not_too_many() -> None:
    assert found(problems_of()) == {("steps", "EMPTY_WORKFLOW")}
    assert found(problems_of(*(step(f"s{n}") for n in range(MAX_STEPS + 1)))) == {("steps", "TOO_MANY_STEPS")}
    assert problems_of(*(step(f"s{n}") for n in range(MAX_STEPS))) == []


def test_a_broken_input_schema_is_told_without_what_follows_from_it() -> None:
    problems = problems_of(step("a", inputs={"p": "{{ inputs.x }}"}), inputSchema={"type": "strin", "properties": 5})

    assert {code for _, code in found(problems)} == {"BAD_SCHEMA"}
    assert all(problem.path.startswith("inputSchema.") for problem in problems)


def test_the_plan_is_in_order_and_as_close_to_the_written_one_as_can_be() -> None:
    plan = plan_of(step("z"), step("last", "b", "a", "b"), step("b", "a"), step("a"), step("y"))

    assert [each.step_key for each in plan.steps] == ["z", "a", "b", "last", "y"]
    assert plan.steps[3].depends_on == ("b", "a")
    assert plan.final_steps() == ("z", "last", "y")


def test_agents_are_embedded_once_each_and_unused_ones_not_at_all() -> None:
    plan = plan_of(step("a"), step("b"), step("c", agentId="a2"), agents=(agent(), agent("a2"), agent("a3")))

    assert sorted(plan.agents) == ["a1", "a2"]
    assert [each.agent for each in plan.steps] == ["a1", "a1", "a2"]


def test_an_agent_is_known_by_its_own_id_however_the_step_writes_it() -> None:
    definition = parse_definition({"steps": [step("a", agentId="A1"), step("b")]})

    plan = compile_plan(definition, WORKFLOW, {"A1": agent(), "a1": agent()})

    assert list(plan.agents) == ["a1"]
    assert {each.agent for each in plan.steps} == {"a1"}


@pytest.mark.parametrize(
    ("fields", "retry", "continues"),
    [
        ({}, None, False),
        ({"onError": "CONTINUE", "default": 7}, None, True),
        ({"onError": "RETRY"}, RetryPolicy(), False),
        ({"onError": "RETRY", "retry": {"maxAttempts": 5}}, RetryPolicy(max_attempts=5), False),
        ({"onError": "RETRY", "afterRetries": "CONTINUE"}, RetryPolicy(), True),
        ({"afterRetries": "CONTINUE"}, None, False),
    ],
)
def test_what_happens_after_a_failure(fields: dict[str, Any], retry: RetryPolicy | None, continues: bool) -> None:
    planned = plan_of(step("a", **fields)).steps[0]

    assert planned.retry == retry
    assert planned.continue_on_failure is continues
    assert planned.default == fields.get("default")


@pytest.mark.parametrize(
    ("of_step", "of_agent", "tightest"), [(60, 30, 30), (30, 60, 30), (None, 5, 5), (5, None, 5), (None, None, None)]
)
def test_the_tightest_timeout_wins(of_step: float | None, of_agent: float | None, tightest: float | None) -> None:
    limited = agent(limits=Limits(timeout_seconds=of_agent))

    assert plan_of(step("a", timeoutSeconds=of_step), agents=(limited,)).steps[0].timeout_seconds == tightest


@st.composite
def definitions(draw: st.DrawFn) -> list[dict[str, Any]]:
    """Steps without a cycle, each reading some of its dependencies, written in any order."""
    size = draw(st.integers(2, 10))
    steps = []
    for at in range(size):
        needed = draw(st.lists(st.sampled_from([f"s{n}" for n in range(at)] or ["-"]), unique=True, max_size=3))
        needed = [each for each in needed if each != "-"]
        steps.append(step(f"s{at}", *needed, inputs={key: f"{{{{ {key}.output }}}}" for key in needed}))
    return list(draw(st.permutations(steps)))


@given(definitions())
def test_any_acyclic_definition_compiles_in_order_and_survives_json(steps: list[dict[str, Any]]) -> None:
    plan = plan_of(*steps)
    order = [each.step_key for each in plan.steps]

    assert sorted(order) == sorted(each["stepKey"] for each in steps)
    assert all(order.index(needed) < order.index(each.step_key) for each in plan.steps for needed in each.depends_on)
    assert Plan.model_validate_json(plan.model_dump_json(by_alias=True)) == plan
    assert Plan.model_validate(plan.model_dump(mode="json")) == plan


@given(definitions(), st.data())
def test_an_edge_back_gives_a_cycle_that_is_spelled_out(steps: list[dict[str, Any]], data: st.DataObject) -> None:
    by_key = {each["stepKey"]: each for each in steps}
    start = data.draw(st.sampled_from(sorted(by_key)))
    ancestor = start
    while by_key[ancestor]["dependsOn"] and data.draw(st.booleans()):
        ancestor = data.draw(st.sampled_from(by_key[ancestor]["dependsOn"]))
    by_key[ancestor]["dependsOn"].append(start)

    told = [problem for problem in problems_of(*steps) if problem.code == "CYCLE"]

    assert len(told) == 1
    walk = told[0].message.split(": ")[1].split(";")[0].split(" → ")
    assert walk[0] == walk[-1]
    assert all(after in by_key[before]["dependsOn"] for before, after in pairwise(walk))
    assert told[0].path == f"steps[{[each['stepKey'] for each in steps].index(walk[0])}].dependsOn"


Steps = list[dict[str, Any]]
"""Of a definition, as they come by REST."""

salt = count()
"""Makes the expressions of each definition new, since the compiler remembers those that it has read."""


def chain(size: int) -> Steps:
    """Each step waits for the one before it and reads it."""
    key = f"k{next(salt)}s"
    reads = [{"x": f"{{{{ {key}{number - 1}.output.rows }}}}"} for number in range(size)]
    return [step(f"{key}0"), *(step(f"{key}{n}", f"{key}{n - 1}", inputs=reads[n]) for n in range(1, size))]


def fan_out(size: int) -> Steps:
    key = f"k{next(salt)}s"
    reads = [{"x": f"{{{{ {key}.output.field{number} }}}}"} for number in range(size)]
    return [step(key), *(step(f"{key}{n}", key, inputs=reads[n]) for n in range(1, size))]


def many_edges(size: int) -> Steps:
    return [step(f"s{n}", *(f"s{before}" for before in range(max(0, n - 10), n))) for n in range(size)]


def backwards(size: int) -> Steps:
    return [step(f"s{n}", *([f"s{n + 1}"] if n < size - 1 else [])) for n in range(size)]


SHAPES = [chain, fan_out, many_edges, backwards]


@pytest.mark.case(28)
@pytest.mark.parametrize("shape", SHAPES)
def test_a_thousand_steps_compile_within_a_second(shape: Callable[[int], Steps]) -> None:
    assert len(plan_of(*shape(1_000)).steps) == 1_000
    assert costs_less(1, lambda: partial(plan_of, *shape(1_000)))


@pytest.mark.case(28)
@pytest.mark.parametrize("shape", SHAPES)
def test_compiling_costs_as_much_as_there_are_steps(shape: Callable[[int], Steps]) -> None:
    def prepare(size: int) -> Callable[[], Plan]:
        steps = shape(size)
        return lambda: plan_of(*steps)

    assert growth(prepare, 200, 2_000) < LINEAR * 10


def test_the_schemas_of_an_agent_are_read_once_for_all_its_steps() -> None:
    fields = {f"p{n}": {"$ref": "#/$defs/a"} for n in range(3_000)}
    closed = {"properties": fields, "additionalProperties": False, "$defs": {"a": {"default": 1}}}
    large = agent(input_schema={**closed, "required": list(fields)}, output_schema=closed)
    reads = {"p1": "{{ root.output.p1.x }}"}

    def prepare(size: int) -> Callable[[], Plan]:
        steps = [step("root"), *(step(f"s{n}", "root", inputs=reads) for n in range(size))]
        return lambda: plan_of(*steps, agents=(large,))

    assert len(prepare(1_500)().steps) == 1_501
    assert growth(prepare, 15, 1_500) < 25  # 6 where the schemas outweigh the steps, 100 where each step reads them


def ring(size: int) -> Steps:
    return [step(f"s{n}", f"s{(n + 1) % size}") for n in range(size)]


def self_edges(size: int) -> Steps:
    return [step(f"s{n}", f"s{n}") for n in range(size)]


def same_key(size: int) -> Steps:
    return [step("same") for _ in range(size)]


def unknown_steps(size: int) -> Steps:
    return [step(f"s{n}", *(f"x{n}y{each}" for each in range(5))) for n in range(size)]


def unknown_names(size: int) -> Steps:
    key = f"k{next(salt)}"
    return [step(f"s{n}", inputs={f"i{each}": f"{{{{ {key}x{n}.y }}}}" for each in range(5)}) for n in range(size)]


BAD = [ring, self_edges, same_key, unknown_steps, unknown_names]


@pytest.mark.case(28)
@pytest.mark.parametrize("shape", BAD)
def test_large_bad_definitions_are_refused_as_fast(shape: Callable[[int], Steps]) -> None:
    def prepare(size: int) -> Callable[[], list[Problem]]:
        steps = shape(size)
        return lambda: problems_of(*steps)

    assert 0 < len(prepare(2_000)()) <= MAX_PROBLEMS
    assert costs_less(1, lambda: prepare(2_000))
    assert growth(prepare, 200, 2_000) < LINEAR * 10


def test_the_api_may_ask_for_problems_without_compiling() -> None:
    definition = parse_definition({"steps": [step("a")]})

    assert definition_problems(definition, {"a1": agent()}) == []
    assert found(definition_problems(definition, {})) == {("steps[0].agentId", "UNKNOWN_AGENT")}
