"""What plans say of conditions, containers and waits; random nested definitions; growth."""

import time
from collections.abc import Iterable, Iterator
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agents.spec import AgentSpec
from flows.compiler.compile import compile_plan
from flows.compiler.lowering import inner_steps
from flows.compiler.shape import parse_definition
from flows.plan import Plan, PlanCase, PlanStep
from tests.flows.compiler.definitions import WORKFLOW, agent, condition, loop, parallel, problems_of, step, wait


def plan_of(*steps: dict[str, Any], agents: Iterable[AgentSpec] = (agent(),), **options: Any) -> Plan:
    definition = parse_definition({"steps": list(steps)})
    return compile_plan(definition, WORKFLOW, {each.id: each for each in agents}, **options)


def planned(*steps: dict[str, Any], agents: Iterable[AgentSpec] = (agent(),)) -> dict[str, PlanStep]:
    return {each.step_key: each for each in plan_of(*steps, agents=agents).steps}


def test_naming_a_step_is_an_edge_and_a_gate() -> None:
    found = planned(
        step("end", "yes", "no"),
        step("yes", "load"),
        step("no"),
        condition("fork", "{{ load.output > 1 }}", "load", then=["yes"], **{"else": ["no", "no"]}),
        step("load", fallback="rescue"),
        step("rescue"),
    )

    assert list(found) == ["load", "fork", "yes", "no", "end", "rescue"]
    assert (found["yes"].depends_on, found["yes"].gates) == (("load", "fork"), ("fork",))
    assert (found["no"].depends_on, found["no"].gates) == (("fork",), ("fork",))
    assert found["fork"].cases == (
        PlanCase(when="load.output > 1", then=("yes",)), PlanCase(when=None, then=("no", "no"))
    )  # fmt: skip
    assert (found["load"].fallback, found["load"].fallback_of) == ("rescue", ())
    assert (found["rescue"].depends_on, found["rescue"].fallback_of, found["rescue"].gates) == (
        ("load",),
        ("load",),
        (),
    )


def test_cases_are_kept_in_order_and_end_with_one_that_always_holds() -> None:
    cases = [{"when": "inputs.a", "then": ["x"]}, {"when": "inputs.b"}]
    found = planned(
        {"stepKey": "c", "type": "CONDITION", "config": {"cases": cases, "default": ["y"]}}, step("x"), step("y")
    )

    assert [(case.when, case.then) for case in found["c"].cases] == [
        ("inputs.a", ("x",)),
        ("inputs.b", ()),
        (None, ("y",)),
    ]
    assert found["y"].gates == ("c",)


def test_a_loop_has_its_body_in_order_and_its_items_as_a_document() -> None:
    each = loop(
        "each",
        "inputs.rows",
        step("b", "a"),
        step("a"),
        batchSize=10,
        maxConcurrency=3,
        maxIterations=7,
        collect="{{ b.output }}",
    )
    found = planned(
        each,
        loop("again", None, step("a"), **{"while": "{{ index < 3 }}"}),
        loop("fixed", ["{{ inputs.a }}", 2], step("a")),
    )

    body = found["each"].loop
    assert body is not None
    assert body.model_dump(exclude={"steps"}) == {
        "items": "{{ inputs.rows }}", "condition": None, "max_concurrency": 3, "batch_size": 10, "max_iterations": 7,
        "collect": "{{ b.output }}",
    }  # fmt: skip
    assert [each.step_key for each in body.steps] == ["a", "b"]
    assert "steps" not in found["each"].config
    again = found["again"].loop
    assert again is not None
    assert (again.items, again.condition, again.max_concurrency) == (None, "index < 3", 1)
    fixed = found["fixed"].loop
    assert fixed is not None
    assert fixed.items == ["{{ inputs.a }}", 2]


def test_a_parallel_keeps_its_branches_in_order_and_a_wait_its_config() -> None:
    both = parallel("both", z=[step("a"), step("b", "a")], a=[step("a")])
    both["config"] |= {"wait": "any", "maxConcurrency": 1}
    found = planned(both, wait("ask", "event", eventType="x", filter="{{ event.data.n > 1 }}", timeoutSeconds=5))

    body = found["both"].parallel
    assert body is not None
    assert {name: [each.step_key for each in steps] for name, steps in body.branches.items()} == {
        "z": ["a", "b"],
        "a": ["a"],
    }
    assert list(body.branches) == ["z", "a"]
    assert (body.wait, body.max_concurrency) == ("any", 1)
    asked = found["ask"].wait
    assert asked is not None
    assert (asked.event_type, asked.filter, asked.timeout_seconds) == ("x", "event.data.n > 1", 5)


