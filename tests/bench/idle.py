"""The one-command stack (P9): from nothing to ready, ready again, and what it costs while nothing happens."""

import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from tests.bench.measure import Figure
from tests.bench.processes import cpu_seconds, pss_mib
from tests.fixtures.stack import RunningStack, started

SETTLE_SECONDS = 15.0
WATCH_SECONDS = 60.0


@contextmanager
def measured_start(folder: Path, name: str, goal: float, into: list[Figure]) -> Iterator[RunningStack]:
    """A running stack; how long it took to be ready goes to the figures."""
    begun = time.monotonic()
    with started(folder, folder.with_suffix(".log")) as stack:
        into.append(Figure(f"P9 {name} → ready", time.monotonic() - begun, "s", 1, goal=goal))
        yield stack


def idle(stack: RunningStack, *, settle: float = SETTLE_SECONDS, watch: float = WATCH_SECONDS) -> list[Figure]:
    """Memory and CPU (of one core) once the stack has come to rest."""
    time.sleep(settle)
    before, begun = cpu_seconds(stack), time.monotonic()
    time.sleep(watch)
    percent = (cpu_seconds(stack) - before) / (time.monotonic() - begun) * 100
    return [
        Figure("P9 idle, CPU of one core", percent, "%", 1, goal=3),
        Figure("P9 idle, memory (PSS)", pss_mib(stack), "MiB", 1, goal=700),
    ]


def fresh_folder() -> "tempfile.TemporaryDirectory[str]":
    """Where a stack may live for as long as it is measured."""
    return tempfile.TemporaryDirectory(prefix="turbocat-bench-")
