"""Budgets inside budgets: asked before, told while."""

import asyncio
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


class TestCallsAtOnce:
    """One limit, several calls: what each may use is set aside before it is made."""

    async def test_one_waits_for_what_another_gives_back(self) -> None:
        run = BoundedBudget(Limits(max_tokens=100), "workflow")
        order: list[str] = []

        async def call(name: str) -> None:
            assert (await run.ask(some(10, 1), some(10, 80))).tokens is not None
            order.append(f"{name} asks")
            await asyncio.sleep(0)
            run.tell(some(10, 20))
            run.over()
            order.append(f"{name} is over")

        async with asyncio.timeout(30):
            await asyncio.gather(call("one"), call("two"))
        assert order == ["one asks", "one is over", "two asks", "two is over"]
        assert run.shares()[0].used == 60

    async def test_what_one_may_want_is_waited_for_also_where_less_is_left(self) -> None:
        """Rather than being cut short by what others may yet give back; alone it takes what there is."""
        run = BoundedBudget(Limits(max_tokens=100, max_cost=1), "workflow")
        assert await run.ask(some(10, 1), some(10, 4000)) == Left(tokens=100, cost=Decimal(1))
        other = asyncio.create_task(run.ask(some(10, 1), some(10, 1)))  # type: ignore[arg-type]
        await asyncio.sleep(0)
        assert not other.done()
        run.over()
        async with asyncio.timeout(30):
            assert (await other).tokens == 100

    async def test_one_that_goes_over_its_reckoning_stops_before_what_is_set_aside(self) -> None:
        run = BoundedBudget(Limits(max_tokens=100), "workflow")
        asked, done = asyncio.Event(), asyncio.Event()

        async def patient() -> None:
            await run.ask(some(10, 1), some(10, 40))
            asked.set()
            await done.wait()
            run.tell(some(10, 40))
            run.over()

        task = asyncio.create_task(patient())
        await asked.wait()
        assert (await run.ask(some(10, 1), some(10, 10))).tokens == 50
        run.tell(some(10, 10))
        run.tell(some(0, 30))
        with pytest.raises(BudgetExceeded, match=r"with other calls\) exceeded: 101 tokens"):
            run.tell(some(0, 1))
        run.over()
        done.set()
        with pytest.raises(BudgetExceeded, match="was exceeded"):
            await task

    async def test_what_cannot_fit_is_refused_at_once_whatever_is_set_aside(self) -> None:
        run = BoundedBudget(Limits(max_tokens=100), "workflow")
        run.recall(some(50))
        holder = asyncio.create_task(run.ask(some(10), some(50)))  # type: ignore[arg-type]
        await holder
        with pytest.raises(BudgetExceeded):
            await run.ask(some(51), some(51))


@given(
    st.lists(st.tuples(st.integers(1, 30), st.integers(1, 60), st.booleans(), st.integers(0, 4)), max_size=12),
    st.integers(40, 300),
)
def test_calls_at_once_never_pass_a_limit_together(calls: list[tuple[int, int, bool, int]], limit: int) -> None:
    """Each is told what it may use, uses all of it if it wants so much, piece by piece or at once."""

    async def scene() -> int:
        run = BoundedBudget(Limits(max_tokens=limit), "workflow")
        inner = [BoundedBudget(Limits(), "agent", outer=run) for _ in calls]

        async def call(budget: BoundedBudget, prompt: int, wanted: int, is_streamed: bool, pause: int) -> None:
            try:
                left = await budget.ask(some(prompt, 1), some(prompt, 20 if is_streamed else wanted))
                assert left.tokens is not None
                answer = min(wanted, left.tokens - prompt)
                budget.tell(some(prompt))
                for part in [1] * answer if is_streamed else [answer]:
                    for _ in range(pause):
                        await asyncio.sleep(0)
                    budget.tell(some(0, part))
            except BudgetExceeded:
                pass
            finally:
                budget.over()

        async with asyncio.timeout(60):
            await asyncio.gather(*(call(budget, *each) for budget, each in zip(inner, calls, strict=True)))
        return int(run.shares()[0].used)

    assert asyncio.run(scene()) <= limit + len(calls), "a piece of each at most, which is what may be in the air"


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
