"""What a process and everything below it use, read from `/proc`."""

import os
from contextlib import suppress

PAGE = os.sysconf("SC_PAGE_SIZE")
TICKS = os.sysconf("SC_CLK_TCK")
KIB = 1024
BLOCK = 512


def descendants(pid: int) -> list[int]:
    """Parents first; without `pid` itself."""
    found: list[int] = []
    queue = [pid]
    while queue:
        below = _children(queue.pop())
        found += below
        queue += below
    return found


def _children(pid: int) -> list[int]:
    below: list[int] = []
    with suppress(OSError):
        for task in os.listdir(f"/proc/{pid}/task"):
            with suppress(OSError):
                below += map(int, _read(f"/proc/{pid}/task/{task}/children").split())
    return below


def count_threads(pids: list[int]) -> int:
    """Threads alive in these processes."""
    count = 0
    for pid in pids:
        with suppress(OSError):
            count += len(os.listdir(f"/proc/{pid}/task"))
    return count


def exceeds(folder: str, max_bytes: int, max_files: int) -> bool:
    """Whether more lies in the folder and below; ends as soon as that is known."""
    queue, found, size = [folder], 0, 0
    while queue:
        with suppress(OSError), os.scandir(queue.pop()) as entries:
            for entry in entries:
                found += 1
                with suppress(OSError):
                    size += entry.stat(follow_symlinks=False).st_blocks * BLOCK
                if size > max_bytes or found > max_files:
                    return True
                if entry.is_dir(follow_symlinks=False):
                    queue.append(entry.path)
    return False


def cpu_seconds(pids: list[int]) -> float:
    """Including that of children that have ended and were waited for."""
    return sum(_cpu_ticks(pid) for pid in pids) / TICKS


def memory_bytes(pids: list[int], limit: int) -> int:
    """Resident bytes; where that is above `limit`, shared pages are counted once only, which takes longer to find."""
    resident = sum(_resident(pid) for pid in pids)
    return resident if resident <= limit else sum(_proportional(pid) for pid in pids)


def _cpu_ticks(pid: int) -> int:
    with suppress(OSError, ValueError):
        fields = _read(f"/proc/{pid}/stat").rpartition(")")[2].split()
        return sum(map(int, fields[11:15]))
    return 0


def _resident(pid: int) -> int:
    with suppress(OSError, ValueError, IndexError):
        return int(_read(f"/proc/{pid}/statm").split()[1]) * PAGE
    return 0


def _proportional(pid: int) -> int:
    with suppress(OSError, ValueError):
        lines = _read(f"/proc/{pid}/smaps_rollup").splitlines()
        return sum(int(line.split()[1]) * KIB for line in lines if line.startswith(("Pss:", "SwapPss:")))
    return _resident(pid)


def _read(path: str) -> str:
    with open(path) as file:
        return file.read()
