"""A run without namespaces: Landlock, the filter of system calls, limits; or nothing of these (`unsafe-local`).

The program's process group holds the run together: leaving it is refused, so killing the group leaves nothing.
"""

import os
from typing import NoReturn

from agents.code.guest import entry, landlock, limits, privileges, report, seccomp
from agents.code.guest.launch import LANDLOCK, Launch
from agents.code.guest.seccomp import Allowed

READABLE_DEVICES = ("/dev/random", "/dev/urandom")
WRITABLE_DEVICES = ("/dev/null", "/dev/zero", "/dev/full")


def run(launch: Launch, uid: int | None, *, memory_is_counted: bool, reports: int) -> NoReturn:
    """Becomes the program, or reports why it cannot; never returns."""
    try:
        privileges.die_with_parent()
        os.setsid()
        if uid is not None:
            _hand_over(launch.work, uid)
            privileges.become(uid)
        os.chdir(launch.work)
        _link_datasets(launch)
        beyond = None if memory_is_counted else limits.processes_of_user(os.getuid())
        if launch.walls == LANDLOCK:
            _build_walls(launch, uid, memory_is_counted=memory_is_counted)
    except Exception as error:
        report.send(reports, report.not_set_up(error))
        os._exit(1)
    try:
        os.close(reports)
        entry.start(launch, count_processes_beyond=beyond)
    finally:
        os._exit(1)


def program_uid(launch: Launch) -> int | None:
    """A user of the run's own where this process is root and such a user can reach what the program needs.

    Raises where Landlock alone would have to keep programs from their neighbours and cannot.
    """
    own = privileges.own_uid()
    if own is not None and _reachable(launch.interpreter, own):
        return own
    if launch.walls == LANDLOCK and landlock.abi() < landlock.ABI_SCOPES:
        raise OSError("Landlock of this kernel does not hold back signals, and there is no user id of its own to use")
    return None


def _build_walls(launch: Launch, uid: int | None, *, memory_is_counted: bool) -> None:
    privileges.give_up()
    landlock.restrict(
        readable=(*launch.readable, launch.harness, *launch.datasets.values(), *READABLE_DEVICES),
        writable=(launch.work, *WRITABLE_DEVICES),
        listable=launch.import_from,
    )
    seccomp.install(Allowed(memory_files=memory_is_counted, sockets=False, attributes=uid is not None, sessions=False))
    privileges.prove()


def _hand_over(work: str, uid: int) -> None:
    for folder in (work, f"{work}/out"):
        os.chown(folder, uid, uid)


def _link_datasets(launch: Launch) -> None:
    if launch.datasets:
        os.mkdir("data")
    for name, path in launch.datasets.items():
        os.symlink(path, f"data/{name}")


def _reachable(path: str, uid: int) -> bool:
    """Whether everybody may pass through the folders above `path`."""
    parts = path.split("/")
    folders = ("/".join(parts[:end]) or "/" for end in range(1, len(parts)))
    return all(os.stat(folder).st_mode & 0o001 for folder in folders)
