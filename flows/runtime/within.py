"""Time limits that end as the error of the step that has them."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from agents.errors import AgentTimeout


@asynccontextmanager
async def within(seconds: float | None) -> AsyncIterator[None]:
    """Stops the block after so many seconds with `AgentTimeout`; None lets it take its time."""
    try:
        async with asyncio.timeout(seconds):
            yield
    except TimeoutError as late:
        raise AgentTimeout(
            f"The step was stopped after its {seconds:g} s",
            hint="raise `timeoutSeconds` of the step or its agent, or give it less to do",
        ) from late
