"""The first process of a run in namespaces: builds the walls around itself, proves them, starts the program, reaps.

When it ends, the kernel ends every other process of the run.
"""

import os
from typing import NoReturn

from agents.code.guest import entry, landlock, linux, network, privileges, report, root, seccomp
from agents.code.guest.launch import Launch
from agents.code.guest.seccomp import Allowed

OTHER_NAMESPACES = (
    linux.CLONE_NEWNS | linux.CLONE_NEWNET | linux.CLONE_NEWIPC | linux.CLONE_NEWUTS | linux.CLONE_NEWCGROUP
)


def run(launch: Launch, uid: int | None, *, memory_is_counted: bool, reports: int) -> NoReturn:
    """Never returns; what it writes to `reports` is described there. Descriptors 0 to 3 are the program's."""
    try:
        _build_walls(launch, uid, memory_is_counted=memory_is_counted)
        child = os.fork()
    except Exception as error:
        report.send(reports, report.not_set_up(error))
        os._exit(1)
    if child == 0:
        try:
            os.close(reports)
            os.setsid()
            entry.start(launch, count_processes_beyond=0)
        finally:
            os._exit(1)
    os.closerange(0, entry.DESCRIPTORS)
    report.send(reports, _ending(child))
    os._exit(0)


def _build_walls(launch: Launch, uid: int | None, *, memory_is_counted: bool) -> None:
    privileges.die_with_parent()
    linux.unshare(OTHER_NAMESPACES)
    linux.set_host_name("box")
    if launch.network:
        network.hand_out(entry.DESCRIPTORS)
    root.enter(launch, uid if uid is not None else os.getuid())
    if uid is not None:
        privileges.become(uid)
        privileges.count_processes_apart()
    privileges.give_up()
    os.chdir(root.WORK)
    if landlock.abi():
        port = network.ADDRESS[1] if launch.network else None
        landlock.restrict(readable=("/",), writable=(root.BOX, *root.WRITABLE_DEVICES), port=port)
    seccomp.install(
        Allowed(memory_files=memory_is_counted, sockets=True, network=launch.network, attributes=True, sessions=True)
    )
    privileges.prove()
    root.prove()


def _ending(child: int) -> dict[str, object]:
    while True:
        pid, status = os.wait()
        if pid == child:
            return report.ended(status)
