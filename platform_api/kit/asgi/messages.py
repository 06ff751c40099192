"""The types of ASGI, and answers made without a framework."""

from collections.abc import Awaitable, Callable, Iterable, MutableMapping, Sequence
from typing import Any

import orjson

from agents.errors import Problem
from platform_api.kit.envelope import error_envelope

Message = MutableMapping[str, Any]
ScopeMap = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]
Application = Callable[[ScopeMap, Receive, Send], Awaitable[None]]


def header(scope: ScopeMap, name: bytes) -> str | None:
    """The first header of that (lower-case) name."""
    return next((value.decode("latin-1") for key, value in scope["headers"] if key == name), None)


def adding_headers(send: Send, headers: Iterable[tuple[bytes, bytes]]) -> Send:
    """A `send` that adds `headers` where the answer does not carry them already."""

    async def sending(message: Message) -> None:
        if message["type"] == "http.response.start":
            present = {key.lower() for key, _ in message.get("headers", ())}
            added = [(key, value) for key, value in headers if key not in present]
            message["headers"] = [*message.get("headers", ()), *added]
        await send(message)

    return sending


async def send_error(
    send: Send, status: int, code: str, message: str, details: Sequence[Problem] = (), *, close: bool = False
) -> None:
    """Answers with the error envelope. `close` ends the connection, for a body that is not read to its end."""
    body = orjson.dumps(error_envelope(code, message, details))
    headers = [(b"content-type", b"application/json"), (b"content-length", str(len(body)).encode())]
    if close:
        headers.append((b"connection", b"close"))
    await send({"type": "http.response.start", "status": status, "headers": headers})
    await send({"type": "http.response.body", "body": body})
