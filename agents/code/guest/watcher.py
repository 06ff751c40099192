"""Watches one run from outside and reports how it ended (see `report`) on the control channel.

The worker ends a run by closing that channel, or by dying: either way everything of it is killed here. When a watcher
is killed, the kernel kills the run's first process, and with it a namespace.
"""

import os
import resource
import select
import signal
import time
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Any, NoReturn

from agents.code.guest import bare, cgroups, init, linux, priority, privileges, report, usage
from agents.code.guest.cgroups import Group
from agents.code.guest.launch import GO, NAMESPACES, Launch

POLL_SECONDS = 0.025
POLL_SECONDS_WITH_GROUP = 0.1
DISK_POLL_SECONDS = 0.1


@dataclass
class Spending:
    """What a run has taken so far."""

    cpu: float = 0
    memory: int = 0
    disk_looked_at: float = field(default_factory=time.monotonic)


def run(launch: Launch, descriptors: list[int], control: int) -> NoReturn:
    """`descriptors` become the program's first ones. Never returns."""
    group: Group | None = None
    try:
        os.setsid()
        linux.prctl(linux.PR_SET_CHILD_SUBREAPER, 1)
        group = cgroups.create(launch)
        message = _watch(launch, descriptors, control, group)
    except Exception as error:
        message = report.not_set_up(error)
    if group is not None:
        group.remove()
    report.send(control, message)
    os.close(control)  # the worker waits for that, and this process takes a moment to end
    os._exit(0)


def _watch(launch: Launch, descriptors: list[int], control: int, group: Group | None) -> dict[str, Any]:
    reports, report_to = os.pipe()
    child = _start(launch, descriptors, report_to, group)
    for descriptor in (*descriptors, report_to):
        os.close(descriptor)
    spending = Spending()
    try:
        ended = _until_over(launch, child, control, reports, group, spending)
    finally:
        status = _kill_all(launch, child)
    if ended is None:
        ended = _unreported(launch, status)
    if group is not None and group.out_of_memory():
        ended = {"end": "memory", "code": 0}
    _count_up(spending, group)
    return {"cpuSeconds": spending.cpu, "peakMemory": spending.memory, **ended}


def _start(launch: Launch, descriptors: list[int], report_to: int, group: Group | None) -> int:
    uid = privileges.own_uid() if launch.walls == NAMESPACES else bare.program_uid(launch)
    if launch.walls == NAMESPACES:
        _separate_processes(uid)
    child = os.fork()
    if child != 0:
        return child
    try:
        if group is not None:
            group.join()
        moved = _place_descriptors(descriptors, report_to)
        begin = init.run if launch.walls == NAMESPACES else bare.run
        begin(launch, uid, memory_is_counted=group is not None, reports=moved)
    finally:
        os._exit(1)


def _separate_processes(uid: int | None) -> None:
    """For the children of this process: it stays outside. Without root it takes a user namespace to make others."""
    if uid is None:
        privileges.enter_user_namespace(linux.CLONE_NEWPID)
    else:
        linux.unshare(linux.CLONE_NEWPID)


def _place_descriptors(descriptors: list[int], report_to: int) -> int:
    """The program's to 0, 1, 2, 3; returns where the one for reports has gone."""
    copies = [os.dup(descriptor) for descriptor in (*descriptors, report_to)]
    high = [os.dup2(copy, 100 + place, inheritable=False) for place, copy in enumerate(copies)]
    for place in range(len(descriptors)):
        os.dup2(high[place], place)
    os.closerange(len(descriptors), 100)
    for descriptor in high[:-1]:
        os.close(descriptor)
    return high[-1]


def _is_wanted(control: int, reports: int) -> bool:
    """Waits until the job is handed over. False: it never will be, because the worker or the zygote has gone."""
    zygote = os.pidfd_open(os.getppid())
    waiting = select.poll()
    for descriptor in (control, reports, zygote):
        waiting.register(descriptor, select.POLLIN)
    ready = [descriptor for descriptor, _ in waiting.poll()]
    os.close(zygote)
    if control in ready:
        return os.read(control, len(GO)) == GO
    return reports in ready  # the walls could not be built, which is told like that of any run


