"""A provider that answers by a script, in this process: for tests, demos and work without a network.

{"answers": [
  {"when": "late", "json": {"late": true}, "usage": {"promptTokens": 120, "completionTokens": 8}},
  {"when": "weather", "toolCalls": [{"name": "lookup", "arguments": {"city": "New York"}}]},
  {"when": "busy", "times": 1, "error": {"status": 429, "retryAfterSeconds": 0.1}},
  {"text": "I do not know.", "pieces": 4, "pieceDelaySeconds": 0.05}
]}

The first answer that fits is given: `when` is a part of the last message (upper and lower case are alike), `model` the
model that is asked for; without them it always fits. With `times` it fits only so often in one run of an agent. Where
none fits, it gives a sample of what is asked for by `responseSchema`, or says what it was told.
"""

import asyncio
import json
from collections import Counter
from collections.abc import AsyncGenerator, Iterator, Mapping
from typing import Annotated, Any

from pydantic import BaseModel, ConfigDict, Field, model_validator
from pydantic.alias_generators import to_camel

from agents.errors import ModelFailed, Problem
from agents.llm.chat import CallPart, Piece, Reported, Request, Unreachable, is_busy
from agents.llm.sample import sample
from agents.llm.tokens import prompt_tokens, text_tokens
from agents.problems import model_problems, parse_config

MAX_SECONDS = 600

Seconds = Annotated[float, Field(ge=0, le=MAX_SECONDS)]
Count = Annotated[int, Field(ge=0, le=1_000_000_000)]


class _Part(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid", alias_generator=to_camel, populate_by_name=True)


class ScriptedCall(_Part):
    """A tool that the model asks for."""

    name: str
    arguments: dict[str, Any] = {}


class ScriptedError(_Part):
    """A provider that does not answer: with a status, or without one as if it could not be reached."""

    status: Annotated[int, Field(ge=400, le=599)] | None = None
    message: str = "as the script says"
    retry_after_seconds: Seconds | None = None


class ScriptedUsage(_Part):
    """What is reported as used, instead of an estimate."""

    prompt_tokens: Count
    completion_tokens: Count
    cached_tokens: Count = 0


class ScriptedAnswer(_Part):
    """One answer, and when it is given."""

    when: str | None = None
    model: str | None = None
    times: Annotated[int, Field(ge=1)] | None = None
    text: str | None = None
    json_value: Annotated[Any, Field(alias="json")] = None
    tool_calls: list[ScriptedCall] = []
    error: ScriptedError | None = None
    usage: ScriptedUsage | None = None
    delay_seconds: Seconds = 0
    """Before the first piece."""
    pieces: Annotated[int, Field(ge=1, le=100_000)] | None = None
    """In how many the text comes; without it, word by word."""
    piece_delay_seconds: Seconds = 0
    cut_after_pieces: Annotated[int, Field(ge=0)] | None = None
    """The connection breaks after so many."""
    finish_reason: str | None = None

    @model_validator(mode="after")
    def _says_one_thing(self) -> "ScriptedAnswer":
        given = [name for name in ("text", "json_value", "error") if name in self.model_fields_set]
        if len(given) > 1 or (not given and not self.tool_calls):
            raise ValueError("give one of `text`, `json` and `error`, or `toolCalls`")
        return self


class Script(_Part):
    """What a FAKE provider says."""

    answers: Annotated[list[ScriptedAnswer], Field(max_length=1_000)] = []


def script_problems(script: dict[str, Any]) -> list[Problem]:
    """Everything wrong with the script of a FAKE provider."""
    return model_problems(Script, script)


class FakeChat:
    """One run's conversation with a FAKE provider."""

    def __init__(self, name: str, script: Mapping[str, Any]) -> None:
        self._name = name
        self._script = parse_config(Script, dict(script))
        self._given: Counter[int] = Counter()

    async def models(self) -> list[str]:
        """Whatever it is asked for; one has to be named."""
        return ["fake"]

    async def answer(self, request: Request) -> AsyncGenerator[Piece, None]:
        """As the script says; raises what a real provider's answer would."""
        scripted = self._chosen(request)
        await asyncio.sleep(scripted.delay_seconds)
        if scripted.error is not None:
            raise self._failure(scripted.error)
        text = scripted.text or ""
        if "json_value" in scripted.model_fields_set:
            text = json.dumps(scripted.json_value)
        limit = request.max_tokens
        shown, is_cut = _cut(text, limit)
        for number, piece in enumerate(_pieces(shown, scripted.pieces if request.stream else 1)):
            if number == scripted.cut_after_pieces:
                raise Unreachable("the connection broke, as the script says")
            await asyncio.sleep(scripted.piece_delay_seconds if number else 0)
            yield Piece(text=piece)
        calls = tuple(
            CallPart(
                index=number,
                id=f"call_{len(request.messages)}_{number}",
                name=call.name,
                arguments=json.dumps(call.arguments),
            )
            for number, call in enumerate(scripted.tool_calls)
        )
        finish = scripted.finish_reason or ("tool_calls" if calls else "length" if is_cut else "stop")
        yield Piece(calls=calls, reported=_usage(scripted, request, shown), finish_reason=finish)

    def _chosen(self, request: Request) -> ScriptedAnswer:
        last = str(request.messages[-1].get("content") or "")
        for number, answer in enumerate(self._script.answers):
            if _fits(answer, request.model, last) and self._given[number] < (answer.times or self._given[number] + 1):
                self._given[number] += 1
                return answer
        if request.response_schema is not None:
            return ScriptedAnswer(text=json.dumps(sample(request.response_schema)))
        return ScriptedAnswer(text=f"You said: {last}")

    def _failure(self, error: ScriptedError) -> Exception:
        if error.status is not None and not is_busy(error.status):
            message = f"the provider {self._name!r} answered {error.status}: {error.message}"
            details = {"provider": self._name, "status": error.status}
            return ModelFailed(message, code="PROVIDER_REFUSED", details=details)
        reason = error.message if error.status is None else f"it answered {error.status}: {error.message}"
        return Unreachable(reason, status=error.status, retry_after=error.retry_after_seconds)


def _fits(answer: ScriptedAnswer, model: str, last: str) -> bool:
    return answer.model in (None, model) and (answer.when is None or answer.when.lower() in last.lower())


def _cut(text: str, limit: int | None) -> tuple[str, bool]:
    """As much of the text as so many tokens are."""
    if limit is None or text_tokens(text) <= limit:
        return text, False
    return text.encode()[: limit * 4].decode(errors="ignore"), True


def _pieces(text: str, count: int | None) -> Iterator[str]:
    if count is None:
        words = text.split(" ")
        yield from (f"{word} " for word in words[:-1])
        yield words[-1]
        return
    size = -(-len(text) // count) or 1
    yield from (text[start : start + size] for start in range(0, len(text) or 1, size))


def _usage(scripted: ScriptedAnswer, request: Request, text: str) -> Reported:
    if scripted.usage is not None:
        return Reported(**scripted.usage.model_dump())
    tools = [{"name": tool.name, "parameters": tool.parameters} for tool in request.tools]
    called = [call.model_dump() for call in scripted.tool_calls]
    return Reported(
        prompt_tokens=prompt_tokens(request.messages, *tools),
        completion_tokens=text_tokens(text) + (text_tokens(json.dumps(called)) if called else 0),
    )
