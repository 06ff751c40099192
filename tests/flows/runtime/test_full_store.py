"""A result store without room fails the step, or the run, that needs it; once there is room the same goes well."""

from typing import Any

import pytest

from agents.errors import StorageFailed
from flows.runtime.record import INLINE_BYTES
from flows.states import ExecutionStatus, StepStatus
from tests.fakes.runtime import Drive, MemoryResults, ScriptedExecutor, a_step, some_ports

pytestmark = pytest.mark.case(38)

LARGE = "x" * (INLINE_BYTES + 1)
RETRY = {"max_attempts": 3, "delay_seconds": 0, "backoff": 1, "max_delay_seconds": 0, "jitter": 0}


class SmallResults(MemoryResults):
    """Has no room for the first so many results."""

    def __init__(self, refusals: int) -> None:
        super().__init__()
        self.refusals = refusals

    async def keep_json(self, payload: bytes) -> str:
        if self.refusals:
            self.refusals -= 1
            raise StorageFailed("The disk of the result store is full", code="STORAGE_FULL")
        return await super().keep_json(payload)


def drive(refusals: int, output: Any = LARGE, **step: Any) -> Drive:
    executor = ScriptedExecutor(lambda *_: output)
    made = Drive(a_step("only", **step), executor=executor)
    made.ports = some_ports(executor, journal=made.journal, results=SmallResults(refusals))
    return made


async def test_a_step_whose_result_has_no_room_fails_and_says_why() -> None:
    run = drive(1)
    outcome = await run.once()
    assert (outcome.status, (outcome.error or {})["code"]) == (ExecutionStatus.FAILED, "STORAGE_FULL")
    assert run.statuses == {"only": StepStatus.FAILED}


async def test_it_is_tried_again_as_its_policy_says() -> None:
    run = drive(1, retry={**RETRY, "retry_on": ["STORAGE_FULL"]})
    assert (await run.once()).status is ExecutionStatus.COMPLETED
    assert run.executor.keys == ["only", "only"]


async def test_a_run_whose_outputs_have_no_room_fails_and_its_steps_stay() -> None:
    """Each step's result fits its record; all together do not."""
    half = "x" * (INLINE_BYTES - 100)
    executor = ScriptedExecutor(lambda *_: half)
    run = Drive(a_step("one"), a_step("two"), executor=executor)
    run.ports = some_ports(executor, journal=run.journal, results=SmallResults(1))
    outcome = await run.once()
    assert (outcome.status, (outcome.error or {})["code"]) == (ExecutionStatus.FAILED, "STORAGE_FULL")
    assert set(run.statuses.values()) == {StepStatus.COMPLETED}
