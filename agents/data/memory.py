"""Ends a query before it takes the memory that everything else on the machine needs.

A query is looked at whenever it passes a checkpoint (`stopping`): what one operation asks for in one piece is beyond
that, as is a sort inside of a `sql` query.
"""

import os
import time
from contextlib import suppress
from functools import cache
from pathlib import Path

from agents.errors import LimitExceeded

SHARE = 0.5
"""Of the machine's memory, or of the control group's, that a process may hold while it runs queries."""
LOOK_SECONDS = 0.01
"""Between two looks: a query passes its checkpoints thousands of times a second, and a look costs some 15 µs."""
SLACK_BYTES = 64 * 2**20
"""A query that has added no more than this is not to blame."""

_LIMITS = (Path("/sys/fs/cgroup/memory.max"), Path("/sys/fs/cgroup/memory/memory.limit_in_bytes"))
_PAGE = os.sysconf("SC_PAGE_SIZE")


class MemoryLimit:
    """Of one query, from its beginning."""

    def __init__(self, allowed_bytes: int | None = None) -> None:
        self._allowed = allowed_bytes or allowed()
        self._before = resident()
        self._look_at = 0.0

    def check(self) -> None:
        """Raises `LimitExceeded` when the process holds too much since the query has begun."""
        now = time.monotonic()
        if now < self._look_at:
            return
        self._look_at = now + LOOK_SECONDS
        held = resident()
        if held > self._allowed and held - self._before > SLACK_BYTES:
            message = (
                f"the query was stopped at {held // 2**20} MiB of memory; choose fewer rows and columns first, join on"
                " keys that are unique on one side, or write an intermediate table"
            )
            raise LimitExceeded(message, code="MEMORY_LIMIT", details={"limitBytes": self._allowed})


def resident() -> int:
    """What this process holds in memory; 0 where the system does not say."""
    try:
        return int(Path("/proc/self/statm").read_text(encoding="ascii").split()[1]) * _PAGE
    except OSError:
        return 0


@cache
def allowed() -> int:
    """What a process may hold."""
    total = os.sysconf("SC_PHYS_PAGES") * _PAGE
    for file in _LIMITS:
        with suppress(OSError, ValueError):
            total = min(total, int(file.read_text(encoding="ascii")))
    return int(total * SHARE)
