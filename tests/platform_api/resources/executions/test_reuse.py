"""What a retry takes over, decided on plans and records alone."""

import time
from collections.abc import Mapping
from typing import Any

import pytest

from agents.spec import AgentSpec, AgentType
from flows.plan import Plan, PlanCase, PlanLoop, PlanParallel, PlanStep, PlanWorkflow
from flows.spec import StepType
from flows.states import StepStatus
from platform_api.kit.ids import new_id
from platform_api.resources.executions.reuse import Ran, Reuse, step_from

DONE, FAILED, SKIPPED = StepStatus.COMPLETED, StepStatus.FAILED, StepStatus.SKIPPED
AGENT = AgentSpec(id="a", version=1, name="A", type=AgentType.CODE, config={})


def a_step(key: str, *depends_on: str, **fields: Any) -> PlanStep:
    kind = fields.pop("type", StepType.AGENT)
    return PlanStep(step_key=key, name=key, type=kind, agent="a", depends_on=depends_on, **fields)


def a_loop(key: str, *depends_on: str, steps: tuple[PlanStep, ...], **fields: Any) -> PlanStep:
    loop = PlanLoop(**{"items": "inputs.list", "steps": steps, **fields})
    return PlanStep(step_key=key, name=key, type=StepType.LOOP, loop=loop, depends_on=depends_on)


def a_plan(*steps: PlanStep, agent: AgentSpec = AGENT, version: int = 1) -> Plan:
    workflow = PlanWorkflow(id="", name="W", slug="w", version=version, tenant_id="", tenant_slug="t")
    return Plan(workflow=workflow, steps=steps, agents={"a": agent})


def a_run(statuses: Mapping[str, StepStatus]) -> list[Ran]:
    return [
        Ran(id=new_id(), step_key=path.rpartition(".")[2], path=path, attempt=1, status=status, finished=True)
        for path, status in statuses.items()
    ]


def kept(
    statuses: Mapping[str, StepStatus], before: Plan, now: Plan | None = None, start: str | None = None
) -> set[str]:
    return {each.path for each in Reuse(a_run(statuses), before, now or before, start).kept()}


CHAIN = a_plan(a_step("a"), a_step("b", "a"), a_step("c", "b"), a_step("beside"))
LOOP = a_plan(
    a_step("first"),
    a_loop("each", "first", steps=(a_step("x"), a_step("y", "x"))),
    a_step("last", "each"),
)
ITEMS = {f"each[{index}].{key}": DONE for index in range(3) for key in "xy"}


def test_what_has_completed_is_kept_and_the_rest_is_not() -> None:
    assert kept({"a": DONE, "b": FAILED, "c": SKIPPED, "beside": StepStatus.CANCELLED}, CHAIN) == {"a"}


def test_a_retry_from_a_step_leaves_that_step_and_all_that_depends_on_it() -> None:
    assert kept(dict.fromkeys(("a", "b", "c", "beside"), DONE), CHAIN, start="b") == {"a", "beside"}


def test_a_failure_that_was_dealt_with_is_an_outcome() -> None:
    plan = a_plan(a_step("a", continue_on_failure=True), a_step("b", "a"), a_step("c", "b"))
    assert kept({"a": FAILED, "b": DONE, "c": FAILED}, plan) == {"a", "b"}


def test_a_failure_that_another_attempt_was_to_follow_is_none() -> None:
    plan = a_plan(a_step("a", continue_on_failure=True))
    ran = Ran(id=new_id(), step_key="a", path="a", attempt=1, status=FAILED, finished=False)
    assert Reuse([ran], plan, plan).kept() == []


def test_a_skipped_branch_lets_the_join_be_kept() -> None:
    decide = PlanStep(step_key="if", name="if", type=StepType.CONDITION, cases=(PlanCase(when="true", then=("yes",)),))
    plan = a_plan(
        decide, a_step("yes", "if", gates=("if",)), a_step("no", "if", gates=("if",)), a_step("join", "yes", "no")
    )
    statuses = {"if": DONE, "yes": DONE, "no": SKIPPED, "join": DONE}
    assert kept(statuses, plan) == {"if", "yes", "join"}
    assert kept(statuses, plan, start="if") == set()
    assert kept(statuses, plan, start="no") == {"if", "yes"}


def test_items_that_are_done_are_kept_in_a_loop_that_is_not() -> None:
    statuses = {"first": DONE, "each": FAILED, **ITEMS, "each[1].y": FAILED, "last": SKIPPED}
    assert kept(statuses, LOOP) == {"first", *ITEMS} - {"each[1].y"}


def test_a_retry_from_inside_an_item_leaves_the_other_items() -> None:
    statuses = {"first": DONE, "each": DONE, **ITEMS, "last": DONE}
    assert kept(statuses, LOOP, start="each[1].x") == {"first", *ITEMS} - {"each[1].x", "each[1].y"}


def test_a_retry_from_before_a_loop_leaves_all_of_it() -> None:
    statuses = {"first": DONE, "each": DONE, **ITEMS, "last": DONE}
    assert kept(statuses, LOOP, start="first") == set()
    assert kept(statuses, LOOP, start="each") == {"first"}


