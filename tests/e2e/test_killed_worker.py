"""What is promised of a worker that is killed: little time, at most one step twice, nothing lost."""

import pytest

from tests.factories.killed_worker import STEPS, a_chain, killed_in_the_middle
from tests.fixtures.live import Live

pytestmark = [pytest.mark.e2e, pytest.mark.slow, pytest.mark.timeout(280), pytest.mark.case(32)]

PATIENCE_SECONDS = 150.0
"""The goal is 5 s on a machine that does nothing else (`tests/bench`)."""


async def test_a_killed_worker_costs_one_step_at_most_and_loses_nothing(live: Live) -> None:
    recovered = await killed_in_the_middle(live, await a_chain(live))
    execution = recovered.execution
    assert (execution["status"], execution["outputs"]) == ("COMPLETED", {f"s{STEPS}": {"n": STEPS}}), execution
    assert recovered.repeated <= 1
    assert recovered.seconds < PATIENCE_SECONDS
    print(f"the next step began {recovered.seconds:.1f} s after the kill")
