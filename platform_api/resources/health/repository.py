"""Asks the database whether it is there, and how much is going on."""

from collections.abc import Sequence
from typing import Any

from sqlalchemy import func, select, text
from sqlalchemy.ext.asyncio import AsyncSession
from sqlalchemy.pool import QueuePool
from sqlmodel import col

from flows.states import ExecutionStatus
from platform_api.db.engine import Sessions
from platform_api.db.models import Execution


async def ping(sessions: Sessions) -> None:
    """One round trip outside of any tenant; raises what the driver raises."""
    async with sessions() as session:
        await session.execute(text("select 1"))


def pool_figures(sessions: Sessions) -> tuple[int, int, int]:
    """Size, connections in use, and overflow of the pool behind `sessions`."""
    pool: Any = getattr(sessions.kw["bind"], "pool", None)
    if not isinstance(pool, QueuePool):
        return 0, 0, 0
    return pool.size(), pool.checkedout(), max(pool.overflow(), 0)


async def count_executions(session: AsyncSession, statuses: Sequence[ExecutionStatus]) -> dict[ExecutionStatus, int]:
    """How many executions of all tenants have each of `statuses`; by an index, so not for the final ones."""
    by_status = (
        select(col(Execution.status), func.count())
        .where(col(Execution.status).in_(statuses))
        .group_by(col(Execution.status))
    )
    return {row[0]: row[1] for row in (await session.execute(by_status)).all()}
