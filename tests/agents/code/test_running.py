"""What the worker makes of the end of a run."""

import json
import os

import pytest

from agents.code.backend import Language, Limits, Program, SandboxUnavailable
from agents.code.canaries import Silence
from agents.code.pipes import Pipes
from agents.code.running import Running

pytestmark = pytest.mark.case(40)

PROGRAM = Program(language=Language.PYTHON, code="", input=None)


async def test_a_program_is_not_blamed_for_an_end_that_nobody_asked_for() -> None:
    pipes = Pipes(None)
    running = Running(PROGRAM, Limits(), Silence(), pipes)
    report = {"end": "stopped", "code": 0, "cpuSeconds": 0, "peakMemory": 0}
    os.write(pipes.descriptors[-1], json.dumps(report).encode())
    pipes.close_handed_over()
    try:
        stopped = await running.until_over(10)
    finally:
        await running.aclose()
    with pytest.raises(SandboxUnavailable):
        running.outcome(stopped, wall_seconds=0)
