"""Namespaces, the file system of a run, and giving up privileges.

Each step says whether it worked; `supervisor` reports the names of those that did, so that the worker can say what
was missing instead of keeping quiet about it.
"""

import os
import resource
import stat
import sys
from contextlib import suppress

from agents.code.guest import linux
from agents.code.guest.launch import Launch

FIRST_UID = 0x60000000
"""User ids from here on belong to nobody; the supervisor's process id is added, so that no two runs share one."""
NOBODY = 65534
OPEN_FILES = 256
SHARED_FOLDERS = ("/tmp", "/var/tmp", "/dev/shm")  # noqa: S108 - hidden from user code, not used


def unprivileged_uid() -> int | None:
    """A user id for the program when this process is root, of its own where this user namespace has that many."""
    if os.getuid() != 0:
        return None
    own = FIRST_UID + os.getpid()
    return own if _is_mapped(own) else NOBODY


def _is_mapped(uid: int) -> bool:
    if not linux.LINUX:
        return False
    with open("/proc/self/uid_map") as file:
        ranges = [tuple(map(int, line.split())) for line in file]
    return any(first <= uid < first + count for first, _, count in ranges)


def enter_namespaces() -> set[str]:
    """New namespaces for the children; `network` also takes every interface away from this process."""
    flags = linux.CLONE_NEWPID | linux.CLONE_NEWNET | linux.CLONE_NEWIPC | linux.CLONE_NEWUTS
    uid, gid = os.getuid(), os.getgid()
    try:
        linux.unshare(flags if uid == 0 else flags | linux.CLONE_NEWUSER)
        if uid != 0:
            _map_user(uid, gid)
    except OSError:
        return set()
    return {"processes", "network", "ipc"}


def _map_user(uid: int, gid: int) -> None:
    for name, line in (("setgroups", "deny"), ("uid_map", f"{uid} {uid} 1"), ("gid_map", f"{gid} {gid} 1")):
        with open(f"/proc/self/{name}", "w") as file:
            file.write(line)


def arrange_files(launch: Launch, uid: int | None) -> set[str]:
    """Run by the first process of a PID namespace: the work folder becomes a memory disk of limited size that also
    stands in for the shared temporary folders, and `/proc` shows this run's processes only."""
    try:
        linux.unshare(linux.CLONE_NEWNS)
        linux.mount("none", "/", "", linux.MS_REC | linux.MS_SLAVE)
        if uid is not None:
            _open_way_to((sys.base_prefix, *launch.packages))
        _mount_work_folder(launch)
    except OSError:
        return set()
    with suppress(OSError):  # refused inside containers that mask parts of /proc; processes stay hidden by their uid
        linux.mount("proc", "/proc", "proc", linux.MS_NOSUID | linux.MS_NODEV | linux.MS_NOEXEC)
    return {"files"}


def _mount_work_folder(launch: Launch) -> None:
    options = f"mode=700,size={launch.disk},nr_inodes=4096"
    linux.mount("tmpfs", launch.work, "tmpfs", linux.MS_NOSUID | linux.MS_NODEV, options)
    for folder in SHARED_FOLDERS:
        if os.path.isdir(folder):
            _empty(folder, (launch.work, sys.base_prefix, *launch.packages), f"mode=1777,size={launch.disk}")


def _open_way_to(paths: tuple[str, ...]) -> None:
    """Makes `paths` reachable for other users where a private folder above them (`/root`) is in the way."""
    for blocked in sorted({folder for path in paths if (folder := _first_private_folder(path))}):
        _empty(blocked, paths, "mode=755,size=1m")


def _first_private_folder(path: str) -> str | None:
    parts = os.path.realpath(path).split("/")
    folders = ("/".join(parts[:end]) for end in range(2, len(parts) + 1))
    return next((folder for folder in folders if not os.stat(folder).st_mode & stat.S_IXOTH), None)


def _empty(folder: str, paths: tuple[str, ...], options: str) -> None:
    """Puts a memory disk in the folder's place, in this mount namespace only, with those of `paths` that lie in it."""
    inside = {path for path in map(os.path.realpath, paths) if path.startswith(f"{folder}/")}
    kept = {path: os.open(path, os.O_PATH) for path in sorted(inside)}
    linux.mount("tmpfs", folder, "tmpfs", linux.MS_NOSUID | linux.MS_NODEV, f"{options},nr_inodes=4096")
    for path, descriptor in kept.items():
        os.makedirs(path, exist_ok=True)
        linux.mount(f"/proc/self/fd/{descriptor}", path, "", linux.MS_BIND | linux.MS_REC)
        os.close(descriptor)


def limit_resources(launch: Launch, *, own_process_count: bool) -> None:
    """Hard limits of the calling process. Address space is left alone (Polars reserves gigabytes that it never
    touches); the supervisor watches what is really used, and `RLIMIT_DATA` stops a single huge allocation."""
    cpu = max(1, round(launch.cpu))
    slack = 256 * 1024 * 1024
    limits = {
        resource.RLIMIT_CPU: (cpu, cpu + 1),
        resource.RLIMIT_DATA: (launch.memory + slack, launch.memory + slack),
        resource.RLIMIT_FSIZE: (launch.disk, launch.disk),
        resource.RLIMIT_NOFILE: (OPEN_FILES, OPEN_FILES),
        resource.RLIMIT_CORE: (0, 0),
    }
    if own_process_count:
        limits[resource.RLIMIT_NPROC] = (launch.processes, launch.processes)
    for kind, (soft, hard) in limits.items():
        ceiling = resource.getrlimit(kind)[1]
        bounded = hard if ceiling == resource.RLIM_INFINITY else min(hard, ceiling)
        resource.setrlimit(kind, (min(soft, bounded), bounded))


def give_up_privileges(uid: int | None) -> None:
    """Becomes `uid` for good where it is given (the supervisor is root then), and can gain nothing from here on."""
    if uid is not None:
        os.setgroups([])
        os.setresgid(uid, uid, uid)
        os.setresuid(uid, uid, uid)
    linux.drop_capabilities()
    linux.prctl(linux.PR_SET_NO_NEW_PRIVS, 1)
    linux.prctl(linux.PR_SET_DUMPABLE, 1)  # a changed uid hides /proc/self from its own process
