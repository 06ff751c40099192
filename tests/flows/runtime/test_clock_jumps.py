"""Time limits of work are told by a clock that nobody sets."""

import asyncio
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from agents.context import AgentContext
from agents.result import AgentResult
from agents.spec import AgentSpec, AgentType
from flows.states import ExecutionStatus
from tests.fakes.runtime import Drive, ScriptedExecutor, a_step

pytestmark = pytest.mark.case(39)


class Jumping(ScriptedExecutor):
    """The time of day jumps while it works."""

    def __init__(self, jump: timedelta) -> None:
        super().__init__()
        self.jump = jump
        self.offset = timedelta(0)

    def now(self) -> datetime:
        return datetime.now(UTC) + self.offset

    async def run(self, spec: AgentSpec, inputs: dict[str, Any], context: AgentContext) -> AgentResult:
        self.offset = self.jump
        return await super().run(spec, inputs, context)


@pytest.mark.parametrize("hours", [-1, 1])
@pytest.mark.parametrize(
    ("sleep", "seconds", "status"),
    [(0.05, 30, ExecutionStatus.COMPLETED), (30, 0.05, ExecutionStatus.FAILED)],
)
@pytest.mark.parametrize("limit", ["step", "run"])
async def test_a_jump_ends_no_work_early_and_lets_none_go_on(
    limit: str, sleep: float, seconds: float, status: ExecutionStatus, hours: int
) -> None:
    executor = Jumping(timedelta(hours=hours))
    changes: dict[str, Any] = {"timeout_seconds": seconds} if limit == "step" else {}
    plan: dict[str, Any] = {"limits": {"timeout_seconds": seconds}} if limit == "run" else {}
    run = Drive(a_step("only", inputs={"sleep": sleep}, **changes), executor=executor, **plan)
    run.ports = replace(run.ports, now=executor.now, executors={AgentType.API: executor})
    async with asyncio.timeout(20):
        outcome = await run.once()
    wanted = ExecutionStatus.TIMEOUT if limit == "run" and status is ExecutionStatus.FAILED else status
    assert outcome.status is wanted
    if status is ExecutionStatus.FAILED:
        assert (outcome.error or {})["code"] == "TIMEOUT"
