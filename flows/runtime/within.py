"""Time limits that end as the error of the step that has them."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import timedelta

from agents.errors import AgentTimeout
from flows.runtime.surroundings import StepAt


@asynccontextmanager
async def within(seconds: float | None) -> AsyncIterator[None]:
    """Stops the block after so many seconds with `AgentTimeout`; None lets it take its time."""
    try:
        async with asyncio.timeout(seconds):
            yield
    except TimeoutError as late:
        raise _too_late(seconds) from late


@asynccontextmanager
async def within_time_of(at: StepAt) -> AsyncIterator[None]:
    """Stops what a step holds, a body or a run, when its time is over: time of day since its record was opened.

    So its limit holds however often the run is suspended and taken up again; a suspended run is woken for it.
    """
    activity, seconds = at.around.activity, at.step.timeout_seconds
    if seconds is None:
        yield
        return
    due_at = at.begun_at + timedelta(seconds=seconds)
    left = (due_at - at.around.ports.now()).total_seconds()
    if left <= 0:
        raise _too_late(seconds)
    try:
        with activity.limited(due_at):
            async with asyncio.timeout(left):
                yield
    except TimeoutError as late:
        await activity.left()
        raise _too_late(seconds) from late


def _too_late(seconds: float | None) -> AgentTimeout:
    return AgentTimeout(
        f"The step was stopped after its {seconds or 0:g} s",
        hint="raise `timeoutSeconds` of the step or its agent, or give it less to do",
    )
