"""What a step's retry policy says: how long to wait, and whether another attempt follows."""

import random

from flows.spec import RetryPolicy

HOPELESS = frozenset({"BUDGET_EXCEEDED"})
"""What a limit of the whole run, or of more than that, has refused."""


def retry_delays(policy: RetryPolicy | None) -> list[float] | None:
    """Seconds before each further attempt: `delay * backoff**n`, at most `maxDelaySeconds`."""
    if policy is None or policy.max_attempts == 1:
        return None
    return [
        min(policy.delay_seconds * policy.backoff**number, policy.max_delay_seconds)
        for number in range(policy.max_attempts - 1)
    ]


def delay_after(policy: RetryPolicy, number: int) -> float:
    """Seconds to wait after attempt `number` (from 1), give or take the policy's jitter."""
    delay = min(policy.delay_seconds * policy.backoff ** (number - 1), policy.max_delay_seconds)
    return delay * random.uniform(1 - policy.jitter, 1 + policy.jitter)  # noqa: S311  # spreads load, guards nothing


def is_worth_retrying(policy: RetryPolicy, code: str) -> bool:
    """Whether `retryOn` names the code; an empty `retryOn` names all that another attempt may do better."""
    return code in policy.retry_on if policy.retry_on else code not in HOPELESS


def is_last(policy: RetryPolicy | None, number: int, code: str) -> bool:
    """Whether no attempt follows attempt `number` (from 1) that failed with `code`."""
    return policy is None or number >= policy.max_attempts or not is_worth_retrying(policy, code)
