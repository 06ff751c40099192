"""Leaves providers alone that do not answer, for a while and in this process."""

import time
from collections.abc import Callable
from dataclasses import dataclass

FAILURES = 3
"""After so many in a row a provider is left alone."""
COOL_DOWN_SECONDS = 30.0
LONGEST_REST_SECONDS = 300.0
"""Whatever a `Retry-After` says."""


@dataclass
class _State:
    failures: int = 0
    rests_until: float = 0.0


class Circuits:
    """One for each provider. After the cool-down a single call tries it again before the others may."""

    def __init__(self, now: Callable[[], float] = time.monotonic) -> None:
        self._now = now
        self._states: dict[str, _State] = {}

    def rest(self, provider: str) -> float:
        """Seconds that the provider is still to be left alone; 0 when it may be asked."""
        state = self._states.get(provider)
        return max(state.rests_until - self._now(), 0.0) if state else 0.0

    def began(self, provider: str) -> None:
        """A call is made: where it is the trial after a cool-down, the others wait for what comes of it."""
        state = self._states.get(provider)
        if state and state.failures >= FAILURES:
            state.rests_until = self._now() + COOL_DOWN_SECONDS

    def answered(self, provider: str) -> None:
        """It works."""
        self._states.pop(provider, None)

    def failed(self, provider: str, retry_after: float | None) -> None:
        """It does not. What it asks for counts at once, by itself it is left alone after some failures."""
        state = self._states.setdefault(provider, _State())
        state.failures += 1
        if retry_after is not None:
            state.rests_until = self._now() + min(max(retry_after, 0.0), LONGEST_REST_SECONDS)
        elif state.failures >= FAILURES:
            state.rests_until = self._now() + COOL_DOWN_SECONDS
