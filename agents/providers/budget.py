"""What may still be used of models: asked before each call, told while the answer streams in.

    left = await budget.ask(least, most)   # raises `BudgetExceeded` when not even the least is left
    budget.tell(more)                      # counts, and raises `BudgetExceeded` as soon as it is too much
    budget.over()                          # the call has ended, however

Budgets nest: an agent's inside its run's, that inside its project's. What is told to one is told to all that are around
it, so that calls which are made at the same time see what the others use. Telling is synchronous and cheap; a budget
that lives in a database sets aside in `ask` what the call may use at most, until it is over, and writes what it used
when it can. A task makes one call at a time.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from decimal import Decimal
from typing import Any, Protocol, TypeVar

from agents.errors import BudgetExceeded
from agents.result import Usage
from agents.spec import Limits

Amount = TypeVar("Amount", int, Decimal)


@dataclass(frozen=True, kw_only=True)
class Left:
    """What is left; None is without a bound."""

    tokens: int | None = None
    cost: Decimal | None = None

    def tightened(self, other: "Left") -> "Left":
        """The tighter of each."""
        return Left(tokens=_least(self.tokens, other.tokens), cost=_least(self.cost, other.cost))


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
        """What is left, now that at least `least` is about to be used; raises `BudgetExceeded` when that is more."""
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

    async def ask(self, least: Usage, most: Usage) -> Left:
        """The tightest of what this and what is around it has left."""
        around = await self.outer.ask(least, most)
        tokens, cost = _amounts(least)
        self._check(self._tokens + tokens, self._cost + cost, "would be")
        return self._left.tightened(around)

    def tell(self, more: Usage) -> None:
        """Counts here and in what is around it; the outermost limit that is passed is the one that is named.

        A run's limits bound its agents too, so that one which is passed inside was set outside where both are alike.
        """
        self._count(more)
        self.outer.tell(more)
        self._check(self._tokens, self._cost, "was")

    def over(self) -> None:
        """Nothing was set aside here."""
        self.outer.over()

    def recall(self, before: Usage) -> None:
        """Counts here and in what is around it."""
        self._count(before)
        self.outer.recall(before)

    def shares(self) -> Sequence[Share]:
        """This one's before those around it."""
        bounds = (("maxTokens", Decimal(self._tokens), self._max_tokens), ("maxCost", self._cost, self._max_cost))
        own = [Share(of=self._of, limit=n, used=used, bound=Decimal(b)) for n, used, b in bounds if b is not None]
        return (*own, *self.outer.shares())

    @property
    def _left(self) -> Left:
        return Left(
            tokens=None if self._max_tokens is None else max(self._max_tokens - self._tokens, 0),
            cost=None if self._max_cost is None else max(self._max_cost - self._cost, Decimal(0)),
        )

    def _count(self, more: Usage) -> None:
        tokens, cost = _amounts(more)
        self._tokens += tokens
        self._cost += cost

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


def _amounts(usage: Usage) -> tuple[int, Decimal]:
    return usage.prompt_tokens + usage.completion_tokens, usage.cost or Decimal(0)


def _least(one: Amount | None, other: Amount | None) -> Amount | None:
    return min((each for each in (one, other) if each is not None), default=None)
