"""Budgets inside budgets: asked before, told while."""

from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agents.errors import BudgetExceeded
from agents.providers.budget import BoundedBudget
from agents.providers.holds import Left
from agents.result import Usage
from agents.spec import Limits


def some(prompt: int = 0, completion: int = 0, cost: str = "0") -> Usage:
    return Usage(prompt_tokens=prompt, completion_tokens=completion, cost=Decimal(cost))


async def test_the_tightest_of_what_is_left_is_told() -> None:
    run = BoundedBudget(Limits(max_tokens=100, max_cost=1), "workflow")
    agent = BoundedBudget(Limits(max_tokens=1000, max_cost=0.5), "agent", outer=run)
    agent.tell(some(10, 5, "0.125"))
    assert await agent.ask(some(1), some(1)) == Left(tokens=85, cost=Decimal("0.375"))
    assert [(share.of, share.limit, share.percent) for share in agent.shares()] == [
        ("agent", "maxTokens", 1.5),
        ("agent", "maxCost", 25.0),
        ("workflow", "maxTokens", 15.0),
        ("workflow", "maxCost", 12.5),
    ]


async def test_a_call_that_cannot_fit_is_refused_before_it_is_made() -> None:
    run = BoundedBudget(Limits(max_tokens=100), "workflow")
    agent = BoundedBudget(Limits(), "agent", outer=run)
    agent.recall(some(95))
    with pytest.raises(BudgetExceeded, match="workflow's limit of 100") as refused:
        await agent.ask(some(6), some(6))
    assert refused.value.details["limits"][0]["percent"] == 95.0
    assert (await agent.ask(some(5), some(5))).tokens == 5


def test_what_is_over_the_limit_counts_everywhere_before_it_is_told() -> None:
    run = BoundedBudget(Limits(max_tokens=10), "workflow")
    agent = BoundedBudget(Limits(max_tokens=5), "agent", outer=run)
    with pytest.raises(BudgetExceeded, match="workflow's limit of 10"):
        agent.tell(some(20))
    assert [share.percent for share in agent.shares()] == [400.0, 200.0]


USAGES = st.lists(
    st.builds(
        Usage,
        prompt_tokens=st.integers(0, 10**9),
        completion_tokens=st.integers(0, 10**9),
        cost=st.none() | st.decimals(0, 1000, places=10),
    )
)


@given(USAGES)
def test_what_several_callers_use_adds_up_in_what_is_around_them(usages: list[Usage]) -> None:
    run = BoundedBudget(Limits(max_tokens=10**15, max_cost=10**9), "workflow")
    inner = [BoundedBudget(Limits(), "agent", outer=run) for _ in range(3)]
    for number, usage in enumerate(usages):
        inner[number % 3].tell(usage)
    tokens, cost = run.shares()
    assert tokens.used == sum(usage.prompt_tokens + usage.completion_tokens for usage in usages)
    assert cost.used == sum((usage.cost or Decimal(0)) for usage in usages)
