"""How something is measured: warmed up, repeated, given as the median of several rounds."""

import gc
import math
import statistics
import time
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass


@dataclass(frozen=True)
class Figure:
    """One measured value with its goal, where there is one: at most so much, or at least where more is better."""

    name: str
    value: float
    unit: str
    rounds: int
    goal: float | None = None
    more_is_better: bool = False

    def as_json(self) -> dict[str, object]:
        """For the line that machines read."""
        return asdict(self)

    def as_row(self) -> str:
        """For the table that people read."""
        bound = "≥" if self.more_is_better else "≤"
        goal = "" if self.goal is None else f"goal {bound} {self.goal:g} {self.unit}"
        return f"{self.name:<58} {self.value:>10.3f} {self.unit:<8} {goal}"


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


def percentile(values: Sequence[float], percent: float) -> float:
    """The smallest of the values that so many per cent do not exceed."""
    ordered = sorted(values)
    return ordered[max(math.ceil(len(ordered) * percent / 100) - 1, 0)]
