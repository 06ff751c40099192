"""Retry policies."""

from hypothesis import given
from hypothesis import strategies as st

from flows.runtime.retries import is_last, is_worth_retrying, retry_delays
from flows.spec import RetryPolicy


def test_delays_grow_and_stop_growing() -> None:
    policy = RetryPolicy(max_attempts=5, delay_seconds=1, backoff=2, max_delay_seconds=5)
    assert retry_delays(policy) == [1, 2, 4, 5]


def test_no_policy_means_no_delays() -> None:
    assert retry_delays(None) is None
    assert retry_delays(RetryPolicy(max_attempts=1)) is None


@given(st.integers(2, 50), st.floats(0, 100), st.floats(1, 10), st.floats(0, 1000))
def test_every_delay_lies_within_the_bound(attempts: int, delay: float, backoff: float, bound: float) -> None:
    policy = RetryPolicy(max_attempts=attempts, delay_seconds=delay, backoff=backoff, max_delay_seconds=bound)
    delays = retry_delays(policy) or []
    assert len(delays) == attempts - 1
    assert all(0 <= each <= bound for each in delays)
    assert delays == sorted(delays)


def test_retry_on_names_the_codes() -> None:
    policy = RetryPolicy(retry_on=("TIMEOUT", "HTTP_5XX"))
    assert is_worth_retrying(policy, "TIMEOUT")
    assert not is_worth_retrying(policy, "HTTP_4XX")
    assert is_worth_retrying(RetryPolicy(), "ANYTHING")
    assert not is_worth_retrying(RetryPolicy(), "BUDGET_EXCEEDED")


def test_the_last_attempt() -> None:
    policy = RetryPolicy(max_attempts=2, retry_on=("A",))
    assert is_last(None, 1, "A")
    assert not is_last(policy, 1, "A")
    assert is_last(policy, 2, "A")
    assert is_last(policy, 1, "B")
