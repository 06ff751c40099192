"""Control groups, where this process may make them: memory, processes and processor time of a whole run together.

Version 1 has a tree for each resource, version 2 one tree for all, of which a part must have been handed to this user
(`Delegate=yes`). Each run's group bears the id of the process that made it; `sweep` removes those that were left.
In version 1 they lie right below the top, where each weighs as much as any one process of the machine.
"""

import os
import time
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass
from typing import Protocol

from agents.code.guest.launch import Launch

TOP = "/sys/fs/cgroup"
OURS = "turbocat-code"
OWN_LEAF = "turbocat-main"
"""Where processes move that were in a group of version 2 which is to have groups below it."""
CONTROLLERS = ("memory", "pids", "cpuacct", "cpu")
SHARES_GIVING_WAY = 100
"""A tenth of what a process or a group weighs otherwise."""
REMOVAL_TRIES, REMOVAL_PAUSE = 100, 0.002


class Group(Protocol):
    """One run's."""

    def join(self) -> None:
        """Puts the calling process in."""

    def cpu_seconds(self) -> float: ...

    def give_way(self) -> bool:
        """Lets others have the processors first; False where this group says nothing about that."""

    def peak_memory(self) -> int: ...

    def out_of_memory(self) -> bool:
        """Whether the kernel has killed a process of the run for it."""

    def remove(self) -> None:
        """All its processes must be gone."""


def create(launch: Launch) -> Group | None:
    """None where no control groups can be had: whoever asks must watch over the run in another way."""
    if not launch.cgroups:
        return None
    base = _version_2_base()
    try:
        return Version2.create(base, launch) if base else Version1.create(launch)
    except OSError:
        return None


@dataclass(frozen=True)
class Version1:
    """Folders of one run by controller."""

    memory: str
    pids: str
    cpuacct: str
    cpu: str

    @classmethod
    def create(cls, launch: Launch) -> "Version1":
        group = cls(*(f"{TOP}/{controller}/{OURS}-{os.getpid()}" for controller in CONTROLLERS))
        try:
            for folder in group.folders:
                os.makedirs(folder, exist_ok=True)  # some machines have one tree for both of the processor's
            _write(f"{group.memory}/memory.limit_in_bytes", launch.memory)
            _write(f"{group.pids}/pids.max", launch.processes + 2)  # init and the watcher's fork of it
        except OSError:
            group.remove()
            raise
        return group

    @property
    def folders(self) -> tuple[str, ...]:
        return (self.memory, self.pids, self.cpuacct, self.cpu)

    def join(self) -> None:
        for folder in self.folders:
            _write(f"{folder}/cgroup.procs", 0)

    def cpu_seconds(self) -> float:
        return int(_read(f"{self.cpuacct}/cpuacct.usage")) / 1e9

    def give_way(self) -> bool:
        with suppress(OSError):
            _write(f"{self.cpu}/cpu.shares", SHARES_GIVING_WAY)
            return True
        return False

    def peak_memory(self) -> int:
        return int(_read(f"{self.memory}/memory.max_usage_in_bytes"))

    def out_of_memory(self) -> bool:
        return _field(f"{self.memory}/memory.oom_control", "oom_kill") > 0

    def remove(self) -> None:
        for folder in self.folders:
            _remove(folder)


@dataclass(frozen=True)
class Version2:
    """The folder of one run."""

    folder: str

    @classmethod
    def create(cls, base: str, launch: Launch) -> "Version2":
        group = cls(f"{base}/{os.getpid()}")
        os.mkdir(group.folder)
        try:
            _write(f"{group.folder}/memory.max", launch.memory)
            _write(f"{group.folder}/memory.oom.group", 1)
            _write(f"{group.folder}/pids.max", launch.processes + 2)
            with suppress(OSError):  # not on machines without swap
                _write(f"{group.folder}/memory.swap.max", 0)
        except OSError:
            group.remove()
            raise
        return group

    def join(self) -> None:
        _write(f"{self.folder}/cgroup.procs", 0)

    def cpu_seconds(self) -> float:
        return _field(f"{self.folder}/cpu.stat", "usage_usec") / 1e6

    def give_way(self) -> bool:
        """The controller of processors is seldom handed down, and none of those that are needed."""
        return False

    def peak_memory(self) -> int:
        with suppress(OSError):  # since Linux 5.19
            return int(_read(f"{self.folder}/memory.peak"))
        return 0

    def out_of_memory(self) -> bool:
        return _field(f"{self.folder}/memory.events", "oom_kill") > 0

    def remove(self) -> None:
        _remove(self.folder)


