"""Asks a provider that speaks the OpenAI protocol (chat completions), by the `openai` package."""

import contextlib
from collections.abc import AsyncGenerator, AsyncIterator
from contextlib import aclosing, asynccontextmanager
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from typing import Any

import httpx2
import openai
from openai.resources.chat.completions import AsyncCompletions

from agents.errors import ConfigInvalid, ModelFailed
from agents.llm.chat import CallPart, Piece, Reported, Request, Unreachable, is_busy, sound
from agents.llm.outgoing import ProviderTransport
from agents.providers.provider import DEFAULT_BASE_URLS, Provider, ProviderKind

TIMEOUTS = httpx2.Timeout(connect=10.0, read=120.0, write=60.0, pool=60.0)
"""`read` is the longest silence; how long an answer may take is the agent's limit."""
EXCERPT_CHARACTERS = 500
MAX_MODELS = 500
MAX_NAME = 256
"""Of ids and reasons, which nobody needs longer."""

_HINTS = {
    401: "check the provider's API key",
    403: "check the provider's API key and what it may use",
    404: "check `model`, and the provider's `baseUrl`",
}


class OpenAiChat:
    """One provider, over the connections of `transport`."""

    def __init__(self, provider: Provider, transport: httpx2.AsyncBaseTransport) -> None:
        self._provider = provider
        key = {"authorization": f"Bearer {provider.api_key}"} if provider.api_key else {}
        outgoing = ProviderTransport(transport, {**key, **provider.headers})
        base_url = provider.base_url or DEFAULT_BASE_URLS.get(provider.kind)
        if base_url is None:  # the client would take one from the environment
            raise ConfigInvalid(f"the provider {provider.name!r} has no `baseUrl`; give it one")
        self._client = openai.AsyncOpenAI(
            api_key=provider.api_key or "none",
            base_url=base_url,
            http_client=httpx2.AsyncClient(transport=outgoing, trust_env=False, timeout=TIMEOUTS),
            max_retries=0,
        )
        self._completions: AsyncCompletions = self._client.chat.completions

    async def answer(self, request: Request) -> AsyncGenerator[Piece, None]:
        """Raises `Unreachable`, `EgressRefused`, or `ModelFailed` with PROVIDER_REFUSED."""
        async with self._failures():
            pieces = self._streamed(request) if request.stream else self._whole(request)
            async with aclosing(pieces):
                async for piece in pieces:
                    yield piece

    async def models(self) -> list[str]:
        """At most `MAX_MODELS`; raises the same."""
        async with self._failures():
            page = await self._client.models.list()
            listed = page.data if isinstance(page.data, list) else []
        found = (getattr(each, "id", None) for each in listed)
        return [sound(name[:MAX_NAME]) for name in found if isinstance(name, str)][:MAX_MODELS]

    async def _streamed(self, request: Request) -> AsyncGenerator[Piece, None]:
        ended = False
        async with await self._ask(request, stream=True, stream_options={"include_usage": True}) as chunks:
            async for chunk in chunks:
                piece = _piece(chunk, "delta")
                ended = ended or piece.finish_reason is not None
                yield piece
        if not ended:
            raise Unreachable("the answer was cut off")

    async def _whole(self, request: Request) -> AsyncGenerator[Piece, None]:
        answer = await self._ask(request)
        if not _choices(answer):
            raise Unreachable("its answer is not of the protocol")
        yield _piece(answer, "message")

    async def _ask(self, request: Request, **more: Any) -> Any:
        create: Any = self._completions.create  # its overloads do not know of optional parameters
        return await create(model=request.model, messages=list(request.messages), **self._options(request), **more)

    def _options(self, request: Request) -> dict[str, Any]:
        """Only what was asked for: models refuse parameters that they do not know."""
        kind = self._provider.kind
        options: dict[str, Any] = {}
        if request.temperature is not None:
            options["temperature"] = request.temperature
        if request.max_tokens is not None:
            options["max_completion_tokens" if kind is ProviderKind.OPENAI else "max_tokens"] = request.max_tokens
        if request.tools:
            options["tools"] = [
                {
                    "type": "function",
                    "function": {"name": t.name, "description": t.description, "parameters": t.parameters},
                }
                for t in request.tools
            ]
        if request.response_schema is not None and kind is not ProviderKind.ANTHROPIC:
            schema = {"name": "answer", "schema": request.response_schema}
            options["response_format"] = {"type": "json_schema", "json_schema": schema}
        return options

    @asynccontextmanager
    async def _failures(self) -> AsyncIterator[None]:
        try:
            yield
        except openai.APIStatusError as error:
            raise self._by_status(error) from None
        except (openai.APIConnectionError, httpx2.RequestError) as error:
            raise Unreachable(_why(error)) from None
        except openai.APIError as error:
            raise Unreachable(f"it broke the answer off: {_excerpt(error)}") from None
        except (ValueError, RecursionError, AttributeError, TypeError):  # no UTF-8, no JSON, or of another shape
            raise Unreachable("its answer is not of the protocol") from None

    def _by_status(self, error: openai.APIStatusError) -> Exception:
        status = error.status_code
        if is_busy(status):
            reason = f"it answered {status}: {_excerpt(error)}"
            return Unreachable(reason, status=status, retry_after=_retry_after(error.response.headers))
        message = f"the provider {self._provider.name!r} answered {status}: {_excerpt(error)}"
        details = {"provider": self._provider.name, "status": status}
        return ModelFailed(message, code="PROVIDER_REFUSED", hint=_HINTS.get(status), details=details)


