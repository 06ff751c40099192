"""How something is measured: warmed up, repeated, given as the median of several rounds."""

import gc
import statistics
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass


@dataclass(frozen=True)
class Figure:
    """One measured value with its goal, where there is one (`value` should not exceed it)."""

    name: str
    value: float
    unit: str
    rounds: int
    goal: float | None = None

    def as_json(self) -> dict[str, object]:
        """For the line that machines read."""
        return asdict(self)

    def as_row(self) -> str:
        """For the table that people read."""
        goal = "" if self.goal is None else f"goal ≤ {self.goal:g} {self.unit}"
        return f"{self.name:<58} {self.value:>10.3f} {self.unit:<3} {goal}"


def median_seconds(work: Callable[[], object], *, rounds: int, repeat: int = 1) -> float:
    """Seconds of one call: the median over rounds of `repeat` calls each, after one round that does not count."""
    samples = []
    for _ in range(rounds + 1):
        gc.collect()
        started = time.perf_counter()
        for _ in range(repeat):
            work()
        samples.append((time.perf_counter() - started) / repeat)
    return statistics.median(samples[1:])
