"""Limits that the kernel holds for each process; for all processes of a run together see `cgroups` and `watcher`."""

import os
import resource

from agents.code.guest.launch import Launch

PYTHON = "python"
SLACK_BYTES = 256 * 1024 * 1024
"""Of `RLIMIT_DATA` above the memory limit, which is on what is used; one huge allocation still fails at once."""


def apply(launch: Launch, *, count_processes_beyond: int | None) -> None:
    """Hard limits of the calling process and what it starts. `count_processes_beyond` is how many processes of the
    same user there are besides; None where their number is no matter of this limit."""
    cpu = max(1, round(launch.cpu))
    limits = {
        resource.RLIMIT_CPU: (cpu, cpu + 1),
        resource.RLIMIT_FSIZE: (launch.disk, launch.disk),
        resource.RLIMIT_NOFILE: (launch.open_files, launch.open_files),
        resource.RLIMIT_CORE: (0, 0),
        resource.RLIMIT_MEMLOCK: (0, 0),
        resource.RLIMIT_MSGQUEUE: (0, 0),
        resource.RLIMIT_NICE: (0, 0),  # what has given way to others (`priority`) stays so
        resource.RLIMIT_RTPRIO: (0, 0),
    }
    if launch.language == PYTHON:  # address space is left alone: V8 and Polars reserve gigabytes that they never touch
        limits[resource.RLIMIT_DATA] = (launch.memory + SLACK_BYTES, launch.memory + SLACK_BYTES)
    if count_processes_beyond is not None:
        count = launch.processes + count_processes_beyond
        limits[resource.RLIMIT_NPROC] = (count, count)
    for kind, (soft, hard) in limits.items():
        ceiling = resource.getrlimit(kind)[1]
        bounded = hard if ceiling == resource.RLIM_INFINITY else min(hard, ceiling)
        resource.setrlimit(kind, (min(soft, bounded), bounded))


def processes_of_user(uid: int) -> int:
    """Processes and threads of a user on this machine."""
    count = 0
    for pid in filter(str.isdecimal, os.listdir("/proc")):
        try:
            if os.stat(f"/proc/{pid}").st_uid == uid:
                count += len(os.listdir(f"/proc/{pid}/task"))
        except OSError:
            continue
    return count
