"""Runs at once, runs that are cut off, helpers that are killed: case 40 beyond single programs."""

import asyncio
import itertools
import os
import resource
import signal
import socket
import subprocess
import sys
import textwrap
import time
from collections.abc import AsyncIterator, Iterator
from contextlib import contextmanager, suppress
from dataclasses import replace
from pathlib import Path

import polars as pl
import psutil
import pytest

from agents.code import machine
from agents.code.backend import MIB, Language, Limits, Outcome, Program, Reason, SandboxUnavailable
from agents.code.canaries import Silence
from agents.code.guest import cgroups
from agents.code.guest.launch import NAMESPACES, NO_WALLS
from agents.code.linux_backend import LinuxBackend
from agents.code.zygote import PROJECT_ROOT
from tests.agents.code.conftest import Started, guests, soon

pytestmark = pytest.mark.case(40)

ENDLESS = "def main(input):\n    print('here', flush=True)\n    while True: pass\n"
GOOD = Program(language=Language.PYTHON, code="def main(input):\n    return input\n", input=1)
WIDE = Limits(wall_seconds=100, cpu_seconds=20)


@pytest.fixture
async def backend() -> AsyncIterator[LinuxBackend]:
    made = LinuxBackend(NAMESPACES)
    yield made
    await made.aclose()


def python(code: str, **fields: object) -> Program:
    return Program(language=Language.PYTHON, code=textwrap.dedent(code), input=None, **fields)  # type: ignore[arg-type]


async def begun(backend: LinuxBackend, program: Program, limits: Limits = WIDE) -> asyncio.Task[Outcome]:
    started = Started()
    task = asyncio.ensure_future(backend.run(program, limits, started))
    await asyncio.wait_for(started.said.wait(), 60)
    return task


async def test_runs_outlive_their_zygote_and_new_ones_get_a_new_one(backend: LinuxBackend) -> None:
    code = "import time\ndef main(input):\n    print(1, flush=True)\n    time.sleep(0.5)\n    return 'still here'\n"
    running = await begun(backend, python(code))
    [pid] = backend.zygote_pids()
    os.kill(pid, signal.SIGKILL)
    assert (await running).answer == b'{"ok": true, "result": "still here"}'
    assert (await backend.run(GOOD, WIDE, Silence())).answer == b'{"ok": true, "result": 1}'
    assert backend.zygote_pids() != [pid]


async def test_a_killed_watcher_takes_its_run_along_and_says_so(backend: LinuxBackend) -> None:
    running = await begun(backend, python(ENDLESS))
    [zygote] = [psutil.Process(pid) for pid in backend.zygote_pids()]
    [watcher] = zygote.children()
    watcher.kill()
    with pytest.raises(SandboxUnavailable, match="watches over"):
        await running
    assert soon(lambda: guests() == [])


def test_a_killed_worker_leaves_nothing(tmp_path: Path) -> None:
    script = f"""
        import asyncio, sys
        sys.path.insert(0, {str(PROJECT_ROOT)!r})
        from agents.code.backend import *
        from agents.code.linux_backend import LinuxBackend
        class Said:
            def write(self, stream, chunk):
                print("begun", flush=True)
                return True
        code = "import os, time\\nos.fork()\\nprint(1, flush=True)\\nwhile True: time.sleep(1)"
        program = Program(language=Language.PYTHON, code=code, input=None)
        asyncio.run(LinuxBackend("namespaces").run(program, Limits(), Said()))
    """
    worker = subprocess.Popen([sys.executable, "-c", textwrap.dedent(script)], stdout=subprocess.PIPE)
    assert worker.stdout is not None
    assert worker.stdout.readline() == b"begun\n"
    below = psutil.Process(worker.pid).children(recursive=True)
    assert len(below) >= 4
    worker.kill()
    worker.wait()
    worker.stdout.close()
    assert soon(lambda: not any(each.is_running() and each.status() != psutil.STATUS_ZOMBIE for each in below))


