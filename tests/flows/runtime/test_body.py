"""Bodies of every shape against a reference interpreter of a few lines, which knows no time and no interruption."""

import asyncio
import random
from contextlib import suppress
from datetime import UTC, datetime
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from flows.plan import PlanStep
from flows.runtime.ports import Answer
from flows.runtime.step import WORKER_LOST
from flows.spec import StepType
from flows.states import ExecutionStatus, StepStatus, is_final
from tests.fakes.runtime import Drive, a_condition, a_loop, a_parallel, a_step, a_wait


@st.composite
def bodies(draw: st.DrawFn, *, depth: int = 0, name: str = "s", waits: bool = False) -> tuple[PlanStep, ...]:
    """A body of up to six steps with any edges, and bodies inside; every failure in it is dealt with."""
    drafts: list[dict[str, Any]] = []
    for number in range(draw(st.integers(1, 6 if depth == 0 else 3))):
        before = [draft["step_key"] for draft in drafts]
        kinds = ["works", "works", "continues", "falls_back", "condition"]
        kinds += ["loop", "parallel"] if depth < 2 else []
        kinds += ["wait"] if waits else []
        drafts.append(
            {
                "step_key": f"{name}{number}",
                "kind": draw(st.sampled_from(kinds)),
                "depends_on": draw(st.lists(st.sampled_from(before), unique=True, max_size=3)) if before else [],
                "gates": [],
                "fallback_of": [],
            }
        )
    for number, draft in enumerate(drafts):
        after = drafts[number + 1 :]
        if draft["kind"] == "condition":
            draft["holds"] = draw(st.booleans())
            draft["then"] = draw(st.lists(st.sampled_from(after), max_size=2, unique_by=id)) if after else []
            draft["else"] = draw(st.lists(st.sampled_from(after), max_size=2, unique_by=id)) if after else []
            for named in (*draft["then"], *draft["else"]):
                _link(named, draft, "gates")
        if draft["kind"] == "falls_back":
            if not after:
                draft["kind"] = "works"
                continue
            draft["fallback"] = draw(st.sampled_from(after))
            _link(draft["fallback"], draft, "fallback_of")
    return tuple([_finished(draw, draft, depth, waits) for draft in drafts])


def _link(named: dict[str, Any], by: dict[str, Any], kind: str) -> None:
    for edges in (named[kind], named["depends_on"]):
        if by["step_key"] not in edges:
            edges.append(by["step_key"])


def _finished(draw: st.DrawFn, draft: dict[str, Any], depth: int, waits: bool) -> PlanStep:
    key, kind = draft["step_key"], draft["kind"]
    edges = {"gates": draft["gates"], "fallback_of": draft["fallback_of"]}
    inner = bodies(depth=depth + 1, name=f"{key}_", waits=waits)
    match kind:
        case "condition":
            then, otherwise = ([each["step_key"] for each in draft[arm]] for arm in ("then", "else"))
            when = "true" if draft["holds"] else "false"
            step = a_condition(key, *draft["depends_on"], when=when, then=tuple(then), otherwise=tuple(otherwise))
            return step.model_copy(update={name: tuple(each) for name, each in edges.items()})
        case "loop":
            loop = {"items": list(range(draw(st.integers(0, 3)))), "max_concurrency": draw(st.integers(1, 3))}
            return a_loop(key, *draft["depends_on"], steps=draw(inner), loop=loop, **edges)
        case "parallel":
            branches = {"left": draw(inner), "right": draw(inner)}
            return a_parallel(key, *draft["depends_on"], branches=branches, **edges)
        case "wait":
            return a_wait(key, *draft["depends_on"], wait={"kind": "approval"}, **edges)
        case "works":
            return a_step(key, *draft["depends_on"], inputs={"n": 1}, **edges)
        case "continues":
            inputs = {"fail": "BOOM"}
            return a_step(key, *draft["depends_on"], inputs=inputs, continue_on_failure=True, default=0, **edges)
        case _:
            fallback = draft["fallback"]["step_key"]
            return a_step(key, *draft["depends_on"], inputs={"fail": "BOOM"}, fallback=fallback, **edges)


def interpreted(steps: tuple[PlanStep, ...], prefix: str = "") -> dict[str, StepStatus]:
    """How each step ends, by path: the rules once more, one step after another."""
    ends: dict[str, StepStatus] = {}
    chosen: set[str] = set()
    by_key = {step.step_key: step for step in steps}

    def ran(dependency: str, step: PlanStep) -> bool:
        before = by_key[dependency]
        if ends[prefix + dependency] is StepStatus.FAILED and not before.continue_on_failure:
            return before.fallback == step.step_key
        return ends[prefix + dependency] is not StepStatus.SKIPPED

    for step in steps:
        path = prefix + step.step_key
        failed_before = any(ends[prefix + key] is StepStatus.FAILED for key in step.fallback_of)
        if (
            (step.depends_on and not any(ran(key, step) for key in step.depends_on))
            or (step.gates and step.step_key not in chosen)
            or (step.fallback_of and not failed_before)
        ):
            ends[path] = StepStatus.SKIPPED
            continue
        ends[path] = StepStatus.FAILED if "fail" in step.inputs else StepStatus.COMPLETED
        if step.type is StepType.CONDITION:
            chosen.update(step.cases[0 if step.cases[0].when == "true" else 1].then)
        for inner_prefix, inner in _inner(step, path):
            ends |= interpreted(inner, inner_prefix)
    return ends


