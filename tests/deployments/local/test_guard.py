"""What is left when the stack's own process is killed: nothing."""

import asyncio
import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from deployments.local.guard import Guard
from deployments.local.pids import alive, ended

KEEPER = """
import signal, subprocess, sys
from pathlib import Path
from deployments.local.guard import Guard

guard = Guard(state_file=Path(sys.argv[1]), grace_seconds=0.3)
CHILD = "import subprocess, sys, time; " \
    "p = subprocess.Popen([sys.executable, '-c', 'import time; time.sleep(60)']); " \
    "print(p.pid, flush=True); time.sleep(60)"
DEAF = "import signal, time; signal.signal(signal.SIGTERM, signal.SIG_IGN); print(0, flush=True); time.sleep(60)"
for code in (CHILD, DEAF):
    child = subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE, start_new_session=True)
    guard.watch(child.pid, signal.SIGTERM)
    print(child.pid, child.stdout.readline().decode().strip(), guard.pid, flush=True)
sys.stdin.read()
"""


def wait_for_end(pid: int) -> None:
    asyncio.run(asyncio.wait_for(ended(pid), 20))


def numbers(line: bytes) -> list[int]:
    return [int(word) for word in line.split()]


def test_kill_9_takes_children_grandchildren_and_the_deaf_with_it(tmp_path: Path) -> None:
    state = tmp_path / "stack.json"
    state.write_text("{}")
    with subprocess.Popen(
        [sys.executable, "-c", KEEPER, str(state)], stdin=subprocess.PIPE, stdout=subprocess.PIPE
    ) as keeper:
        assert keeper.stdout is not None
        child, grandchild, guard = numbers(keeper.stdout.readline())
        deaf, _, _ = numbers(keeper.stdout.readline())
        assert all(alive(pid) for pid in (child, grandchild, deaf, guard))
        keeper.kill()
        keeper.wait()
        for pid in (child, grandchild, deaf, guard):
            wait_for_end(pid)
    assert not state.exists()


def test_a_dismissed_guard_harms_nobody(tmp_path: Path) -> None:
    state = tmp_path / "stack.json"
    state.write_text("{}")
    with subprocess.Popen([sys.executable, "-c", "import sys; sys.stdin.read()"], stdin=subprocess.PIPE) as child:
        guard = Guard(state_file=state)
        guard.watch(child.pid, signal.SIGTERM)
        guard.dismiss()
        guard.dismiss()
        with pytest.raises(ProcessLookupError):
            os.kill(guard.pid, 0)
        assert child.poll() is None
        assert state.exists()


def test_what_was_forgotten_is_left_alone(tmp_path: Path) -> None:
    code = (
        "import os, signal, sys\nfrom pathlib import Path\nfrom deployments.local.guard import Guard\n"
        f"guard = Guard(state_file=Path({str(tmp_path / 'none')!r}))\n"
        "guard.watch(int(sys.argv[1]), signal.SIGTERM)\nguard.forget(int(sys.argv[1]))\n"
        "print(guard.pid, flush=True)\nos._exit(0)"
    )
    with subprocess.Popen([sys.executable, "-c", "import sys; sys.stdin.read()"], stdin=subprocess.PIPE) as child:
        keeper = subprocess.run([sys.executable, "-c", code, str(child.pid)], capture_output=True, check=True)
        wait_for_end(int(keeper.stdout))
        assert child.poll() is None
