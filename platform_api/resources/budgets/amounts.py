"""Tokens and money, and how a budget bounds them."""

from dataclasses import dataclass, field
from datetime import UTC, date
from decimal import ROUND_HALF_UP, Decimal
from typing import Any

from agents.providers.budget import Share
from agents.providers.holds import Amount, Left
from agents.result import Usage
from platform_api.kit import clock
from platform_api.resources.projects.schemas import Budget, BudgetPeriod

CENT = Decimal("0.00000001")
"""What the database keeps of money."""

OF = "project budget"
_EACH = {BudgetPeriod.DAY: " a day", BudgetPeriod.MONTH: " a month", BudgetPeriod.TOTAL: ""}


@dataclass(frozen=True, kw_only=True)
class Used:
    """What was used, as it is charged: `cost` is that of all tokens but the unpriced ones."""

    prompt_tokens: int = 0
    completion_tokens: int = 0
    unpriced_tokens: int = 0
    cost: Decimal = Decimal(0)

    @classmethod
    def of(cls, usage: Usage) -> "Used":
        """With what it cost, if that is known."""
        tokens = usage.prompt_tokens + usage.completion_tokens
        return cls(
            prompt_tokens=usage.prompt_tokens,
            completion_tokens=usage.completion_tokens,
            unpriced_tokens=tokens if usage.cost is None else 0,
            cost=usage.cost or Decimal(0),
        )

    def plus(self, other: "Used", sign: int = 1) -> "Used":
        """Both together, or (-1) without the other."""
        return Used(
            prompt_tokens=self.prompt_tokens + sign * other.prompt_tokens,
            completion_tokens=self.completion_tokens + sign * other.completion_tokens,
            unpriced_tokens=self.unpriced_tokens + sign * other.unpriced_tokens,
            cost=self.cost + sign * other.cost,
        )

    def rounded(self) -> "Used":
        """As the database can keep it; what is cut off is charged with what follows."""
        cost = self.cost.quantize(CENT, ROUND_HALF_UP)
        return Used(
            prompt_tokens=self.prompt_tokens,
            completion_tokens=self.completion_tokens,
            unpriced_tokens=self.unpriced_tokens,
            cost=cost,
        )

    @property
    def amount(self) -> Amount:
        """Its tokens and its known cost."""
        return Amount(self.prompt_tokens + self.completion_tokens, self.cost)


@dataclass(frozen=True, kw_only=True)
class Bounds:
    """What all runs of a project may use together in a period; without a budget everything."""

    max_tokens: int | None = None
    max_cost: Decimal | None = None
    period: BudgetPeriod = field(default=BudgetPeriod.TOTAL)

    @classmethod
    def read(cls, stored: dict[str, Any] | None) -> "Bounds":
        """From a project's column."""
        if not stored:
            return cls()
        budget = Budget.model_validate(stored)
        cost = None if budget.max_cost is None else Decimal(str(budget.max_cost))
        return cls(max_tokens=budget.max_tokens, max_cost=cost, period=budget.period)

    def left(self, spent: Amount) -> Left:
        """Below zero where more was used than there was."""
        return Left(
            tokens=None if self.max_tokens is None else self.max_tokens - spent.tokens,
            cost=None if self.max_cost is None else self.max_cost - spent.cost,
        )

    def shares(self, spent: Amount) -> tuple[Share, ...]:
        """How much of each bound is used."""
        bounds = (
            ("maxTokens", Decimal(spent.tokens), self.max_tokens),
            ("maxCost", spent.cost, self.max_cost),
        )
        known = [(name, used, bound) for name, used, bound in bounds if bound is not None]
        return tuple(Share(of=OF, limit=name, used=used, bound=Decimal(bound)) for name, used, bound in known)

    def passed(self, left: Left) -> str | None:
        """The bound, in words, of which nothing is left."""
        if left.tokens is not None and left.tokens <= 0:
            return self.in_words("maxTokens")
        return self.in_words("maxCost") if left.cost is not None and left.cost <= 0 else None

    def in_words(self, limit: str) -> str:
        """One of the bounds for people."""
        bound = (
            f"{self.max_tokens:,} tokens"
            if limit == "maxTokens"
            else f"{(self.max_cost or Decimal(0)).normalize():f} USD"
        )
        return f"{bound}{_EACH[self.period]}"


def today() -> date:
    """In UTC, by which budgets reckon."""
    return clock.now().astimezone(UTC).date()


def first_day(period: BudgetPeriod, day: date) -> date | None:
    """When the period began that `day` lies in; None is ever since. Days are those of UTC."""
    match period:
        case BudgetPeriod.DAY:
            return day
        case BudgetPeriod.MONTH:
            return day.replace(day=1)
        case BudgetPeriod.TOTAL:
            return None
