"""What worker and warm process say to each other: one JSON object a line over a socket pair."""

import asyncio
from typing import Any

import orjson

from flows.runtime.storable import storable_json

STOPPED = 2
"""Status of a run that was cancelled before it could record anything."""

UNTOLD = 3
"""Status of a run that had ended before, of which Prefect has to be told."""

LINE_LIMIT_BYTES = 16 * 1024 * 1024
"""Of one message; Prefect refuses parameters over 512 KiB long before."""


async def send(writer: asyncio.StreamWriter, message: dict[str, Any]) -> None:
    """Writes one message; raises `ConnectionError` when the other side is gone.

    A flow run's parameters may hold whole numbers beyond 64 bits: what was sent as 1e300 Prefect gives back as digits.
    """
    writer.write(storable_json(message) + b"\n")
    await writer.drain()


async def receive(reader: asyncio.StreamReader) -> dict[str, Any] | None:
    """The next message, or None when the other side is gone."""
    try:
        line = await reader.readline()
    except ConnectionError:
        return None
    if not line.endswith(b"\n"):
        return None
    message: dict[str, Any] = orjson.loads(line)
    return message
