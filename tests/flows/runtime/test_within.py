"""Time limits of containers and nested runs: time of day from when they began, suspensions and all."""

from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest

from flows.plan import PlanStep
from flows.runtime.ports import Answer
from flows.states import ExecutionStatus, StepStatus
from tests.fakes.runtime import Drive, a_loop, a_parallel, a_run, a_step, a_wait, an_agent

APPROVAL = {"kind": "approval"}
ASK = a_wait("ask", wait=APPROVAL)
NOON = datetime(2026, 11, 21, 12, tzinfo=UTC)
MINUTE = timedelta(minutes=1)


def loop(**changes: object) -> PlanStep:
    return a_loop("box", steps=(ASK,), loop={"items": [1]}, timeout_seconds=60, **changes)


def parallel(**changes: object) -> PlanStep:
    return a_parallel("box", branches={"left": (ASK,)}, timeout_seconds=60, **changes)


class Clocked:
    """A drive whose time of day the test sets."""

    def __init__(self, *steps: PlanStep) -> None:
        self.now = NOON
        self.drive = Drive(*steps)
        self.attach()

    def attach(self) -> None:
        self.drive.ports = replace(self.drive.ports, now=lambda: self.now)
        self.drive.journal.now = lambda: self.now


@pytest.mark.parametrize(("container", "ask"), [(loop, "box[0].ask"), (parallel, "box.left.ask")])
async def test_the_time_of_a_container_goes_on_while_it_is_suspended(
    container: Callable[..., PlanStep], ask: str
) -> None:
    run = Clocked(container(), a_step("after", "box"))
    assert (await run.drive.once()).status is ExecutionStatus.PAUSED
    assert run.drive.journal.wake_at == NOON + MINUTE
    run.now = NOON + MINUTE / 2
    assert (await run.drive.once()).status is ExecutionStatus.PAUSED
    assert run.drive.journal.wake_at == NOON + MINUTE
    run.now = NOON + MINUTE
    outcome = await run.drive.once()
    assert outcome.status is ExecutionStatus.FAILED
    assert (outcome.error or {})["code"] == "TIMEOUT"
    assert run.drive.statuses == {"box": StepStatus.TIMEOUT, ask: StepStatus.CANCELLED, "after": StepStatus.SKIPPED}


async def test_a_run_goes_on_behind_what_was_out_of_time() -> None:
    run = Clocked(loop(continue_on_failure=True, default="late"), a_step("after", "box", inputs={"n": 1}))
    await run.drive.once()
    run.now += 2 * MINUTE
    assert (await run.drive.once()).outputs == {"after": {"n": 1}}
    assert run.drive.statuses["box[0].ask"] is StepStatus.CANCELLED


async def test_an_answer_before_that_is_in_time() -> None:
    run = Clocked(loop())
    await run.drive.once()
    run.now += MINUTE / 2
    run.drive.journal.given["box[0].ask"] = Answer(data={"approved": True}, by=None, via="REST", at=run.now)
    assert (await run.drive.once()).status is ExecutionStatus.COMPLETED
    assert run.drive.journal.wake_at == NOON + MINUTE, "of the suspension before"


async def test_the_first_of_several_limits_wakes_the_run() -> None:
    slower = loop().model_copy(update={"step_key": "slower", "timeout_seconds": 90.0})
    run = Clocked(a_parallel("both", branches={"a": (slower,), "b": (loop(),)}, timeout_seconds=600))
    await run.drive.once()
    assert run.drive.journal.wake_at == NOON + MINUTE


async def test_a_run_stays_for_a_limit_that_is_over_soon() -> None:
    run = Drive(loop().model_copy(update={"timeout_seconds": 0.2}))
    outcome = await run.once()
    assert (outcome.error or {})["code"] == "TIMEOUT"
    assert run.journal.suspended == 0
    assert run.statuses == {"box": StepStatus.TIMEOUT, "box[0].ask": StepStatus.CANCELLED}


async def test_a_nested_run_is_cancelled_when_the_time_of_its_step_is_over() -> None:
    child = a_run(ASK).plan
    outer = a_run(a_step("sub", agent="w", timeout_seconds=60), a_step("after", "sub")).plan
    agents = {**outer.agents, "w": an_agent(id="w", type="WORKFLOW")}
    run = Clocked()
    run.drive = Drive(run=replace(a_run(), plan=outer.model_copy(update={"agents": agents, "children": {"w": child}})))
    run.attach()
    assert (await run.drive.once()).status is ExecutionStatus.PAUSED
    assert run.drive.journal.wake_at == NOON + MINUTE
    (book,) = run.drive.journal.books.values()
    assert (book.status, book.wake_at) == (ExecutionStatus.PAUSED, None)
    run.now += MINUTE
    await run.drive.once()
    assert run.drive.statuses["sub"] is StepStatus.TIMEOUT
    assert book.status is ExecutionStatus.CANCELLED
