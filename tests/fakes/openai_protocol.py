"""Answers as a server gives them that speaks the OpenAI protocol (chat completions)."""

import asyncio
from typing import Any

import orjson

from tests.agents.http_server import Handler, Received, json_reply


def chunk(
    text: str | None = None, *, finish: str | None = None, calls: Any = None, usage: Any = None, **more: Any
) -> bytes:
    """One event of a stream."""
    delta = {"content": text, "tool_calls": calls} if calls else {"content": text}
    choices = [] if text is None and finish is None and calls is None else [{"index": 0, "delta": delta}]
    if choices:
        choices[0]["finish_reason"] = finish
    body = {"id": "c1", "object": "chat.completion.chunk", "model": "m", "choices": choices, "usage": usage, **more}
    return b"data: " + orjson.dumps(body) + b"\n\n"


DONE = b"data: [DONE]\n\n"


def tokens(prompt: Any, completion: Any, cached: Any = None) -> dict[str, Any]:
    details = {"prompt_tokens_details": {"cached_tokens": cached}} if cached is not None else {}
    return {"prompt_tokens": prompt, "completion_tokens": completion, **details}


def streamed(*events: bytes, pause: float = 0, ends: bool = True) -> Handler:
    """A stream of those events, the connection closed after it; one that does not end is left open."""

    async def handler(_request: Received, writer: asyncio.StreamWriter) -> None:
        writer.write(b"HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\nconnection: close\r\n\r\n")
        for event in events:
            writer.write(event)
            await writer.drain()
            await asyncio.sleep(pause)
        if not ends:
            await asyncio.sleep(3600)
        writer.close()

    return handler


def said(*words: str, usage: Any = None, finish: str = "stop") -> Handler:
    """A stream of words that ends as it should."""
    last = [chunk(usage=usage)] if usage else []
    return streamed(*(chunk(word) for word in words), chunk("", finish=finish), *last, DONE)


def completion(text: str, usage: Any = None) -> bytes:
    """A whole answer at once."""
    choice = {"index": 0, "message": {"role": "assistant", "content": text}, "finish_reason": "stop"}
    return json_reply({"id": "c1", "object": "chat.completion", "model": "m", "choices": [choice], "usage": usage})


def answered(request: Received, *words: str, usage: Any = None) -> bytes | Handler:
    """The words as the request wants them: as a stream or at once."""
    if orjson.loads(request.body).get("stream"):
        return said(*words, usage=usage)
    return completion("".join(words), usage)


def failing(status: int, message: str = "no", **headers: str) -> bytes:
    return json_reply({"error": {"message": message}}, status=status, **headers)


def models(*names: str) -> bytes:
    """The list of what there is."""
    return json_reply({"object": "list", "data": [{"id": name, "object": "model"} for name in names]})