async def test_walls_that_can_no_longer_be_built_refuse_the_run(
    backend: LinuxBackend, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Nothing runs instead, on no other walls; and when they can be built again, runs go on."""
    assert (await backend.probe()).available
    monkeypatch.setattr(machine, "HARNESS", "/nowhere")
    with pytest.raises(SandboxUnavailable, match="could not be built"):
        await backend.run(GOOD, WIDE, Silence())
    monkeypatch.undo()
    assert (await backend.run(GOOD, WIDE, Silence())).answer


async def test_cancelling_ends_everything(backend: LinuxBackend) -> None:
    running = await begun(backend, python(ENDLESS))
    running.cancel()
    with pytest.raises(asyncio.CancelledError):
        await running
    assert soon(lambda: guests() == [])


async def test_the_wall_time_ends_everything(backend: LinuxBackend) -> None:
    began = time.monotonic()
    outcome = await backend.run(python("import time\ntime.sleep(600)"), Limits(wall_seconds=0.5), Silence())
    assert outcome.reason is Reason.TIMEOUT
    assert time.monotonic() - began < 60
    assert soon(lambda: guests() == [])


@pytest.mark.case(39)
async def test_limits_on_time_do_not_follow_the_wall_clock(
    backend: LinuxBackend, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Case 39: a clock that jumps back and forth by an hour ends nothing and lengthens nothing."""
    jumps = itertools.cycle([3600.0, -3600.0, 7200.0])
    real = time.time
    monkeypatch.setattr(time, "time", lambda: real() + next(jumps))
    slept = await backend.run(python("import time\ndef main(input):\n    time.sleep(0.2)"), WIDE, Silence())
    assert slept.reason is None
    assert slept.usage.wall_seconds < 100
    stopped = await backend.run(python("import time\ntime.sleep(600)"), Limits(wall_seconds=0.3), Silence())
    assert stopped.reason is Reason.TIMEOUT


@pytest.mark.parametrize("prewarmed", [False, True])
async def test_datasets_come_in_and_files_go_out(backend: LinuxBackend, tmp_path: Path, prewarmed: bool) -> None:
    table, out = tmp_path / "table.parquet", tmp_path / "out"
    pl.DataFrame({"a": [1, 2, 3]}).write_parquet(table)
    out.mkdir()
    code = """
        import polars as pl, os
        def main(input):
            frame = pl.read_parquet("data/table.parquet")
            frame.with_columns(b=pl.col("a") * 2).write_parquet("out/doubled.parquet")
            os.symlink("/etc/passwd", "out/link")
            os.mkdir("out/folder")
            try:
                open("data/table.parquet", "r+b")
            except OSError as error:
                return type(error).__name__
    """
    program = python(code, datasets={"table.parquet": table}, collect=out, prewarmed=prewarmed)
    outcome = await backend.run(program, WIDE, Silence())
    assert outcome.answer in (b'{"ok": true, "result": "OSError"}', b'{"ok": true, "result": "PermissionError"}')
    assert outcome.files == ("doubled.parquet",)
    assert pl.read_parquet(out / "doubled.parquet")["b"].to_list() == [2, 4, 6]


async def test_prewarmed_programs_find_what_they_need_loaded(backend: LinuxBackend) -> None:
    code = "import sys\ndef main(input):\n    return [name in sys.modules for name in ('numpy', 'polars')]"
    outcome = await backend.run(python(code, prewarmed=True), WIDE, Silence())
    assert outcome.answer == b'{"ok": true, "result": [true, true]}'


async def test_without_walls_it_is_not_safe_and_says_so() -> None:
    backend = LinuxBackend(NO_WALLS)
    try:
        probe = await backend.probe()
    finally:
        await backend.aclose()
    assert not backend.safe
    assert probe.available
    assert not probe.canaries["files"]


async def test_a_node_that_is_not_there_is_said(backend: LinuxBackend, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(machine, "node", lambda: None)
    program = Program(language=Language.NODE, code="module.exports = () => 1", input=None)
    with pytest.raises(SandboxUnavailable, match=r"no Node\.js"):
        await backend.run(program, WIDE, Silence())
    assert Language.NODE not in (await backend.probe()).languages


async def test_a_large_input_and_a_large_result_pass(backend: LinuxBackend) -> None:
    text = "x" * (8 * MIB)
    outcome = await backend.run(Program(language=Language.PYTHON, code=GOOD.code, input=text), WIDE, Silence())
    assert len(outcome.answer) > 8 * MIB


@contextmanager
def descriptors_left(count: int) -> Iterator[None]:
    """For this process to open."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    highest = max(map(int, os.listdir("/proc/self/fd")))
    resource.setrlimit(resource.RLIMIT_NOFILE, (highest + count + 1, hard))
    held = []
    try:
        with suppress(OSError):
            while True:
                held.append(os.dup(0))
        for descriptor in held[len(held) - count :]:
            os.close(descriptor)
        del held[len(held) - count :]
        yield
    finally:
        for descriptor in held:
            os.close(descriptor)
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))


@pytest.mark.parametrize("with_network", [False, True])
async def test_a_run_for_which_there_are_no_descriptors_keeps_none(backend: LinuxBackend, with_network: bool) -> None:
    """A worker that has run out of them would never come out of it again."""

    async def nothing(listener: socket.socket) -> None:
        await asyncio.get_running_loop().create_future()

    program = replace(GOOD, network=nothing if with_network else None)
    await backend.run(program, WIDE, Silence())
    before = len(os.listdir("/proc/self/fd"))
    refused = 0
    for count in range(14):
        with descriptors_left(count):
            try:
                await backend.run(program, WIDE, Silence())
            except OSError:
                refused += 1
        assert len(os.listdir("/proc/self/fd")) <= before, count
    assert refused > 5


async def test_control_groups_of_runs_are_removed(backend: LinuxBackend) -> None:
    for _ in range(3):
        await backend.run(GOOD, WIDE, Silence())
    backend.release()
    own = set(map(str, backend.zygote_pids()))
    assert soon(lambda: not [folder for folder in cgroups.left_folders() if _parent(folder) in own])


def _parent(folder: str) -> str:
    try:
        return str(psutil.Process(int(cgroups.maker(folder))).ppid())
    except psutil.NoSuchProcess:
        return ""
