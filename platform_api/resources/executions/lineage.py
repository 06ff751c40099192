"""A retry goes on from what the run before it has done."""

import asyncio
from uuid import UUID

from flows.plan import Plan
from platform_api.resources.executions.past import load_ran
from platform_api.resources.executions.record import Record
from platform_api.resources.executions.reuse import Reuse
from platform_api.resources.executions.waits import take_over_answer, unread_answers


async def go_on_from(record: Record, before_id: UUID, before: Plan, now: Plan, *, from_step: str | None = None) -> int:
    """Takes over what would be the same again into the new execution of `record`; returns how many records.

    An answer that a wait had got and its run had not read yet is one of them: nobody is asked the same again.
    """
    ran = await load_ran(record.session, before_id, before)
    reuse = Reuse(ran, before, now, from_step)
    kept = await asyncio.to_thread(reuse.kept)
    if kept:
        await record.flush()
        await record.take_over(kept)
    unread = [wait for wait in await unread_answers(record.session, before_id) if reuse.stays(wait.path)]
    for wait in unread:
        await take_over_answer(record, wait)
    return len(kept) + len(unread)
