"""Waits for the end of an execution, holding neither a transaction nor a connection meanwhile."""

import asyncio
import time
from collections.abc import Callable
from contextlib import AbstractAsyncContextManager
from uuid import UUID

from flows.states import is_final
from platform_api.access.scope import TenantScope
from platform_api.resources.executions.repository import ExecutionRepository

GRACE_SECONDS = 5.0
"""What starting a run and recording its end may take beside the agent's own time."""

_FIRST_PAUSE, _LONGEST_PAUSE = 0.02, 0.5


async def until_final(
    scopes: Callable[[], AbstractAsyncContextManager[TenantScope]], execution_id: UUID, seconds: float
) -> None:
    """Returns when the execution is over, or when the time is that its agent has."""
    deadline, pause = time.monotonic() + seconds + GRACE_SECONDS, _FIRST_PAUSE
    while time.monotonic() < deadline:
        async with scopes() as scope:
            status = await ExecutionRepository(scope).status_of(execution_id)
        if is_final(status):
            return
        await asyncio.sleep(pause)
        pause = min(pause * 1.25, _LONGEST_PAUSE)