def test_agents_inside_are_part_of_the_plan() -> None:
    plan = plan_of(loop("l", "inputs.x", parallel("p", a=[step("a", agentId="a2")])), agents=(agent(), agent("a2")))

    assert list(plan.agents) == ["a2"]
    assert Plan.model_validate_json(plan.model_dump_json(by_alias=True)) == plan


@pytest.mark.parametrize(
    ("kind", "config", "repeatable"),
    [
        ("CODE", {}, True),
        ("CODE", {"network": False}, True),
        ("CODE", {"network": ["api.example.com"]}, False),
        ("CODE", {"network": True, "idempotent": True}, True),
        ("DATA", {"sink": {"path": "x.csv"}}, True),
        ("LLM", {}, True),
        ("API", {}, True),
        ("API", {"method": "get"}, True),
        ("API", {"method": "PUT"}, True),
        ("API", {"method": "POST"}, False),
        ("API", {"method": "PATCH"}, False),
        ("API", {"method": "{{ env.METHOD }}"}, False),
        ("API", {"method": "POST", "idempotent": True}, True),
        ("API", {"method": "GET", "idempotent": False}, False),
        ("WORKFLOW", {}, False),
    ],
)
def test_what_must_not_be_done_twice_unasked(kind: str, config: dict[str, Any], repeatable: bool) -> None:
    assert planned(step("a"), agents=(agent(kind=kind, config=config),))["a"].repeatable is repeatable


def test_a_nested_workflow_may_be_repeated_when_all_that_it_does_may() -> None:
    posts = agent("posts", "API", config={"method": "POST"})
    runs = agent("runs", "WORKFLOW", config={"workflowId": "w2"})
    harmless = plan_of(loop("l", "inputs.x", step("a")))
    harmful = plan_of(loop("l", "inputs.x", parallel("p", a=[step("a", agentId="posts")])), agents=(posts,))

    for child, repeatable in ((harmless, True), (harmful, False)):
        plan = plan_of(step("s", agentId="runs"), agents=(runs,), children={"runs": child, "unused": harmless})
        assert plan.steps[0].repeatable is repeatable
        assert plan.children == {"runs": child}
        assert Plan.model_validate_json(plan.model_dump_json(by_alias=True)) == plan


def test_inputs_of_a_workflow_agent_are_those_of_its_config() -> None:
    handing = agent(
        kind="WORKFLOW", config={"workflowId": "{{ not.a.template }}", "inputs": {"a": "{{ inputs.path }}"}}
    )

    assert [(each.path, each.code) for each in problems_of(step("s"), agents=(handing,))] == [
        ("steps[0].inputs.path", "MISSING_INPUT")
    ]
    assert problems_of(step("s", inputs={"path": 1}), agents=(handing,)) == []


def test_a_workflow_agent_is_handed_no_secrets() -> None:
    given = agent(kind="WORKFLOW", config={"workflowId": "w2"})
    handing = agent(kind="WORKFLOW", config={"workflowId": "w2", "inputs": {"a": "{{ secrets.K }}"}})

    for each, path in ((given, "steps[0].inputs.a"), (handing, "steps[0].agentId")):
        inputs = {"a": "{{ secrets.K }}"} if each is given else {}
        (problem,) = problems_of(step("s", inputs=inputs), agents=(each,), secrets=("K",))
        assert (problem.path, problem.code) == (path, "UNKNOWN_REFERENCE")


@st.composite
def bodies(draw: st.DrawFn, prefix: str = "", depth: int = 0) -> list[dict[str, Any]]:
    """Steps of every type without a cycle, written in any order; each reads some of its dependencies."""
    keys = [f"{prefix}s{n}" for n in range(draw(st.integers(1, 5)))]
    steps = []
    for at, key in enumerate(keys):
        needed = draw(st.lists(st.sampled_from(keys[:at]), unique=True, max_size=2)) if at else []
        later = draw(st.lists(st.sampled_from(keys[at + 1 :]), unique=True, max_size=2)) if keys[at + 1 :] else []
        made = draw(containers(key, later, depth))
        if made["type"] == "AGENT":
            made["inputs"] = {each: f"{{{{ {each}.output }}}}" for each in needed}
        steps.append({**made, "dependsOn": needed})
    return list(draw(st.permutations(steps)))


