"""Gets one answer: from the first provider that gives one, within what is left of the budget."""

import asyncio
from asyncio import sleep as pause
from collections.abc import Callable, Sequence
from contextlib import aclosing
from dataclasses import dataclass, field, replace
from typing import Any

from agents.calls import CallBook
from agents.context import Log
from agents.errors import BudgetExceeded, ModelFailed
from agents.llm.chat import Chat, Request, Unreachable
from agents.llm.circuit import Circuits
from agents.llm.collector import Answer, Collector
from agents.llm.metering import CallMeter, completion_room
from agents.llm.model_call import ModelCall, left_alone
from agents.llm.tokens import ASSUMED_ANSWER, prompt_range, prompt_tokens
from agents.providers.budget import Budget
from agents.providers.holds import Left
from agents.providers.pricing import price_of, used
from agents.providers.provider import Price, Provider
from agents.result import Usage

TURNS = 3
"""How often all providers are asked in turn before it is given up."""
FIRST_PAUSE_SECONDS = 0.5
LONGEST_PAUSE_SECONDS = 60.0
"""Providers that all want to be left alone for longer are not waited for."""
MAX_ANSWER_SECONDS = 3600.0
"""Of one answer, whatever trickles in meanwhile and however long its agent may take."""


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
        calls: CallBook,
    ) -> None:
        self._providers = providers
        self._chat_of = chat_of
        self._circuits = circuits
        self._budget = budget
        self._log = log
        self._tell_text = tell_text
        self._calls = calls
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
                    self._left_alone(provider, request, rest)
        raise self._nobody()

    def _pause(self, turn: int) -> float:
        """Seconds until one of them may be asked again; raises `ModelFailed` when that is too long."""
        rest = min(self._circuits.rest(provider.id) for provider in self._providers)
        if rest > LONGEST_PAUSE_SECONDS:
            raise self._nobody()
        return max(rest, FIRST_PAUSE_SECONDS * 2.0 ** (turn - 1))

    async def _ask(self, provider: Provider, request: Request) -> Answer:
        request = replace(request, model=provider.answering(request.model) or request.model)
        price = price_of(provider, request.model)
        tools = [tool.parameters for tool in request.tools]
        meter = CallMeter(price, self._budget, prompt_tokens(request.messages, *tools), self._log)
        _, most_prompt = prompt_range(request.messages, *tools)
        try:
            least, most = (
                used(price, prompt_tokens=most_prompt, completion_tokens=answer)
                for answer in (1, request.max_tokens or ASSUMED_ANSWER)
            )
            left = await self._budget.ask(least, most)
            _check_price(provider, request.model, price, left)
            room = completion_room(left, price, most_prompt)
            bounded = _bounded(request, room)
            answer = await self._recorded(provider, bounded, meter)
        finally:
            self._budget.over()
            self.account.add(meter)
        self._circuits.answered(provider.id)
        if answer.finish_reason == "length" and room is not None and room == bounded.max_tokens != request.max_tokens:
            raise self._cut_short(room)
        return answer

    async def _recorded(self, provider: Provider, request: Request, meter: CallMeter) -> Answer:
        shown = ModelCall(provider, request, meter)
        number = await self._calls.begin(shown.so_far)
        try:
            answer = await self._collected(provider, request, meter)
        except BaseException as error:
            self._calls.end(number, shown.failed(error))
            raise
        self._calls.end(number, shown.answered(answer))
        return answer

    async def _collected(self, provider: Provider, request: Request, meter: CallMeter) -> Answer:
        collector = Collector(meter, self._tell_text)
        try:
            async with asyncio.timeout(MAX_ANSWER_SECONDS) as limit:
                async with aclosing(self._chat_of(provider).answer(request)) as pieces:
                    async for piece in pieces:
                        collector.take(piece)
        except TimeoutError:
            if not limit.expired():
                raise
            raise Unreachable(f"its answer took longer than {MAX_ANSWER_SECONDS:g} s") from None
        return collector.answer(provider, request.model)

    def _cut_short(self, room: int) -> BudgetExceeded:
        return BudgetExceeded(
            f"The answer was stopped after {room:,} tokens: more would have been over a limit",
            hint="raise `maxTokens` or `maxCost` of agent, workflow or project, or ask for less",
            details={"limits": [share.shown() for share in self._budget.shares()]},
        )

    def _left_alone(self, provider: Provider, request: Request, rest: float) -> None:
        reason = f"it has failed before and is left alone for {rest:.0f} s more"
        self._note(provider, reason)
        self._calls.add(left_alone(provider, request, reason))

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


def _bounded(request: Request, room: int | None) -> Request:
    """The request as it goes out where there is room for so many tokens.

    A bound that nobody wrote is sent where every model takes it. Above that the answer comes as a stream, which is
    stopped where there is no room any more: many refuse a bound beyond what they can say.
    """
    if room is None:
        return request
    if request.max_tokens is not None:
        return replace(request, max_tokens=min(request.max_tokens, room))
    if room <= ASSUMED_ANSWER:
        return replace(request, max_tokens=room)
    return replace(request, stream=True)


def _check_price(provider: Provider, model: str, price: Price | None, left: Left) -> None:
    if price is None and left.cost is not None:
        raise ModelFailed(
            f"What {model!r} costs at {provider.name!r} is not known, so `maxCost` cannot be kept",
            code="PRICE_UNKNOWN",
            hint="add the model's price to the provider, or take `maxCost` away",
        )
