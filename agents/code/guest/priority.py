"""Who goes first: a program that has just begun, before those that compute for long.

A program cannot undo it: to raise its own priority takes a capability or a limit, and it has neither.
"""

import os
from contextlib import suppress

YOUNG_SECONDS = 0.15
"""Of processor time, that a run has before it gives way."""
MILDEST, LOWEST = 10, 19
"""Niceness of a run's threads: the more there are, the less each weighs, so that many are hardly more than one."""


def lower(pids: list[int]) -> None:
    """For all threads of these processes, where control groups do not do it; what they start later inherits it."""
    threads = [thread for pid in pids for thread in _threads(pid)]
    niceness = min(MILDEST + len(threads) // 2, LOWEST)
    for thread in threads:
        with suppress(OSError):
            if os.getpriority(os.PRIO_PROCESS, thread) < niceness:
                os.setpriority(os.PRIO_PROCESS, thread, niceness)
    for pid in pids:
        _lower_session(pid, niceness)


def _threads(pid: int) -> list[int]:
    with suppress(OSError):
        return [int(name) for name in os.listdir(f"/proc/{pid}/task")]
    return []


def _lower_session(pid: int, niceness: int) -> None:
    """Where the kernel shares processors out among sessions first (autogroup), a thread's niceness counts within."""
    with suppress(OSError), open(f"/proc/{pid}/autogroup", "w") as file:
        file.write(str(niceness))
