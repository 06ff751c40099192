"""What calls have set aside of one budget, each by the task that makes it."""

import asyncio
from dataclasses import dataclass
from decimal import Decimal
from typing import TypeVar

from agents.result import Usage

Number = TypeVar("Number", int, Decimal)
Call = asyncio.Task[object]


@dataclass(frozen=True, kw_only=True)
class Left:
    """What is left; None is without a bound."""

    tokens: int | None = None
    cost: Decimal | None = None

    def tightened(self, other: "Left") -> "Left":
        """The tighter of each."""
        return Left(tokens=_least(self.tokens, other.tokens), cost=_least(self.cost, other.cost))


@dataclass(frozen=True)
class Amount:
    """So many tokens and USD."""

    tokens: int = 0
    cost: Decimal = Decimal(0)

    @classmethod
    def of(cls, usage: Usage) -> "Amount":
        """A cost that is not known counts as nothing; executors refuse such calls where cost is bounded."""
        return cls(usage.prompt_tokens + usage.completion_tokens, usage.cost or Decimal(0))

    def __add__(self, other: "Amount") -> "Amount":
        return Amount(self.tokens + other.tokens, self.cost + other.cost)

    def __sub__(self, other: "Amount") -> "Amount":
        return Amount(self.tokens - other.tokens, self.cost - other.cost)

    def at_least(self, other: "Amount") -> "Amount":
        """The greater of each."""
        return Amount(max(self.tokens, other.tokens), max(self.cost, other.cost))

    def fits(self, left: Left) -> bool:
        """Whether there is so much left."""
        return self == self.within(left)

    def within(self, left: Left) -> "Amount":
        """As much of it as there is left."""
        tokens = self.tokens if left.tokens is None else min(self.tokens, max(left.tokens, 0))
        cost = self.cost if left.cost is None else min(self.cost, max(left.cost, Decimal(0)))
        return Amount(tokens, cost)


class Holds:
    """Those of one budget in this process. A task that is done holds nothing any more."""

    def __init__(self) -> None:
        self._held: dict[Call, Amount] = {}

    def take(self, holding: Amount) -> None:
        """Sets so much aside for the call of this task."""
        self._held[_this_call()] = holding

    def use(self, more: Amount) -> bool:
        """Takes what was used from what is set aside for it; whether it was more than that."""
        if not self._held or (held := self._held.get(call := _this_call())) is None:
            return False
        self._held[call] = (held - more.at_least(Amount())).at_least(Amount())
        return more.tokens > held.tokens or more.cost > held.cost

    def give_back(self) -> bool:
        """Sets nothing aside for the call of this task any more; whether anything was."""
        return bool(self._held) and self._held.pop(_this_call(), None) is not None

    def of_others(self) -> Amount:
        """Of all calls but that of this task."""
        if not self._held:
            return Amount()
        mine = _this_call()
        return sum((held for call, held in self._living() if call is not mine), start=Amount())

    def of_all(self) -> Amount:
        """Of all calls."""
        return sum((held for _, held in self._living()), start=Amount())

    def _living(self) -> list[tuple[Call, Amount]]:
        self._held = {call: held for call, held in self._held.items() if not call.done()}
        return list(self._held.items())


def _this_call() -> Call:
    task = asyncio.current_task()
    assert task is not None
    return task


def _least(one: Number | None, other: Number | None) -> Number | None:
    return min((each for each in (one, other) if each is not None), default=None)
