"""Repeats attempts that may succeed the next time."""

import asyncio
import email.utils
import secrets
import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from http import HTTPStatus

from agents.api.config import Retry
from agents.api.exchange import Answer
from agents.errors import AgentError, ConnectionFailed, HttpStatusFailed

_random = secrets.SystemRandom()


@dataclass(kw_only=True)
class Attempts:
    """Counts over all requests of a run."""

    made: int = 0


async def with_retries(
    attempt: Callable[[], Awaitable[Answer]],
    retry: Retry,
    expects: Callable[[int], bool],
    attempts: Attempts,
    log: Callable[[str, str], None],
) -> Answer:
    """The first answer that is expected or not worth a repetition; raises what the last attempt raised."""
    for number in range(1, retry.max_attempts + 1):
        attempts.made += 1
        last = number == retry.max_attempts
        try:
            answer = await attempt()
        except (ConnectionFailed, HttpStatusFailed) as error:  # the second: of what gives out tokens
            if last or not _passes(error, retry):
                raise
            delay, reason = backoff(retry, number), error.message
        else:
            wait = retry_after(answer.headers.get("retry-after"), time.time())
            if last or expects(answer.status) or not retry.covers(answer.status):
                return answer
            if wait > retry.max_backoff_seconds:
                longest = f"`retry.maxBackoffSeconds` is {retry.max_backoff_seconds:g}"
                log("WARN", f"status {answer.status} asks to wait {wait:.0f} s: not tried again, {longest}")
                return answer
            delay, reason = max(backoff(retry, number), wait), f"status {answer.status}"
        log("WARN", f"attempt {number} of {retry.max_attempts} failed: {reason}; next in {delay:.1f} s")
        await asyncio.sleep(delay)
    raise AssertionError("the last attempt returns or raises")


def _passes(error: AgentError, retry: Retry) -> bool:
    return isinstance(error, ConnectionFailed) or retry.covers(error.details["status"])


def backoff(retry: Retry, number: int) -> float:
    """Seconds after attempt `number` (from 1): doubling, less a random part up to a half."""
    full = min(retry.backoff_seconds * 2 ** (number - 1), retry.max_backoff_seconds)
    shortened: float = full * _random.uniform(0.5, 1)
    return shortened


def retry_after(header: str | None, now: float) -> float:
    """Seconds from now; 0 where the header is missing or means nothing."""
    if not header:
        return 0
    if header.strip().isascii() and header.strip().isdigit():
        return float(header.strip()[:9])
    try:
        return max(0.0, email.utils.parsedate_to_datetime(header).timestamp() - now)
    except (ValueError, TypeError, OverflowError):
        return 0


def status_name(status: int) -> str:
    try:
        return HTTPStatus(status).phrase
    except ValueError:
        return "unknown status"
