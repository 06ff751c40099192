"""What may still be used of models: asked before each call, told while the answer streams in.

    left = await budget.ask(least, most)   # raises `BudgetExceeded` when not even the least is left
    budget.tell(more)                      # counts, and raises `BudgetExceeded` as soon as it is too much
    budget.over()                          # the call has ended, however

Budgets nest: an agent's inside its run's, that inside its project's. What is told to one is told to all that are around
it. In `ask` each of them sets aside what the call may use at most, until it is over, so that calls which are made at
the same time cannot go beyond it together: one waits for what the others have set aside and give back, and one that
goes over its own reckoning stops before it takes what is set aside for them. Telling is synchronous and cheap; a budget
that lives in a database writes what was used when it can. A task makes one call at a time.
"""

import asyncio
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from decimal import Decimal
from typing import Any, Protocol

from agents.errors import BudgetExceeded
from agents.providers.holds import Amount, Holds, Left
from agents.result import Usage
from agents.spec import Limits


@dataclass(frozen=True, kw_only=True)
class Share:
    """How much of one limit is used: `of` is agent, workflow or project, `limit` maxTokens or maxCost."""

    of: str
    limit: str
    used: Decimal
    bound: Decimal

    @property
    def percent(self) -> float:
        """May be over 100: what is used is known only when it has been used."""
        return round(float(100 * self.used / self.bound), 2) if self.bound else 100.0

    def shown(self) -> dict[str, Any]:
        """As records keep it."""
        return {
            "of": self.of,
            "limit": self.limit,
            "used": float(self.used),
            "bound": float(self.bound),
            "percent": self.percent,
        }


class Budget(Protocol):
    """One bound, or several inside each other."""

    async def ask(self, least: Usage, most: Usage) -> Left:
        """What a call may use that is about to use `least`, and `most` as far as one knows.

        So much is set aside for it until it is over. What others have set aside is waited for. Raises `BudgetExceeded`
        when `least` is too much.
        """
        ...

    def tell(self, more: Usage) -> None:
        """So much more was used (less, where it had been estimated too high).

        It counts everywhere before `BudgetExceeded` is raised: what was used was used.
        """
        ...

    def over(self) -> None:
        """The call that this task asked for has ended."""
        ...

    def recall(self, before: Usage) -> None:
        """So much was used before this process took the run up, which whoever keeps a budget over runs knows."""
        ...

    def shares(self) -> Sequence[Share]:
        """How much of each limit is used, innermost first."""
        ...


class Unbounded:
    """Allows everything."""

    async def ask(self, least: Usage, most: Usage) -> Left:
        """Everything."""
        return Left()

    def tell(self, more: Usage) -> None:
        """Nothing comes of it."""

    def over(self) -> None:
        """Nor of that."""

    def recall(self, before: Usage) -> None:
        """Nor of that."""

    def shares(self) -> Sequence[Share]:
        """There is no limit."""
        return ()


class CountedBudget:
    """Lets somebody count what is used, before what bounds it is told: what was used was used."""

    def __init__(self, outer: Budget, count: Callable[[Usage], None]) -> None:
        self._outer = outer
        self._count = count

    async def ask(self, least: Usage, most: Usage) -> Left:
        """As what bounds it has it."""
        return await self._outer.ask(least, most)

    def tell(self, more: Usage) -> None:
        """Counts, then tells."""
        self._count(more)
        self._outer.tell(more)

    def over(self) -> None:
        """For what bounds it."""
        self._outer.over()

    def recall(self, before: Usage) -> None:
        """That was counted before."""
        self._outer.recall(before)

    def shares(self) -> Sequence[Share]:
        """As what bounds it has it."""
        return self._outer.shares()


