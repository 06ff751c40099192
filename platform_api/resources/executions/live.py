"""What is told only to those who listen: tokens of a model as they come. Their record is the step's output.

They go over a channel of their own, outside the numbered record, since nobody asks for them later.
"""

from collections.abc import Iterator
from uuid import UUID

import orjson
from sqlalchemy.ext.asyncio import AsyncSession

from platform_api.db.signals import notify

LIVE_CHANNEL = "turbocat_live"
"""Payload: `{"executionId", "type", "number", "data"}`."""

_CHARACTERS = 1000
"""Of one notification, which PostgreSQL bounds at 8000 bytes; JSON makes at most 6 of a character."""


async def announce_tokens(session: AsyncSession, execution_id: UUID, *, step_key: str, path: str, text: str) -> None:
    """Tells listeners a piece of a model's answer, when the caller's transaction is committed."""
    for number, piece in enumerate(_pieces(text)):
        message = {
            "executionId": str(execution_id),
            "type": "token",
            "number": number,  # PostgreSQL drops the second of two equal notifications of one transaction
            "data": {"stepKey": step_key, "path": path, "text": piece},
        }
        await notify(session, LIVE_CHANNEL, orjson.dumps(message).decode())


def _pieces(text: str) -> Iterator[str]:
    for start in range(0, len(text), _CHARACTERS):
        yield text[start : start + _CHARACTERS]