@st.composite
def containers(draw: st.DrawFn, key: str, later: list[str], depth: int) -> dict[str, Any]:
    kinds = ["AGENT", "CONDITION", "WAIT", *(["LOOP", "PARALLEL"] if depth < 3 else [])]
    match draw(st.sampled_from(kinds)):
        case "CONDITION":
            return condition(key, "inputs.x", then=later[:1], **{"else": later[1:]})
        case "WAIT":
            return wait(key, "duration", seconds=1)
        case "LOOP":
            return loop(key, "inputs.x", *draw(bodies(f"{key}_", depth + 1)))
        case "PARALLEL":
            return parallel(key, a=draw(bodies(f"{key}_", depth + 1)), b=draw(bodies(f"{key}_", depth + 1)))
        case _:
            return {**step(key), "type": "AGENT", **({"fallback": later[0]} if later else {})}


def nested_bodies(steps: tuple[PlanStep, ...]) -> Iterator[tuple[PlanStep, ...]]:
    yield steps
    for each in steps:
        for body in (each.loop.steps,) if each.loop else (each.parallel.branches.values() if each.parallel else ()):
            yield from nested_bodies(body)


@given(bodies())
def test_random_nested_definitions_compile_in_an_order_that_respects_every_edge(steps: list[dict[str, Any]]) -> None:
    told = problems_of(*steps)
    assert {problem.code for problem in told} <= {"UNREACHABLE_STEP"}
    if told:
        return
    plan = plan_of(*steps)

    for body in nested_bodies(plan.steps):
        order = [each.step_key for each in body]
        for each in body:
            assert all(order.index(needed) < order.index(each.step_key) for needed in each.depends_on)
            assert {*each.gates, *each.fallback_of} <= set(each.depends_on)
            named = {key for case in each.cases for key in case.then} | ({each.fallback} if each.fallback else set())
            assert all(each.step_key in other.depends_on for other in body if other.step_key in named)
    assert Plan.model_validate_json(plan.model_dump_json(by_alias=True)) == plan


def count(steps: Iterable[PlanStep]) -> int:
    return sum(1 + count(inner_steps(each)) for each in steps)


def chain(prefix: str, size: int) -> list[dict[str, Any]]:
    keys = [f"{prefix}{n}" for n in range(size)]
    reads = [{"x": f"{{{{ {before}.output.rows }}}}"} for before in keys]
    return [
        step(keys[0]),
        *(step(key, before, inputs=read) for before, key, read in zip(keys, keys[1:], reads, strict=False)),
    ]


def deep(levels: int, size: int) -> list[dict[str, Any]]:
    inner = [loop(f"l{levels}", f"l{levels}s0.output", *deep(levels - 1, size))] if levels else []
    for each in inner:
        each["dependsOn"] = [f"l{levels}s0"]
    return [*chain(f"l{levels}s", size), *inner]


ONE_BODY = [loop("each", "inputs.rows", *chain("s", 999))]
EIGHT_DEEP = deep(8, 110)
MANY_BODIES = [
    loop(f"l{n}", "inputs.rows", step("a"), step("b", "a", inputs={"x": "{{ a.output }} {{ item }}"}))
    for n in range(330)
]
GATES = [
    step("s0"),
    *(condition(f"c{n}", "inputs.x", f"s{n}", then=[f"s{n + 1}"]) for n in range(490)),
    *(step(f"s{n + 1}") for n in range(490)),
]
WIDE = [condition("c", "inputs.x", then=[f"s{n}" for n in range(1_000)]), *(step(f"s{n}") for n in range(1_000))]


@pytest.mark.parametrize(
    "steps", [ONE_BODY, EIGHT_DEEP, MANY_BODIES, GATES, WIDE], ids=["one", "deep", "many", "gates", "wide"]
)
def test_a_thousand_nested_steps_compile_in_well_under_a_second(steps: list[dict[str, Any]]) -> None:
    started = time.process_time()
    definition = parse_definition({"steps": steps})
    plan = compile_plan(definition, WORKFLOW, {"a1": agent()})

    assert 950 <= count(plan.steps) <= 1_050
    assert time.process_time() - started < 3  # a fraction of it when nothing measures coverage
