"""What processes tell each other through the database: that something has happened, that one of them is at it."""

from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncSession

_NOTIFY = text("select pg_notify(:channel, :payload)")
_TRY_LOCK = text("select pg_try_advisory_xact_lock(hashtextextended(:name, 0))")


async def notify(session: AsyncSession, channel: str, payload: str = "") -> None:
    """Wakes who listens to the channel when the transaction is committed."""
    await session.execute(_NOTIFY, {"channel": channel, "payload": payload})


async def is_mine_to_do(session: AsyncSession, work: str) -> bool:
    """Whether nobody else does this work now; until the end of the transaction nobody else will."""
    return bool(await session.scalar(_TRY_LOCK, {"name": f"turbocat-{work}"}))