def _inner(step: PlanStep, path: str) -> list[tuple[str, tuple[PlanStep, ...]]]:
    if step.loop:
        return [(f"{path}[{index}].", step.loop.steps) for index in range(len(step.loop.items))]
    if step.parallel:
        return [(f"{path}.{name}.", steps) for name, steps in step.parallel.branches.items()]
    return []


def assert_order(drive: Drive, steps: tuple[PlanStep, ...], prefix: str = "") -> None:
    """No step begins before all that it depends on has ended; nothing inside a container outlives it."""
    events = {(kind, path): position for position, (kind, path, _) in enumerate(drive.journal.steps)}
    for step in steps:
        began = events.get(("start", prefix + step.step_key))
        for key in step.depends_on if began is not None else ():
            assert events.get(("end", prefix + key), -1) < began
        for inner_prefix, inner in _inner(step, prefix + step.step_key):
            assert_order(drive, inner, inner_prefix)
            for each in inner:
                ended = events.get(("end", inner_prefix + each.step_key), -1)
                assert ended < events.get(("end", prefix + step.step_key), len(events))


def assert_single_ends(drive: Drive) -> None:
    """One final record a step, whatever it took; nothing that ended was begun again."""
    final: dict[str, int] = {}
    for row in drive.journal.rows.values():
        if row.outcome and row.outcome.last:
            final[row.attempt.path] = final.get(row.attempt.path, 0) + 1
    assert set(final.values()) <= {1}
    assert {path for path in drive.executor.keys if drive.executor.keys.count(path) > 1} <= _lost(drive)


def _lost(drive: Drive) -> set[str]:
    return {row.attempt.path for row in drive.journal.rows.values() if row.outcome and not row.outcome.last}


def yes() -> Answer:
    return Answer(data={"approved": True, "comment": None}, by="me", via="REST", at=datetime.now(UTC))


quick = settings(max_examples=150, deadline=None, suppress_health_check=list(HealthCheck))
few = settings(max_examples=40, deadline=None, suppress_health_check=list(HealthCheck))


@quick
@given(steps=bodies())
def test_any_body_ends_as_the_rules_say(steps: tuple[PlanStep, ...]) -> None:
    drive = Drive(*steps)
    outcome = asyncio.run(drive.once())
    assert outcome.status is ExecutionStatus.COMPLETED
    assert drive.statuses == interpreted(steps)
    assert_order(drive, steps)
    assert_single_ends(drive)


@quick
@given(steps=bodies(), data=st.data())
def test_a_failure_that_nobody_deals_with_ends_the_run_and_leaves_nothing_open(
    steps: tuple[PlanStep, ...], data: st.DataObject
) -> None:
    doomed = data.draw(st.sampled_from(steps)).step_key
    steps = tuple(
        a_step(step.step_key, *step.depends_on, inputs={"fail": "DOOM"}, gates=step.gates, fallback_of=step.fallback_of)
        if step.step_key == doomed
        else step.model_copy(update={"fallback_of": tuple(key for key in step.fallback_of if key != doomed)})
        for step in steps
    )
    drive = Drive(*steps)
    outcome = asyncio.run(drive.once())
    expected = interpreted(steps)
    if expected[doomed] is StepStatus.SKIPPED:
        assert outcome.status is ExecutionStatus.COMPLETED
        return
    assert outcome.error == {"code": "DOOM", "message": "as told", "stepKey": doomed}
    assert {step.step_key for step in steps} <= set(drive.statuses)
    assert not {StepStatus.RUNNING, StepStatus.PENDING, StepStatus.PAUSED} & set(drive.statuses.values())
    assert_single_ends(drive)


@few
@given(steps=bodies(waits=True), seed=st.integers(0, 2**32))
def test_a_run_that_is_left_and_lost_on_its_way_ends_like_one_that_was_not(
    steps: tuple[PlanStep, ...], seed: int
) -> None:
    drive = Drive(*steps)
    asyncio.run(_with_interruptions(drive, random.Random(seed)))
    assert drive.statuses == interpreted(steps)
    assert_single_ends(drive)


async def _with_interruptions(drive: Drive, chance: random.Random) -> None:
    for _ in range(200):
        turns = chance.randrange(80)
        outcome = await (drive.once() if turns > 60 else _lost_after(drive, turns))
        if is_final(drive.journal.status):
            assert drive.journal.status is ExecutionStatus.COMPLETED
            return
        asked = {row.attempt.path for row in drive.journal.rows.values() if row.wait}
        waiting = sorted(asked - set(drive.journal.given))
        if waiting and (outcome is not None or chance.random() < 0.5):
            drive.journal.given[chance.choice(waiting)] = yes()
    pytest.fail("the run does not come to its end")


async def _lost_after(drive: Drive, turns: int) -> Any:
    running = asyncio.create_task(drive.once())
    for _ in range(turns):
        await asyncio.sleep(0)
    if not running.done():
        running.cancel(WORKER_LOST)
    with suppress(asyncio.CancelledError):
        return await running
    drive.journal.lose()
    return None
