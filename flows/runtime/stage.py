"""Bodies that nobody watches but us: nested ones, and all of them in tests."""

import asyncio
from typing import Any

from flows.errors import StepFailed
from flows.plan import PlanStep
from flows.runtime.ports import Run, RunOutcome
from flows.runtime.retries import delay_after, is_last
from flows.runtime.surroundings import DriveNested, LoopStage, NestedEnd, Slot, Work


class PlainLoop:
    """A loop that our record alone shows."""

    def began(self, index: int) -> None:
        """Nothing to show."""

    def ended(self, index: int, *, failed: bool) -> None:
        """Nothing to show."""

    async def close(self) -> None:
        """Nothing to show."""


class PlainStage:
    """Follows the retry policy by itself; between attempts it holds no slot."""

    async def run(self, step: PlanStep, made: int, slot: Slot, work: Work) -> Any:
        """Makes attempts until one ends well or none is left."""
        number = made + 1
        while True:
            try:
                async with slot():
                    return await work(number)
            except StepFailed as failed:
                if step.retry is None or is_last(step.retry, number, failed.code):
                    raise
            await asyncio.sleep(delay_after(step.retry, number))
            number += 1

    async def skipped(self, step: PlanStep, reason: str) -> None:
        """Nothing to show."""

    async def recalled(self, step: PlanStep) -> None:
        """Nothing to show."""

    def loop(self, path: str, total: int | None, bound: int) -> LoopStage:
        """A loop that our record alone shows."""
        return PlainLoop()

    async def nested(self, run: Run, path: str, drive: DriveNested) -> NestedEnd:
        """Drives it as a part of this run."""
        return await drive(None)

    def over(self, outcome: RunOutcome) -> None:
        """Nothing to show."""
