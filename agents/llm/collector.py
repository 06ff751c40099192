"""Puts the pieces of an answer together, counting while they come."""

from collections.abc import Callable
from dataclasses import dataclass

from agents.errors import LimitExceeded
from agents.llm.chat import CallPart, Piece, Reported
from agents.llm.metering import CallMeter
from agents.providers.provider import Provider

MAX_ANSWER_CHARACTERS = 8 * 1024 * 1024
MAX_TOOL_CALLS = 1_000
"""Of one answer."""


@dataclass(frozen=True, kw_only=True)
class ToolCall:
    """What the model wants to have run; `arguments` is the JSON text as it came."""

    id: str
    name: str
    arguments: str


@dataclass(frozen=True, kw_only=True)
class Answer:
    """A whole answer."""

    text: str
    refusal: str
    calls: tuple[ToolCall, ...]
    finish_reason: str | None
    provider: Provider
    model: str
    """The one that answered."""


class Collector:
    """Puts an answer together, counting while it comes."""

    def __init__(self, meter: CallMeter, tell_text: Callable[[str], None]) -> None:
        self._meter = meter
        self._tell_text = tell_text
        self._began = False
        self._size = 0
        self._texts: list[str] = []
        self._refusals: list[str] = []
        self._calls: dict[int, ToolCall] = {}
        self._reported: Reported | None = None
        self._finish_reason: str | None = None

    def take(self, piece: Piece) -> None:
        """One more piece; raises `BudgetExceeded` when it is one too many."""
        if not self._began:
            self._began = True
            self._meter.begin()
        self._reported = piece.reported or self._reported
        self._finish_reason = piece.finish_reason or self._finish_reason
        if piece.text:
            self._texts.append(piece.text)
        if piece.refusal:
            self._refusals.append(piece.refusal)
        for part in piece.calls:
            self._add_call(part)
        seen = piece.text + piece.refusal + "".join(part.name + part.arguments for part in piece.calls)
        self._size += len(seen)
        if self._size > MAX_ANSWER_CHARACTERS:
            message = f"the answer is longer than {MAX_ANSWER_CHARACTERS:,} characters; set `maxTokens`"
            raise LimitExceeded(message, code="OUTPUT_LIMIT")
        if seen:
            self._meter.received(seen)
        if piece.text:
            self._tell_text(piece.text)

    def answer(self, provider: Provider, model: str) -> Answer:
        """The whole of it, with the count settled."""
        if self._reported is not None:
            self._meter.settle(self._reported)
        return Answer(
            text="".join(self._texts),
            refusal="".join(self._refusals),
            calls=tuple(self._calls[index] for index in sorted(self._calls)),
            finish_reason=self._finish_reason,
            provider=provider,
            model=model,
        )

    def _add_call(self, part: CallPart) -> None:
        if part.index not in self._calls and len(self._calls) >= MAX_TOOL_CALLS:
            raise LimitExceeded(f"the answer calls more than {MAX_TOOL_CALLS:,} tools", code="OUTPUT_LIMIT")
        known = self._calls.get(part.index) or ToolCall(id=part.id or f"call_{part.index}", name="", arguments="")
        self._calls[part.index] = ToolCall(
            id=part.id or known.id, name=known.name + part.name, arguments=known.arguments + part.arguments
        )
