"""Reads a request's body whole before anything else does: bounded in bytes and time, and JSON without surprises."""

import asyncio
import re

from agents.errors import Problem
from platform_api.kit.asgi.messages import Application, Message, Receive, ScopeMap, Send, header, send_error
from platform_api.kit.strict_json import json_problem

_SLOW_BYTES = 65_536
"""From this size on, the check runs in a thread."""


class _Refused(Exception):
    def __init__(self, status: int, code: str, message: str) -> None:
        super().__init__(message)
        self.status = status
        self.code = code
        self.message = message


class _Gone(Exception):
    """The client left before the body was complete."""


class Bodies:
    """Refuses what is too large (413), too slow (408), no JSON by its type (415), or no acceptable JSON (400).

    Paths that match `large_paths` whole have a limit of their own.
    """

    def __init__(
        self,
        app: Application,
        *,
        limit_bytes: int,
        timeout_seconds: float,
        large_paths: re.Pattern[str],
        large_limit_bytes: int,
    ) -> None:
        self.app = app
        self.limit_bytes = limit_bytes
        self.timeout_seconds = timeout_seconds
        self.large_paths = large_paths
        self.large_limit_bytes = max(limit_bytes, large_limit_bytes)

    async def __call__(self, scope: ScopeMap, receive: Receive, send: Send) -> None:
        """Passes on a request whose body is in memory and checked."""
        if scope["type"] != "http" or not _has_body(scope):
            await self.app(scope, receive, send)
            return
        try:
            body = await self._in_time(scope, receive)
            _check_type(scope, body)
        except _Gone:
            return
        except _Refused as refusal:
            await send_error(send, refusal.status, refusal.code, refusal.message, close=True)
            return
        problem = await _problem(body)
        if problem is not None:
            await send_error(send, 400, "VALIDATION_ERROR", "The body is not acceptable JSON", [problem])
            return
        await self.app(scope, _replaying(body, receive), send)

    async def _in_time(self, scope: ScopeMap, receive: Receive) -> bytes:
        large = self.large_paths.fullmatch(scope["path"]) is not None
        try:
            async with asyncio.timeout(self.timeout_seconds):
                return await _read(scope, receive, self.large_limit_bytes if large else self.limit_bytes)
        except TimeoutError as error:
            message = f"The body must arrive within {self.timeout_seconds:g} s"
            raise _Refused(408, "REQUEST_TIMEOUT", message) from error


async def _read(scope: ScopeMap, receive: Receive, limit: int) -> bytes:
    announced = header(scope, b"content-length")
    if announced is not None and announced.isdecimal() and int(announced[:20]) > limit:
        raise _too_large(limit)
    body = bytearray()
    while True:
        message = await receive()
        if message["type"] == "http.disconnect":
            raise _Gone
        body += message.get("body", b"")
        if len(body) > limit:
            raise _too_large(limit)
        if not message.get("more_body", False):
            return bytes(body)


def _too_large(limit: int) -> _Refused:
    return _Refused(413, "PAYLOAD_TOO_LARGE", f"The body may have at most {limit} bytes")


def _has_body(scope: ScopeMap) -> bool:
    return any(name in (b"content-length", b"transfer-encoding") for name, _ in scope["headers"])


def _check_type(scope: ScopeMap, body: bytes) -> None:
    if not body:
        return
    if header(scope, b"content-encoding") not in (None, "identity"):
        raise _Refused(415, "UNSUPPORTED_MEDIA_TYPE", "Send the body without Content-Encoding")
    media_type, *parameters = (header(scope, b"content-type") or "").lower().split(";")
    charsets = {part.strip().removeprefix("charset=").strip('"') for part in parameters if "charset=" in part}
    if media_type.strip() != "application/json" or charsets - {"utf-8", "utf8"}:
        raise _Refused(415, "UNSUPPORTED_MEDIA_TYPE", "Send JSON in UTF-8 with Content-Type: application/json")


async def _problem(body: bytes) -> Problem | None:
    if not body:
        return None
    if len(body) < _SLOW_BYTES:
        return json_problem(body)
    return await asyncio.to_thread(json_problem, body)


def _replaying(body: bytes, receive: Receive) -> Receive:
    replayed = False

    async def replay() -> Message:
        nonlocal replayed
        if replayed:
            return await receive()
        replayed = True
        return {"type": "http.request", "body": body, "more_body": False}

    return replay
