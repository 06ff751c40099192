"""Whether a part of the stack answers yet: a few lines of HTTP, so that no client library stays in memory."""

import asyncio
import base64
import json
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

from deployments.local.files import read_json
from deployments.local.pids import alive

Probe = Callable[[], Awaitable[bool]]


async def http_status(port: int, path: str, *, auth: str | None = None, seconds: float = 5.0) -> int | None:
    """The status of a GET on loopback; None when there is no answer in time. `auth` is `user:password`."""
    try:
        async with asyncio.timeout(seconds):
            return await _get(port, path, auth)
    except (OSError, TimeoutError, ValueError, IndexError):
        return None


async def http_json(port: int, path: str, *, seconds: float = 5.0) -> Any:
    """The JSON that a GET on loopback answers; None when there is none in time."""
    try:
        async with asyncio.timeout(seconds):
            return json.loads((await _exchange(port, path, None))[1])
    except (OSError, TimeoutError, ValueError, IndexError):
        return None


def answers(port: int, path: str, *, auth: str | None = None, seconds: float = 5.0) -> Probe:
    """A probe that is content with a status in 200–299."""

    async def probe() -> bool:
        status = await http_status(port, path, auth=auth, seconds=seconds)
        return status is not None and 200 <= status < 300

    return probe


def announced(path: Path) -> Probe:
    """A probe that is content with a file whose `pid` is that of a living process: not with a dead one's."""

    async def probe() -> bool:
        pid = (read_json(path) or {}).get("pid")
        return isinstance(pid, int) and alive(pid)

    return probe


def both(first: Probe, second: Probe) -> Probe:
    """A probe that asks the second when the first is content."""

    async def probe() -> bool:
        return await first() and await second()

    return probe


async def _get(port: int, path: str, auth: str | None) -> int:
    return int((await _exchange(port, path, auth, with_body=False))[0].split()[1])


async def _exchange(port: int, path: str, auth: str | None, *, with_body: bool = True) -> tuple[bytes, bytes]:
    """The answer's first line, and what follows its head."""
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    try:
        credentials = f"Authorization: Basic {base64.b64encode(auth.encode()).decode()}\r\n" if auth else ""
        request = f"GET {path} HTTP/1.1\r\nHost: 127.0.0.1:{port}\r\n{credentials}Connection: close\r\n\r\n"
        writer.write(request.encode("ascii"))
        await writer.drain()
        status_line = await reader.readline()
        return status_line, (await reader.read()).partition(b"\r\n\r\n")[2] if with_body else b""
    finally:
        writer.close()
