"""A thousand steps in a run: in order, each once, however they hang together."""

from collections.abc import Callable

import pytest

from flows.plan import PlanStep
from flows.states import ExecutionStatus, StepStatus
from tests.fakes.runtime import Drive, a_step

SIZE = 1_000


def chain() -> list[PlanStep]:
    return [a_step("s0"), *(a_step(f"s{n}", f"s{n - 1}") for n in range(1, SIZE))]


def fan_out() -> list[PlanStep]:
    return [a_step("s0"), *(a_step(f"s{n}", "s0") for n in range(1, SIZE))]


def many_edges() -> list[PlanStep]:
    return [a_step(f"s{n}", *(f"s{before}" for before in range(max(0, n - 10), n))) for n in range(SIZE)]


@pytest.mark.case(28)
@pytest.mark.parametrize("shape", [chain, fan_out, many_edges])
async def test_a_thousand_steps_run_in_order_and_once_each(shape: Callable[[], list[PlanStep]]) -> None:
    steps = shape()
    drive = Drive(*steps)
    outcome = await drive.once()
    assert outcome.status is ExecutionStatus.COMPLETED
    assert set(drive.statuses.values()) == {StepStatus.COMPLETED}
    moments = {(kind, path): place for place, (kind, path, _) in enumerate(drive.journal.steps)}
    assert len(drive.journal.steps) == len(moments) == 2 * SIZE
    late = [
        step.step_key
        for step in steps
        for before in step.depends_on
        if moments["end", before] > moments["start", step.step_key]
    ]
    assert late == []
