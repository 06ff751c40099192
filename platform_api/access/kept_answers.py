"""Rows of `idempotency_keys`: claimed before the work, completed with its answer, in the work's own transaction."""

from datetime import datetime
from typing import Any

from sqlalchemy import delete, select, update
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.ext.asyncio import AsyncSession
from sqlmodel import col

from platform_api.db.models import IdempotencyKey

PURGED_AT_ONCE = 100
_UNIQUE = ("user_id", "project_id", "key", "tenant_id")
_CLAIMED = ("id", "method", "path", "body_hash", "response_status", "response_body", "expires_at")


class KeptAnswers:
    """Reads and writes the rows; never commits."""

    def __init__(self, session: AsyncSession) -> None:
        self._session = session

    async def claim(self, row: IdempotencyKey, now: datetime) -> bool:
        """Whether the key was free, or its row had expired. Waits for whoever is claiming the same key."""
        fields = {name: getattr(row, name) for name in (*_UNIQUE, *_CLAIMED)}
        statement = insert(IdempotencyKey).values(**fields)
        statement = statement.on_conflict_do_update(
            index_elements=_UNIQUE,
            set_={name: getattr(statement.excluded, name) for name in _CLAIMED},
            where=col(IdempotencyKey.expires_at) <= now,
        )
        claimed = await self._session.execute(statement.returning(col(IdempotencyKey.id)))
        return claimed.scalar_one_or_none() is not None

    async def find(self, row: IdempotencyKey) -> IdempotencyKey | None:
        """The row that already holds the key of `row`."""
        same: list[Any] = [getattr(IdempotencyKey, name).is_not_distinct_from(getattr(row, name)) for name in _UNIQUE]
        return (await self._session.execute(select(IdempotencyKey).where(*same))).scalar_one_or_none()

    async def complete(self, row: IdempotencyKey, status: int, body: bytes) -> None:
        """Puts the answer into a claimed row."""
        statement = update(IdempotencyKey).where(col(IdempotencyKey.id) == row.id)
        values = {"response_status": status, "response_body": body, "expires_at": row.expires_at}
        await self._session.execute(statement.values(**values))

    async def release(self, row: IdempotencyKey) -> None:
        """Gives a claimed key back."""
        await self._session.execute(delete(IdempotencyKey).where(col(IdempotencyKey.id) == row.id))

    async def purge(self, now: datetime) -> None:
        """Removes some of the rows that have expired, without waiting for anybody."""
        expired = (
            select(col(IdempotencyKey.id))
            .where(col(IdempotencyKey.expires_at) <= now)
            .limit(PURGED_AT_ONCE)
            .with_for_update(skip_locked=True)
        )
        await self._session.execute(delete(IdempotencyKey).where(col(IdempotencyKey.id).in_(expired)))
