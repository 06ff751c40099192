"""How many files and connections a worker's process may have open."""

import resource
from contextlib import suppress

ENOUGH = 65_536
"""A process serves dozens of runs at once, and a program with a network alone may hold more than a hundred."""


def allow_enough() -> None:
    """As many as this user may have: the limit that most machines start with is for programs that use `select`.

    For this process and what it forks; programs of CODE agents get a limit of their own.
    """
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = ENOUGH if hard == resource.RLIM_INFINITY else min(ENOUGH, hard)
    if soft == resource.RLIM_INFINITY or soft >= wanted:
        return
    with suppress(OSError, ValueError):  # some systems have another limit below the one that they tell
        resource.setrlimit(resource.RLIMIT_NOFILE, (wanted, hard))
