"""Branches at once: all of them, or the first that ends well."""

import asyncio

from flows.states import ExecutionStatus, StepStatus
from tests.fakes.runtime import Drive, a_parallel, a_step

FAST = (a_step("fast", inputs={"n": 1}),)
SLOW = (a_step("slow", inputs={"sleep": 30}), a_step("after", "slow"))
BROKEN = (a_step("broken", inputs={"fail": "BOOM"}), a_step("after", "broken"))


async def test_the_output_has_every_branch_in_written_order() -> None:
    branches = {"b": FAST, "a": (a_step("x", inputs={"sleep": 0.01}),), "nothing": ()}
    outcome = await Drive(a_parallel("both", branches=branches)).once()
    assert outcome.outputs == {"both": {"b": {"n": 1}, "a": {"sleep": 0.01}, "nothing": None}}
    assert list(outcome.outputs["both"]) == ["b", "a", "nothing"]


async def test_branches_of_one_parallel_may_have_the_same_keys_and_see_what_is_outside() -> None:
    branch = (a_step("same", inputs={"n": "{{ load.output.n }}"}),)
    parallel = a_parallel("both", "load", branches={"left": branch, "right": branch})
    drive = Drive(
        a_step("load", inputs={"n": 7}), parallel, a_step("end", "both", inputs={"b": "{{ both.output.left.n }}"})
    )
    assert (await drive.once()).outputs == {"end": {"b": 7}}
    assert {"both.left.same", "both.right.same"} <= set(drive.statuses)


async def test_a_broken_branch_stops_the_others_and_fails_the_step_with_its_path() -> None:
    drive = Drive(a_parallel("both", branches={"left": SLOW, "right": BROKEN}))
    async with asyncio.timeout(5):
        outcome = await drive.once()
    assert outcome.error == {"code": "BOOM", "message": "as told", "stepKey": "both.right.broken"}
    assert drive.statuses == {
        "both": StepStatus.FAILED,
        "both.left.slow": StepStatus.CANCELLED,
        "both.left.after": StepStatus.SKIPPED,
        "both.right.broken": StepStatus.FAILED,
        "both.right.after": StepStatus.SKIPPED,
    }


async def test_under_continue_a_broken_branch_is_null() -> None:
    drive = Drive(a_parallel("both", branches={"left": FAST, "right": BROKEN}, continue_on_failure=True))
    assert (await drive.once()).outputs == {"both": {"left": {"n": 1}, "right": None}}


async def test_any_takes_the_first_that_ends_well_and_cancels_the_rest() -> None:
    drive = Drive(a_parallel("both", branches={"slow": SLOW, "broken": BROKEN, "fast": FAST}, wait="any"))
    async with asyncio.timeout(5):
        outcome = await drive.once()
    assert outcome.outputs == {"both": {"fast": {"n": 1}}}
    assert drive.statuses["both.slow.slow"] is StepStatus.CANCELLED
    assert "fast" in drive.journal.skipped["both.slow.after"]


async def test_any_fails_when_all_fail() -> None:
    drive = Drive(a_parallel("both", branches={"one": BROKEN, "two": BROKEN}, wait="any"))
    outcome = await drive.once()
    assert outcome.error is not None
    assert (outcome.error["code"], outcome.error["stepKey"]) == ("BOOM", "both.one.broken")
    assert set(outcome.error["details"]["branches"]) == {"one", "two"}


async def test_few_at_once() -> None:
    branches = {f"b{number}": (a_step("x", inputs={"sleep": 0.01}),) for number in range(5)}
    drive = Drive(a_parallel("both", branches=branches, max_concurrency=2))
    assert (await drive.once()).status is ExecutionStatus.COMPLETED
    assert drive.executor.most_at_once == 2


async def test_past_its_time_everything_in_it_is_stopped() -> None:
    drive = Drive(a_parallel("both", branches={"slow": SLOW}, timeout_seconds=0.05))
    outcome = await drive.once()
    assert outcome.error is not None
    assert outcome.error["code"] == "TIMEOUT"
    assert drive.statuses["both"] is StepStatus.TIMEOUT
    assert drive.statuses["both.slow.slow"] is StepStatus.CANCELLED