@pytest.mark.parametrize(
    "fields",
    [
        {"items": None, "condition": "index < 3"},
        {"max_concurrency": 1, "collect": "{{ previous.output }}"},
    ],
)
def test_items_that_build_on_the_item_before_go_with_it(fields: dict[str, Any]) -> None:
    plan = a_plan(a_loop("each", steps=(a_step("x"), a_step("y", "x")), **fields))
    statuses = {"each": DONE, **ITEMS}
    assert kept(statuses, plan, start="each[1].y") == {"each[0].x", "each[0].y", "each[1].x"}


def test_a_branch_leaves_the_other_branches() -> None:
    branches = {"left": (a_step("x"), a_step("y", "x")), "right": (a_step("z"),)}
    parallel = PlanStep(step_key="both", name="both", type=StepType.PARALLEL, parallel=PlanParallel(branches=branches))
    plan = a_plan(parallel, a_step("last", "both"))
    statuses = dict.fromkeys(("both", "both.left.x", "both.left.y", "both.right.z", "last"), DONE)
    assert kept(statuses, plan, start="both.left.y") == {"both.left.x", "both.right.z"}


class TestAnotherVersion:
    ALL = dict.fromkeys(("a", "b", "c", "beside"), DONE)

    def test_what_is_the_same_is_kept(self) -> None:
        assert kept({**self.ALL, "c": FAILED}, CHAIN, CHAIN.model_copy()) == {"a", "b", "beside"}

    def test_a_changed_step_goes_with_what_depends_on_it(self) -> None:
        now = a_plan(a_step("a"), a_step("b", "a", inputs={"n": 1}), a_step("c", "b"), a_step("beside"), version=2)
        assert kept(self.ALL, CHAIN, now) == {"a", "beside"}

    def test_another_version_of_the_agent_is_a_change(self) -> None:
        now = a_plan(*CHAIN.steps, agent=AGENT.model_copy(update={"version": 2}))
        assert kept(self.ALL, CHAIN, now) == set()

    def test_other_names_retries_and_timeouts_are_none(self) -> None:
        now = a_plan(*(step.model_copy(update={"name": "N", "timeout_seconds": 5.0}) for step in CHAIN.steps))
        assert kept(self.ALL, CHAIN, now) == set(self.ALL)

    def test_a_step_that_is_gone_is_left_and_one_that_is_new_has_nothing(self) -> None:
        now = a_plan(a_step("a"), a_step("new", "a"), a_step("c", "new"), a_step("beside"))
        assert kept(self.ALL, CHAIN, now) == {"a", "beside"}

    def test_other_items_are_other_bodies(self) -> None:
        first, each, last = LOOP.steps
        assert each.loop is not None
        other = each.model_copy(update={"loop": each.loop.model_copy(update={"items": "inputs.other"})})
        statuses = {"first": DONE, "each": FAILED, **ITEMS, "last": SKIPPED}
        assert kept(statuses, LOOP, a_plan(first, other, last)) == {"first"}

    def test_a_change_inside_a_loop_leaves_what_does_not_depend_on_it(self) -> None:
        first, each, last = LOOP.steps
        assert each.loop is not None
        body = (a_step("x"), a_step("y", "x", inputs={"n": 2}))
        other = each.model_copy(update={"loop": each.loop.model_copy(update={"steps": body})})
        statuses = {"first": DONE, "each": DONE, **ITEMS, "last": DONE}
        assert kept(statuses, LOOP, a_plan(first, other, last)) == {"first", *(f"each[{n}].x" for n in range(3))}


class TestWhereToGoOnFrom:
    RAN = a_run({"first": DONE, "each": DONE, **ITEMS, "last": SKIPPED})

    @pytest.mark.parametrize("path", ["first", "each", "last", "each[2].y"])
    def test_a_path_stands_for_itself(self, path: str) -> None:
        assert step_from(path, self.RAN, LOOP) == path

    def test_a_bare_key_names_the_one_step_that_has_it(self) -> None:
        ran = a_run({"first": DONE, "each": FAILED, "each[0].x": FAILED})
        assert step_from("x", ran, LOOP) == "each[0].x"

    def test_a_bare_key_of_several_steps_names_none(self) -> None:
        with pytest.raises(LookupError) as refused:
            step_from("x", self.RAN, LOOP)
        assert refused.value.args == ("each[0].x", "each[1].x", "each[2].x")

    @pytest.mark.parametrize("path", ["other", "each[9].x", "each[0].other", "each.x", ""])
    def test_what_is_not_there_is_refused(self, path: str) -> None:
        with pytest.raises(KeyError):
            step_from(path, self.RAN, LOOP)


def test_ten_thousand_items_in_turn_are_decided_on_in_seconds_and_without_deep_recursion() -> None:
    body = (a_step("x"), a_step("y", "x"))
    plan = a_plan(a_loop("each", steps=body, items=None, condition="index < 10000"))
    statuses = {f"each[{index}].{key}": SKIPPED if key == "y" else DONE for index in range(10_000) for key in "xy"}
    begun = time.process_time()
    assert len(kept({"each": FAILED, **statuses}, plan)) == 10_000
    assert time.process_time() - begun < 10


def test_a_plan_of_a_table_is_kept_only_for_the_step_that_computes_it() -> None:
    fused = a_plan(a_step("a", fused_into="b"), a_step("b", "a", lazy_inputs=("a",)), a_step("c", "b"))
    apart = a_plan(a_step("a"), a_step("b", "a"), a_step("c", "b"))
    done = {"a": DONE, "b": FAILED}
    assert kept(done, fused) == kept(done, apart) == {"a"}
    assert kept(done, fused, apart) == kept(done, apart, fused) == set()
