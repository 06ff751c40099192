"""Paths: what lies where, and which step of the plan a record belongs to."""

import pytest

from flows.plan import Plan, PlanLoop, PlanParallel, PlanStep, PlanWorkflow
from flows.runtime.paths import containers_of, is_top_level, lies_in, step_at
from flows.spec import StepType


def a_step(key: str, kind: StepType = StepType.CONDITION, **fields: object) -> PlanStep:
    return PlanStep.model_validate({"step_key": key, "name": key, "type": kind, **fields})


def a_plan() -> Plan:
    inner = a_step("inner", StepType.LOOP, loop=PlanLoop(items=[1], steps=(a_step("y"),)))
    both = PlanParallel(branches={"left": (a_step("x"), inner), "right": (a_step("z"),)})
    body = (a_step("fetch"), a_step("both", StepType.PARALLEL, parallel=both))
    each = a_step("each", StepType.LOOP, loop=PlanLoop(items=[1], steps=body))
    workflow = PlanWorkflow(id="", name="W", slug="w", version=1, tenant_id="", tenant_slug="t")
    return Plan(workflow=workflow, steps=(a_step("first"), each))


@pytest.mark.parametrize(
    "path",
    [
        *("first", "each", "each[3].fetch", "each[3].both", "each[3].both.left.x", "each[0].both.right.z"),
        *("each[0].both.left.inner", "each[0].both.left.inner[12].y"),
    ],
)
def test_a_path_leads_to_its_step(path: str) -> None:
    step = step_at(a_plan(), path)
    assert step is not None
    assert path.endswith(step.step_key)


@pytest.mark.parametrize(
    "path",
    [
        *("", "other", "fetch", "each[3]", "each.fetch", "each[3].x", "each[3].both.left", "each[3].both.middle.x"),
        *("first[0]", "first.fetch", "each[3].both.x", "each[3].fetch.x"),
    ],
)
def test_no_step_lies_elsewhere(path: str) -> None:
    assert step_at(a_plan(), path) is None


def test_containers_are_told_from_the_outside_in() -> None:
    assert containers_of("a") == ()
    assert containers_of("each[3].both.left.x") == ("each", "each[3]", "each[3].both", "each[3].both.left")


def test_only_the_top_level_counts() -> None:
    assert is_top_level("each")
    assert not is_top_level("each[0].a")
    assert not is_top_level("both.left.a")


@pytest.mark.parametrize(
    ("path", "inside"), [("each", True), ("each[1].a", True), ("each.left", True), ("eachother", False), ("a", False)]
)
def test_what_lies_in_a_container(path: str, inside: bool) -> None:
    assert lies_in(path, "each") is inside
