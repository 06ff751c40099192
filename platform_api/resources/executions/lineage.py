"""A retry goes on from what the run before it has done."""

import asyncio
from uuid import UUID

from flows.plan import Plan
from platform_api.resources.executions.past import load_ran
from platform_api.resources.executions.record import Record
from platform_api.resources.executions.reuse import Ran, Reuse


async def go_on_from(
    record: Record, before_id: UUID, before: Plan, now: Plan, *, from_step: str | None = None
) -> list[Ran]:
    """Takes over what would be the same again into the new execution of `record`, and returns it."""
    ran = await load_ran(record.session, before_id, before)
    kept = await asyncio.to_thread(Reuse(ran, before, now, from_step).kept)
    if kept:
        await record.flush()
        await record.take_over(kept)
    return kept
