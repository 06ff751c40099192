"""Runs that wait for their program: used once, for just what they were made for, and never left behind."""

import asyncio
import fcntl
import os
import signal
import subprocess
import sys
import textwrap
import time
from collections.abc import AsyncIterator, Callable
from dataclasses import replace

import psutil
import pytest

from agents.code import machine, standby
from agents.code.backend import MIB, Language, Limits, Program, Reason, SandboxUnavailable
from agents.code.canaries import Silence
from agents.code.guest import cgroups
from agents.code.guest.launch import LANDLOCK, NAMESPACES
from agents.code.linux_backend import LinuxBackend
from agents.code.pipes import MAX_LATE_BYTES
from agents.code.zygote import PROJECT_ROOT
from tests.agents.code.conftest import Started, alive, guests, soon

pytestmark = pytest.mark.case(40)

GOOD = Program(language=Language.PYTHON, code="def main(input):\n    return input\n", input=1)
NODE = Program(language=Language.NODE, code="module.exports = (input) => input", input=1)
SLEEPS = "import time\ndef main(input):\n    print(1, flush=True)\n    time.sleep(600)\n"
WIDE = Limits(wall_seconds=100, cpu_seconds=20)
CHAIN = 3
"""Processes of a run that waits: watcher, first process, program."""


@pytest.fixture
async def backend() -> AsyncIterator[LinuxBackend]:
    made = LinuxBackend(NAMESPACES)
    yield made
    await made.aclose()


async def waiting(backend: LinuxBackend, program: Program = GOOD, limits: Limits = WIDE) -> list[int]:
    """The processes of a run that has been made for such a program and has come to where it waits."""
    await backend.run(program, limits, Silence())
    backend.release()
    assert soon(lambda: guests() == [])
    assert backend.prepare(program, limits)
    assert soon(lambda: len(guests()) == CHAIN and _waits_for_its_job(guests()[-1].pid), 60)
    return [each.pid for each in guests()]


def _waits_for_its_job(pid: int) -> bool:
    """It sleeps, and has not just fallen asleep."""
    looks = []
    for _ in range(2):
        process = psutil.Process(pid)
        looks.append((process.status(), process.cpu_times()))
        time.sleep(0.05)
    return looks[0] == looks[1] and looks[0][0] == psutil.STATUS_SLEEPING


@pytest.mark.parametrize("program", [GOOD, replace(GOOD, prewarmed=True), NODE], ids=["fresh", "prewarmed", "node"])
async def test_what_waits_runs_the_next_program_and_no_other(backend: LinuxBackend, program: Program) -> None:
    pids = await waiting(backend, program)
    outcome = await backend.run(replace(program, input="mine"), WIDE, Silence())
    assert b'"mine"' in outcome.answer
    assert outcome.exit_code == 0
    assert outcome.usage.memory_bytes > 0
    assert soon(lambda: not any(map(psutil.pid_exists, pids)))


async def test_one_waits_from_the_second_run_of_a_kind_on(backend: LinuxBackend) -> None:
    await backend.run(GOOD, WIDE, Silence())
    await asyncio.sleep(0)
    assert soon(lambda: guests() == [])
    await backend.run(GOOD, WIDE, Silence())
    await asyncio.sleep(0)
    assert soon(lambda: len(guests()) == CHAIN)
    pids = [each.pid for each in guests()]
    started = Started()
    running = asyncio.ensure_future(backend.run(replace(GOOD, code=SLEEPS), WIDE, started))
    await asyncio.wait_for(started.said.wait(), 60)
    assert set(pids) <= {each.pid for each in guests()}
    running.cancel()
    await asyncio.gather(running, return_exceptions=True)


async def test_what_was_made_for_other_limits_goes_on_waiting(backend: LinuxBackend) -> None:
    pids = await waiting(backend)
    outcome = await backend.run(GOOD, replace(WIDE, memory_bytes=64 * MIB), Silence())
    assert outcome.answer
    assert all(map(psutil.pid_exists, pids))


async def test_limits_hold_for_a_program_that_was_waited_for(backend: LinuxBackend) -> None:
    endless = replace(GOOD, code="while True: pass")
    hungry = replace(GOOD, code="block = bytearray(600 << 20)")
    await waiting(backend, limits=replace(WIDE, cpu_seconds=0.5))
    assert (await backend.run(endless, replace(WIDE, cpu_seconds=0.5), Silence())).reason is Reason.CPU
    await waiting(backend)
    outcome = await backend.run(hungry, WIDE, Silence())
    assert outcome.reason is Reason.MEMORY or b'"memory"' in outcome.answer
    await waiting(backend)
    assert (await backend.run(endless, replace(WIDE, wall_seconds=0.3), Silence())).reason is Reason.TIMEOUT


async def test_a_job_that_is_too_large_to_come_late_comes_with_its_run(backend: LinuxBackend) -> None:
    await waiting(backend)
    for size in (MAX_LATE_BYTES - 200, MAX_LATE_BYTES + 1):
        outcome = await backend.run(replace(GOOD, input="x" * size), WIDE, Silence())
        assert len(outcome.answer) > size
    await asyncio.sleep(0)
    assert soon(lambda: len(guests()) == CHAIN)


