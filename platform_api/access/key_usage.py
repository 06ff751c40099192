"""Counts how often keys are used, without a write per request.

Uses are added up in memory and written together every `FLUSH_SECONDS` and when the process ends, so that
`lastUsedAt` and `usageCount` lag by that much. A process that is killed loses what it had not written.
"""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass
from datetime import datetime
from uuid import UUID

import structlog

from platform_api.access.repository import CredentialRepository
from platform_api.access.scope import system_scope
from platform_api.db.engine import Sessions
from platform_api.kit import clock

FLUSH_SECONDS = 10.0

log = structlog.get_logger(__name__)


@dataclass
class Uses:
    """Of one key since the last write."""

    count: int
    last: datetime


class KeyUsage:
    """One per process."""

    def __init__(self, sessions: Sessions) -> None:
        self._sessions = sessions
        self._uses: dict[UUID, Uses] = {}

    def note(self, key_id: UUID) -> None:
        """One more use, now."""
        self._add(key_id, Uses(1, clock.now()))

    async def flush(self) -> None:
        """Writes what has come together; what could not be written is kept for the next time."""
        uses, self._uses = self._uses, {}
        if not uses:
            return
        try:
            async with system_scope(self._sessions) as scope:
                await CredentialRepository(scope.session).count_uses(
                    {key_id: (each.count, each.last) for key_id, each in uses.items()}
                )
        except Exception:
            log.warning("key_usage_not_written", keys=len(uses))
            for key_id, each in uses.items():
                self._add(key_id, each)

    @asynccontextmanager
    async def written(self) -> AsyncIterator[None]:
        """Writes again and again inside the block, and once more at its end; no write is cut short."""
        over = asyncio.Event()
        writing = asyncio.create_task(self._flush_until(over))
        try:
            yield
        finally:
            over.set()
            await writing

    async def _flush_until(self, over: asyncio.Event) -> None:
        while not over.is_set():
            with suppress(TimeoutError):
                await asyncio.wait_for(over.wait(), FLUSH_SECONDS)
            await self.flush()

    def _add(self, key_id: UUID, more: Uses) -> None:
        known = self._uses.setdefault(key_id, Uses(0, more.last))
        known.count += more.count
        known.last = max(known.last, more.last)
