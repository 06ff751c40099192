"""What a stack's processes cost: CPU time with that of children that have ended, memory as PSS."""

from collections.abc import Iterator
from contextlib import suppress

import psutil

from tests.fixtures.stack import RunningStack


def cpu_seconds(stack: RunningStack) -> float:
    """What all its processes have used by now, and those that they have waited for."""
    used = 0.0
    for process in _processes(stack):
        with suppress(psutil.NoSuchProcess):
            times = process.cpu_times()
            used += times.user + times.system + times.children_user + times.children_system
    return used


def pss_mib(stack: RunningStack) -> float:
    """Their memory; what several share counts once."""
    pages = 0
    for process in _processes(stack):
        with suppress(psutil.NoSuchProcess, psutil.AccessDenied):
            pages += process.memory_full_info().pss
    return pages / 2**20


def by_command(stack: RunningStack) -> dict[str, float]:
    """CPU seconds by process, to see who it is."""
    found: dict[str, float] = {}
    for process in _processes(stack):
        with suppress(psutil.NoSuchProcess):
            times = process.cpu_times()
            name = f"{process.pid} {' '.join(process.cmdline())[:90]}"
            found[name] = times.user + times.system
    return found


def _processes(stack: RunningStack) -> Iterator[psutil.Process]:
    """The stack's own, its database's, and all that they have started."""
    postmaster = stack.data_dir / "postgres" / "cluster" / "postmaster.pid"
    seen: set[int] = set()
    for pid in (stack.pid, int(postmaster.read_text().split()[0])):
        root = psutil.Process(pid)
        for process in (root, *root.children(recursive=True)):
            if process.pid not in seen:
                seen.add(process.pid)
                yield process