async def test_a_job_that_a_small_pipe_does_not_take_whole_comes_with_another_run(
    backend: LinuxBackend, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(os, "pipe", small_pipe)
    pids = await waiting(backend)
    monkeypatch.undo()
    outcome = await backend.run(replace(GOOD, input="x" * 20_000), WIDE, Silence())
    assert len(outcome.answer) > 20_000
    assert soon(lambda: not any(map(psutil.pid_exists, pids)))


def small_pipe(make: Callable[[], tuple[int, int]] = os.pipe) -> tuple[int, int]:
    """What a user gets that has very many."""
    ends = make()
    fcntl.fcntl(ends[1], fcntl.F_SETPIPE_SZ, 4096)
    return ends


@pytest.mark.parametrize("which", range(CHAIN), ids=["watcher", "first process", "program"])
async def test_one_that_was_killed_while_it_waited_is_replaced(backend: LinuxBackend, which: int) -> None:
    pids = await waiting(backend)
    os.kill(pids[which], signal.SIGKILL)
    assert soon(lambda: guests() == [])
    assert (await backend.run(GOOD, WIDE, Silence())).answer == b'{"ok": true, "result": 1}'


async def test_it_ends_with_its_zygote(backend: LinuxBackend) -> None:
    pids = await waiting(backend)
    [zygote] = backend.zygote_pids()
    os.kill(zygote, signal.SIGKILL)
    assert soon(lambda: not any(map(psutil.pid_exists, pids)))
    assert _groups_of(pids) == []
    assert (await backend.run(GOOD, WIDE, Silence())).answer


async def test_it_ends_when_it_is_not_wanted_for_a_while(
    backend: LinuxBackend, monkeypatch: pytest.MonkeyPatch
) -> None:
    await waiting(backend)
    backend.release()
    monkeypatch.setattr(standby, "SECONDS", 0.05)
    assert backend.prepare(GOOD, WIDE)
    await asyncio.sleep(0.2)
    assert soon(lambda: guests() == [])


async def test_closing_leaves_nothing_of_what_waits(backend: LinuxBackend) -> None:
    pids = await waiting(backend)
    before = len(os.listdir("/proc/self/fd"))
    await backend.aclose()
    assert soon(lambda: not any(map(psutil.pid_exists, pids)))
    assert _groups_of(pids) == []
    assert len(os.listdir("/proc/self/fd")) < before


async def test_no_more_wait_than_are_allowed(backend: LinuxBackend) -> None:
    await backend.run(GOOD, WIDE, Silence())
    for size in range(standby.MOST + 2):
        assert backend.prepare(GOOD, replace(WIDE, memory_bytes=(64 + size) * MIB))
    assert soon(lambda: len(guests()) == CHAIN * standby.MOST)


async def test_walls_that_cannot_be_built_refuse_what_was_waited_for(
    backend: LinuxBackend, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert (await backend.probe()).available
    monkeypatch.setattr(machine, "HARNESS", "/nowhere")
    assert backend.prepare(GOOD, WIDE)
    with pytest.raises(SandboxUnavailable, match="could not be built"):
        await backend.run(GOOD, WIDE, Silence())


async def test_nothing_waits_where_a_run_has_a_folder_of_its_own() -> None:
    backend = LinuxBackend(LANDLOCK)
    try:
        for _ in range(3):
            await backend.run(GOOD, WIDE, Silence())
        await asyncio.sleep(0)
        assert soon(lambda: guests() == [])
    finally:
        await backend.aclose()


def test_a_killed_worker_leaves_nothing_that_waits() -> None:
    script = f"""
        import asyncio, sys
        sys.path.insert(0, {str(PROJECT_ROOT)!r})
        from agents.code.backend import *
        from agents.code.canaries import Silence
        from agents.code.linux_backend import LinuxBackend
        async def main():
            backend = LinuxBackend("namespaces")
            program = Program(language=Language.PYTHON, code="def main(input): ...", input=None)
            await backend.run(program, Limits(), Silence())
            backend.prepare(program, Limits())
            print("waits", flush=True)
            await asyncio.sleep(600)
        asyncio.run(main())
    """
    worker = subprocess.Popen([sys.executable, "-c", textwrap.dedent(script)], stdout=subprocess.PIPE)
    assert worker.stdout is not None
    assert worker.stdout.readline() == b"waits\n"
    assert soon(lambda: len(psutil.Process(worker.pid).children(recursive=True)) == 1 + CHAIN, 60)
    below = psutil.Process(worker.pid).children(recursive=True)
    worker.kill()
    worker.wait()
    worker.stdout.close()
    assert soon(lambda: not any(alive(each) for each in below))
    assert _groups_of([each.pid for each in below]) == []


def _groups_of(pids: list[int]) -> list[str]:
    return [folder for folder in cgroups.left_folders() if cgroups.maker(folder) in map(str, pids)]
