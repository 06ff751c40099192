"""What is told to a budget while an answer streams adds up to what it was in the end."""

from decimal import ROUND_HALF_UP, Decimal

from hypothesis import given
from hypothesis import strategies as st

from agents.llm.chat import Reported
from agents.llm.metering import SMALLEST, CallMeter, completion_room
from agents.llm.tokens import text_tokens
from agents.providers.budget import BoundedBudget
from agents.providers.holds import Left
from agents.providers.pricing import cost_of
from agents.providers.provider import Price
from agents.result import Usage
from agents.spec import Limits

COUNTS = st.integers(0, 10**7)
MONEY = st.decimals(0, 1000, places=4)
PRICES = st.builds(Price, prompt=MONEY, completion=MONEY, cached=st.none() | MONEY)
REPORTS = st.builds(Reported, prompt_tokens=COUNTS, completion_tokens=COUNTS, cached_tokens=st.integers(0, 10**5))


@given(st.lists(st.tuples(COUNTS, st.lists(st.text()), st.none() | REPORTS), max_size=5), PRICES)
def test_what_was_told_is_what_is_shown(calls: list[tuple[int, list[str], Reported | None]], price: Price) -> None:
    budget = BoundedBudget(Limits(max_tokens=10**15, max_cost=10**12), "workflow")
    total, cost = Usage(), Decimal(0)
    for prompt, texts, reported in calls:
        meter = CallMeter(price, budget, prompt, lambda *_, **__: None)
        meter.begin()
        for text in texts:
            meter.received(text)
        if reported is not None:
            meter.settle(reported)
        total += meter.usage
        exact = cost_of(
            price,
            prompt_tokens=meter.usage.prompt_tokens,
            completion_tokens=meter.usage.completion_tokens,
            cached_tokens=meter.cached_tokens,
        )
        assert exact is not None
        cost += exact.quantize(SMALLEST, ROUND_HALF_UP)
        if meter.is_estimate:
            assert meter.usage.prompt_tokens == prompt
            assert meter.usage.completion_tokens == text_tokens("".join(texts))
    assert total.cost == cost
    told_tokens, told_cost = budget.shares()
    assert told_tokens.used == total.prompt_tokens + total.completion_tokens
    assert told_cost.used == cost


@given(st.integers(0, 10**9), MONEY, PRICES, st.integers(0, 10**6))
def test_what_fits_into_what_is_left_does_fit(tokens: int, cost: Decimal, price: Price, prompt: int) -> None:
    left = Left(
        tokens=prompt + 1 + tokens, cost=cost + (cost_of(price, prompt_tokens=prompt, completion_tokens=1) or 0)
    )
    room = completion_room(left, price, prompt)
    assert room is not None
    spent = cost_of(price, prompt_tokens=prompt, completion_tokens=room)
    assert left.cost is not None
    assert spent is not None
    assert spent <= left.cost
    assert left.tokens is not None
    assert prompt + room <= left.tokens
    assert completion_room(Left(), price, prompt) is None
