"""Who the program is on this machine: nobody in particular, with no way to become anybody else."""

import os
import signal
from contextlib import suppress

from agents.code.guest import linux

FIRST_UID = 0x60000000
"""User ids from here on belong to nobody; a process id is added, so that no two runs share one."""
NOBODY = 65534
INSIDE_ID = 1000
"""Of the program's user and group, as it sees them in a user namespace."""


def own_uid() -> int | None:
    """A user id for this run when this process is root, of its own where this user namespace has that many."""
    if os.getuid() != 0:
        return None
    own = FIRST_UID + os.getpid()
    return own if _is_mapped(own) else NOBODY


def become(uid: int) -> None:
    """Root becomes `uid` for good."""
    os.setgroups([])
    os.setresgid(uid, uid, uid)
    os.setresuid(uid, uid, uid)
    linux.prctl(linux.PR_SET_DUMPABLE, 1)  # a changed uid hides /proc/self from its own process
    die_with_parent()  # which a changed uid forgets


def enter_user_namespace(flags: int = 0) -> None:
    """With this process's user as the only one. Processes are counted by user and namespace: a limit on them then
    counts this run's alone."""
    uid, gid = os.getuid(), os.getgid()
    linux.unshare(linux.CLONE_NEWUSER | flags)
    for name, line in (
        ("setgroups", "deny"),
        ("uid_map", f"{INSIDE_ID} {uid} 1"),
        ("gid_map", f"{INSIDE_ID} {gid} 1"),
    ):
        with open(f"/proc/self/{name}", "w") as file:
            file.write(line)


def count_processes_apart() -> None:
    """Where root's namespaces are not the user's own yet; not all machines allow it, and control groups count too."""
    with suppress(OSError):
        enter_user_namespace()


def die_with_parent() -> None:
    linux.prctl(linux.PR_SET_PDEATHSIG, int(signal.SIGKILL))


def give_up() -> None:
    """Keeps no capability, can gain none, and hides this process's memory from what it starts."""
    linux.prctl(linux.PR_SET_DUMPABLE, 0)
    linux.drop_capabilities()
    linux.prctl(linux.PR_SET_NO_NEW_PRIVS, 1)


def prove() -> None:
    """Raises unless this process is as powerless as it should be by now; asked before each run's code is started."""
    if linux.has_capabilities() or os.geteuid() != os.getuid():
        raise OSError("privileges are left")
    if linux.prctl(linux.PR_GET_NO_NEW_PRIVS) != 1:
        raise OSError("privileges can be gained")
    if linux.prctl(linux.PR_GET_SECCOMP) != linux.SECCOMP_MODE_FILTER:
        raise OSError("system calls are not filtered")


def _is_mapped(uid: int) -> bool:
    with open("/proc/self/uid_map") as file:
        ranges = [tuple(map(int, line.split())) for line in file]
    return any(first <= uid < first + count for first, _, count in ranges)