def _until_over(
    launch: Launch, child: int, control: int, reports: int, group: Group | None, spending: Spending
) -> dict[str, Any] | None:
    """Until the program's end is reported, a limit is passed, or the worker hangs up. None: no report came."""
    if launch.waits and not _is_wanted(control, reports):
        return {"end": "stopped", "code": 0}
    waiting = select.poll()
    waiting.register(control, select.POLLIN)
    waiting.register(reports, select.POLLIN)
    milliseconds = 1000 * (POLL_SECONDS if group is None else POLL_SECONDS_WITH_GROUP)
    while True:
        ready = [descriptor for descriptor, _ in waiting.poll(milliseconds)]
        if control in ready:
            return {"end": "stopped", "code": 0}
        if reports in ready:
            return report.receive(reports) or _exit_of(launch, child, control, group, spending)
        if (over := _over_limit(launch, child, group, spending)) is not None:
            return over


def _exit_of(
    launch: Launch, child: int, control: int, group: Group | None, spending: Spending
) -> dict[str, Any] | None:
    """Without namespaces the child is the program itself, and has closed the pipe for reports at its start."""
    if launch.walls == NAMESPACES:
        return None
    ended = os.pidfd_open(child)
    waiting = select.poll()
    waiting.register(control, select.POLLIN)
    waiting.register(ended, select.POLLIN)
    milliseconds = 1000 * (POLL_SECONDS if group is None else POLL_SECONDS_WITH_GROUP)
    while True:
        ready = [descriptor for descriptor, _ in waiting.poll(milliseconds)]
        if control in ready:
            return {"end": "stopped", "code": 0}
        if ended in ready:
            return None
        if (over := _over_limit(launch, child, group, spending)) is not None:
            return over


def _over_limit(launch: Launch, child: int, group: Group | None, spending: Spending) -> dict[str, Any] | None:
    if group is not None:
        spending.cpu = group.cpu_seconds()
        out_of_memory = group.out_of_memory()
    else:
        pids = [child, *usage.descendants(child)]
        if launch.walls != NAMESPACES and usage.count_threads(pids) > launch.processes:
            return {"end": "processes", "code": 0}
        spending.memory = max(spending.memory, usage.memory_bytes(pids, launch.memory))
        spending.cpu = usage.cpu_seconds(pids)
        out_of_memory = spending.memory > launch.memory
    if spending.cpu > priority.YOUNG_SECONDS:
        _give_way(child, group)
    if out_of_memory:
        return {"end": "memory", "code": 0}
    if spending.cpu > launch.cpu:
        return {"end": "cpu", "code": 0}
    return _over_disk(launch, spending)


def _give_way(child: int, group: Group | None) -> None:
    """To runs that have just begun. Said again at each look: there may be new processes."""
    if group is None or not group.give_way():
        priority.lower([child, *usage.descendants(os.getpid())])


def _over_disk(launch: Launch, spending: Spending) -> dict[str, Any] | None:
    """A disk of its own is as large as it may be; a folder has to be looked through."""
    if launch.walls == NAMESPACES or time.monotonic() - spending.disk_looked_at < DISK_POLL_SECONDS:
        return None
    full = usage.exceeds(launch.work, launch.disk, launch.inodes)
    spending.disk_looked_at = time.monotonic()
    return {"end": "disk", "code": 0} if full else None


def _unreported(launch: Launch, status: int) -> dict[str, Any]:
    if launch.walls == NAMESPACES:
        return {"end": "signalled", "code": int(signal.SIGKILL)}
    return report.ended(status)


def _kill_all(launch: Launch, child: int) -> int:
    """With the first process of a namespace goes all of it. Returns what `wait` says of the child."""
    if launch.walls != NAMESPACES:
        with suppress(ProcessLookupError):
            os.killpg(child, signal.SIGKILL)
    with suppress(ProcessLookupError):
        os.kill(child, signal.SIGKILL)
    _, status = os.waitpid(child, 0)
    with suppress(ChildProcessError):  # what has lost its parents comes here, because this is a subreaper
        while left := usage.descendants(os.getpid()):
            for pid in left:
                with suppress(ProcessLookupError):
                    os.kill(pid, signal.SIGKILL)
            os.wait()
    return status


def _count_up(spending: Spending, group: Group | None) -> None:
    spent = resource.getrusage(resource.RUSAGE_CHILDREN)
    spending.cpu = max(spending.cpu, spent.ru_utime + spent.ru_stime)
    spending.memory = max(spending.memory, group.peak_memory() if group is not None else spent.ru_maxrss * usage.KIB)