def prepare() -> None:
    """Once, by a zygote: the folder of version 2 below which runs get theirs, with the controllers that they need."""
    if not os.path.exists(f"{TOP}/cgroup.controllers"):
        return
    with suppress(OSError):
        parent = _own_version_2_group()
        _hand_down(parent)
        ours = f"{parent}/{OURS}"
        os.makedirs(ours, exist_ok=True)
        _hand_down(ours)


def sweep() -> int:
    """Removes groups whose maker is gone; the kernel refuses those that still have processes."""
    removed = 0
    for folder in left_folders():
        if not os.path.exists(f"/proc/{maker(folder)}"):
            with suppress(OSError):
                os.rmdir(folder)
                removed += 1
    return removed


def left_folders() -> Iterator[str]:
    """Of all runs, living and gone."""
    base = _version_2_base()
    for parent in [base] if base else [f"{TOP}/{controller}" for controller in CONTROLLERS]:
        with suppress(OSError):
            yield from (entry.path for entry in os.scandir(parent) if maker(entry.path).isdecimal())


def maker(folder: str) -> str:
    """The id of the process that made a run's folder."""
    return os.path.basename(folder).removeprefix(f"{OURS}-")


def _version_2_base() -> str | None:
    """The folder that `prepare` made, where it could."""
    if not os.path.exists(f"{TOP}/cgroup.controllers"):
        return None
    with suppress(OSError):
        base = f"{_own_version_2_group()}/{OURS}"
        return base if os.access(f"{base}/cgroup.subtree_control", os.W_OK) else None
    return None


def _own_version_2_group() -> str:
    for line in _read("/proc/self/cgroup").splitlines():
        if line.startswith("0::"):
            path = line.removeprefix("0::").rstrip("/")
            return TOP + path.removesuffix(f"/{OWN_LEAF}")
    raise OSError("not in a control group of version 2")


def _hand_down(folder: str) -> None:
    """Lets groups below `folder` have controllers. One that has processes of its own may not: they move to a leaf.

    Raises `OSError` where `folder` does not have them itself, and leaves it as it is then.
    """
    if not {"memory", "pids"} <= set(_read(f"{folder}/cgroup.controllers").split()):
        raise OSError("the controllers of memory and processes are not handed down to this user")
    wanted = "+memory +pids"
    with suppress(OSError):
        return _write(f"{folder}/cgroup.subtree_control", wanted)
    leaf = f"{folder}/{OWN_LEAF}"
    os.makedirs(leaf, exist_ok=True)
    for pid in _read(f"{folder}/cgroup.procs").split():
        with suppress(ProcessLookupError):
            _write(f"{leaf}/cgroup.procs", pid)
    _write(f"{folder}/cgroup.subtree_control", wanted)
    return None


def _remove(folder: str) -> None:
    """A group's processes are counted until the kernel has cleared up after them, a moment after they have gone."""
    for _ in range(REMOVAL_TRIES):
        try:
            return os.rmdir(folder)
        except FileNotFoundError:
            return None
        except OSError:
            time.sleep(REMOVAL_PAUSE)
    return None


def _field(path: str, name: str) -> int:
    for line in _read(path).splitlines():
        key, _, value = line.partition(" ")
        if key == name:
            return int(value)
    return 0


def _write(path: str, value: object) -> None:
    with open(path, "w") as file:
        file.write(str(value))


def _read(path: str) -> str:
    with open(path) as file:
        return file.read()
