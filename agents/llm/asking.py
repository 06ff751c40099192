"""Gets one answer: from the first provider that gives one, within what is left of the budget."""

from asyncio import sleep as pause
from collections.abc import Callable, Sequence
from contextlib import aclosing
from dataclasses import dataclass, field, replace
from typing import Any

from agents.context import Log
from agents.errors import BudgetExceeded, LimitExceeded, ModelFailed
from agents.llm.chat import CallPart, Chat, Piece, Reported, Request, Unreachable
from agents.llm.circuit import Circuits
from agents.llm.metering import CallMeter, completion_room
from agents.llm.tokens import ASSUMED_ANSWER, prompt_tokens
from agents.providers.budget import Budget, Left
from agents.providers.pricing import price_of, used
from agents.providers.provider import Price, Provider
from agents.result import Usage

TURNS = 3
"""How often all providers are asked in turn before it is given up."""
FIRST_PAUSE_SECONDS = 0.5
LONGEST_PAUSE_SECONDS = 60.0
"""Providers that all want to be left alone for longer are not waited for."""
MAX_ANSWER_CHARACTERS = 8 * 1024 * 1024


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


@dataclass
class Account:
    """What the calls of one run have come to."""

    usage: Usage = field(default_factory=Usage)
    cached_tokens: int = 0
    calls: int = 0
    is_estimate: bool = False

    def add(self, meter: CallMeter) -> None:
        """One more call, however it ended."""
        self.usage = self.usage + meter.usage
        self.cached_tokens += meter.cached_tokens
        self.calls += 1
        self.is_estimate = self.is_estimate or (meter.is_estimate and meter.usage != Usage())


class Asking:
    """Of one run of an agent."""

    def __init__(
        self,
        providers: Sequence[Provider],
        *,
        chat_of: Callable[[Provider], Chat],
        circuits: Circuits,
        budget: Budget,
        log: Log,
        tell_text: Callable[[str], None],
    ) -> None:
        self._providers = providers
        self._chat_of = chat_of
        self._circuits = circuits
        self._budget = budget
        self._log = log
        self._tell_text = tell_text
        self.account = Account()
        self.failures: list[dict[str, Any]] = []
        """Which providers did not answer, and why, in order."""

    async def answer(self, request: Request) -> Answer:
        """Raises `ModelFailed` when nobody answers, `BudgetExceeded` before or in the middle of a call."""
        for turn in range(TURNS):
            if turn:
                await pause(self._pause(turn))
            for provider in self._providers:
                if not (rest := self._circuits.rest(provider.id)):
                    self._circuits.began(provider.id)
                    try:
                        return await self._ask(provider, request)
                    except Unreachable as failure:
                        self._circuits.failed(provider.id, failure.retry_after)
                        self._note(provider, failure.reason)
                elif not turn:
                    self._note(provider, f"it has failed before and is left alone for {rest:.0f} s more")
        raise self._nobody()

    def _pause(self, turn: int) -> float:
        """Seconds until one of them may be asked again; raises `ModelFailed` when that is too long."""
        rest = min(self._circuits.rest(provider.id) for provider in self._providers)
        if rest > LONGEST_PAUSE_SECONDS:
            raise self._nobody()
        return max(rest, FIRST_PAUSE_SECONDS * 2.0 ** (turn - 1))

    async def _ask(self, provider: Provider, request: Request) -> Answer:
        price = price_of(provider, request.model)
        prompt = prompt_tokens(request.messages, *(tool.parameters for tool in request.tools))
        least, most = (
            used(price, prompt_tokens=prompt, completion_tokens=answer)
            for answer in (1, request.max_tokens or ASSUMED_ANSWER)
        )
        meter = CallMeter(price, self._budget, prompt, self._log)
        try:
            left = await self._budget.ask(least, most)
            _check_price(provider, request.model, price, left)
            room = completion_room(left, price, prompt)
            bounds = [bound for bound in (room, request.max_tokens) if bound is not None]
            bounded = replace(request, max_tokens=min(bounds, default=None))
            answer = await self._collected(provider, bounded, meter)
        finally:
            self._budget.over()
            self.account.add(meter)
        self._circuits.answered(provider.id)
        if answer.finish_reason == "length" and room is not None and room == bounded.max_tokens != request.max_tokens:
            raise self._cut_short(room)
        return answer

    async def _collected(self, provider: Provider, request: Request, meter: CallMeter) -> Answer:
        collector = _Collector(meter, self._tell_text)
        async with aclosing(self._chat_of(provider).answer(request)) as pieces:
            async for piece in pieces:
                collector.take(piece)
        return collector.answer(provider)

    def _cut_short(self, room: int) -> BudgetExceeded:
        return BudgetExceeded(
            f"The answer was stopped after {room:,} tokens: more would have been over a limit",
            hint="raise `maxTokens` or `maxCost` of agent, workflow or project, or ask for less",
            details={"limits": [share.shown() for share in self._budget.shares()]},
        )

    def _note(self, provider: Provider, reason: str) -> None:
        self.failures.append({"provider": provider.name, "reason": reason})
        self._log("WARN", f"The provider {provider.name!r} did not answer: {reason}", provider=provider.name)

    def _nobody(self) -> ModelFailed:
        newest = {each["provider"]: each["reason"] for each in self.failures}
        reasons = "; ".join(f"{name}: {reason}" for name, reason in newest.items())
        return ModelFailed(
            f"No provider answered: {reasons}",
            code="PROVIDER_UNAVAILABLE",
            hint="try again later, or add another provider that offers the model",
            details={"failures": self.failures[:]},
        )


class _Collector:
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
        self._texts.append(piece.text)
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

    def answer(self, provider: Provider) -> Answer:
        """The whole of it, with the count settled."""
        if self._reported is not None:
            self._meter.settle(self._reported)
        return Answer(
            text="".join(self._texts),
            refusal="".join(self._refusals),
            calls=tuple(self._calls[index] for index in sorted(self._calls)),
            finish_reason=self._finish_reason,
            provider=provider,
        )

    def _add_call(self, part: CallPart) -> None:
        known = self._calls.get(part.index) or ToolCall(id=part.id or f"call_{part.index}", name="", arguments="")
        self._calls[part.index] = ToolCall(
            id=part.id or known.id, name=known.name + part.name, arguments=known.arguments + part.arguments
        )


def _check_price(provider: Provider, model: str, price: Price | None, left: Left) -> None:
    if price is None and left.cost is not None:
        raise ModelFailed(
            f"What {model!r} costs at {provider.name!r} is not known, so `maxCost` cannot be kept",
            code="PRICE_UNKNOWN",
            hint="add the model's price to the provider, or take `maxCost` away",
        )