class BoundedBudget:
    """Keeps `maxTokens` and `maxCost` of `limits`, and what is around it keeps its own.

    A cost that is not known counts as nothing here: who asks refuses a model without a price where cost is bounded.
    """

    def __init__(self, limits: Limits, of: str, *, outer: Budget | None = None) -> None:
        self._of = of
        self._max_tokens = limits.max_tokens
        self._max_cost = None if limits.max_cost is None else Decimal(str(limits.max_cost))
        self.outer: Budget = outer or Unbounded()
        self._tokens, self._cost = 0, Decimal(0)
        self._holds = Holds()
        self._returned = asyncio.Event()
        self._line = asyncio.Lock()

    async def ask(self, least: Usage, most: Usage) -> Left:
        """The tightest of what this and what is around it has left, once that is enough."""
        around = await self.outer.ask(least, self._narrowed(least, most))
        if self._max_tokens is None and self._max_cost is None:
            return around
        async with self._line:
            while (left := self._set_aside(least, most)) is None:
                self._returned.clear()
                await self._returned.wait()
        return left.tightened(around)

    def tell(self, more: Usage) -> None:
        """Counts here and in what is around it; the outermost limit that is passed is the one that is named.

        A run's limits bound its agents too, so that one which is passed inside was set outside where both are alike.
        """
        is_beyond = self._holds.use(Amount.of(more))
        self._count(more)
        self.outer.tell(more)
        self._check(self._tokens, self._cost, "was")
        if is_beyond:
            others = self._holds.of_others()
            self._check(self._tokens + others.tokens, self._cost + others.cost, "would be (with other calls)")

    def over(self) -> None:
        """Wakes those that wait for what the call had."""
        if self._holds.give_back():
            self._returned.set()
        self.outer.over()

    def _narrowed(self, least: Usage, most: Usage) -> Usage:
        """What is around it need not set aside more than may be used here."""
        bound = self._max_tokens
        if bound is None:
            return most
        room = max(bound - self._tokens - most.prompt_tokens, least.completion_tokens)
        if room >= most.completion_tokens:
            return most
        return most.model_copy(update={"completion_tokens": room})

    def _set_aside(self, least: Usage, most: Usage) -> Left | None:
        """What the call may use; None while others hold what it may want, which they may yet give back."""
        wanted, others = Amount.of(least), self._holds.of_others()
        self._check(self._tokens + wanted.tokens, self._cost + wanted.cost, "would be")
        left = self._left_beside(others)
        upper = Amount.of(most)
        if others != Amount() and not upper.fits(left):
            return None
        self._holds.take(upper.within(left))
        return left

    def recall(self, before: Usage) -> None:
        """Counts here and in what is around it."""
        self._count(before)
        self.outer.recall(before)

    def shares(self) -> Sequence[Share]:
        """This one's before those around it."""
        bounds = (("maxTokens", Decimal(self._tokens), self._max_tokens), ("maxCost", self._cost, self._max_cost))
        own = [Share(of=self._of, limit=n, used=used, bound=Decimal(b)) for n, used, b in bounds if b is not None]
        return (*own, *self.outer.shares())

    def _left_beside(self, others: Amount) -> Left:
        tokens, cost = self._tokens + others.tokens, self._cost + others.cost
        return Left(
            tokens=None if self._max_tokens is None else max(self._max_tokens - tokens, 0),
            cost=None if self._max_cost is None else max(self._max_cost - cost, Decimal(0)),
        )

    def _count(self, more: Usage) -> None:
        amount = Amount.of(more)
        self._tokens += amount.tokens
        self._cost += amount.cost

    def _check(self, tokens: int, cost: Decimal, verb: str) -> None:
        if self._max_tokens is not None and tokens > self._max_tokens:
            raise self._exceeded("maxTokens", f"{tokens:,} tokens", f"{self._max_tokens:,}", verb)
        if self._max_cost is not None and cost > self._max_cost:
            raise self._exceeded("maxCost", f"{cost.normalize():f} USD", f"{self._max_cost:f}", verb)

    def _exceeded(self, limit: str, used: str, bound: str, verb: str) -> BudgetExceeded:
        return BudgetExceeded(
            f"The {self._of}'s limit of {bound} (`{limit}`) {verb} exceeded: {used}",
            hint=f"raise `{limit}` of the {self._of}, or ask for less",
            details={"of": self._of, "limit": limit, "limits": [share.shown() for share in self.shares()]},
        )