def _piece(chunk: Any, part: str) -> Piece:
    """Nothing of what comes in is taken to be what the protocol says that it is."""
    choice = next(iter(_choices(chunk)), None)
    said = getattr(choice, part, None)
    finish = getattr(choice, "finish_reason", None)
    return Piece(
        text=_text(getattr(said, "content", None)),
        refusal=_text(getattr(said, "refusal", None)),
        calls=_calls(getattr(said, "tool_calls", None)),
        reported=_reported(getattr(chunk, "usage", None)),
        finish_reason=sound(finish[:MAX_NAME]) if isinstance(finish, str) else None,
    )


def _choices(answer: Any) -> list[Any]:
    choices = getattr(answer, "choices", None)
    return choices if isinstance(choices, list) else []


def _calls(parts: Any) -> tuple[CallPart, ...]:
    found = []
    for place, part in enumerate(parts if isinstance(parts, list) else ()):
        index, function = getattr(part, "index", None), getattr(part, "function", None)
        found.append(
            CallPart(
                index=index if isinstance(index, int) else place,
                id=_text(getattr(part, "id", None))[:MAX_NAME],
                name=_text(getattr(function, "name", None)),
                arguments=_text(getattr(function, "arguments", None)),
            )
        )
    return tuple(found)


def _reported(usage: Any) -> Reported | None:
    prompt, completion = _count(usage, "prompt_tokens"), _count(usage, "completion_tokens")
    if prompt is None or completion is None:
        return None
    cached = _count(getattr(usage, "prompt_tokens_details", None), "cached_tokens")
    return Reported(prompt_tokens=prompt, completion_tokens=completion, cached_tokens=cached or 0)


def _count(usage: Any, name: str) -> int | None:
    value = getattr(usage, name, None)
    return value if isinstance(value, int) and not isinstance(value, bool) else None


def _text(value: Any) -> str:
    return sound(value) if isinstance(value, str) else ""


def _excerpt(error: openai.APIError) -> str:
    body = error.body if error.body is not None else error.message
    said = body.get("message") if isinstance(body, dict) else body
    return str(said)[:EXCERPT_CHARACTERS]


def _why(error: Exception) -> str:
    cause = error.__cause__ or error
    return f"{type(cause).__name__}: {cause}"[:EXCERPT_CHARACTERS]


def _retry_after(headers: httpx2.Headers) -> float | None:
    """Seconds, whether they are written as such or as a date."""
    written = headers.get("retry-after", "")
    with contextlib.suppress(ValueError, OverflowError):
        seconds = float(written)
        return seconds if 0 <= seconds < float("inf") else None
    with contextlib.suppress(ValueError, TypeError):
        when = parsedate_to_datetime(written)
        return max((when.astimezone(UTC) - datetime.now(UTC)).total_seconds(), 0.0)
    return None
