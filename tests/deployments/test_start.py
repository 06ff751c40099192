"""A command of ours that is loaded without looking for garbage."""

import gc
import select
import subprocess
import sys
from pathlib import Path

import pytest

from deployments import start
from deployments.commands import openapi
from deployments.loading import loading
from deployments.local.gate import Gate
from deployments.worker import __main__ as worker

ROOT = Path(__file__).parents[2]
FAKE = "tests.fakes.loaded"


def test_nothing_is_looked_through_while_loading_and_all_that_comes_later_is() -> None:
    before = gc.get_freeze_count()
    with loading():
        assert not gc.isenabled()
        kept = [[each] for each in range(1000)]
    assert gc.isenabled()
    try:
        assert gc.get_freeze_count() >= before + len(kept)
    finally:
        gc.unfreeze()


def test_what_fails_to_load_leaves_the_collector_on() -> None:
    with pytest.raises(RuntimeError), loading():
        raise RuntimeError
    assert gc.isenabled()
    gc.unfreeze()


def test_a_command_is_the_main_of_a_module_or_of_a_package() -> None:
    assert start.command("deployments.commands.openapi") is openapi.main
    assert start.command("deployments.worker") is worker.main


def test_the_command_line_is_that_of_the_command() -> None:
    command = [sys.executable, "-m", "deployments.start", FAKE, "--fd", "7"]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    assert (done.returncode, done.stderr) == (3, "")
    assert done.stdout == f"loaded\ngoes on as {[FAKE, '--fd', '7']}\n"


def test_a_process_goes_on_when_its_gate_is_open_and_it_stays_open() -> None:
    gate = Gate()
    with waiting_for(gate) as first:
        assert first.stdout is not None
        assert first.stdout.readline() == b"loaded\n"
        assert not select.select([first.stdout], [], [], 0.3)[0]
        gate.open()
        assert first.stdout.readline() == f"goes on as {[FAKE]}\n".encode()
    with waiting_for(gate) as second:
        assert second.wait(60) == 3
    gate.close()


def waiting_for(gate: Gate) -> "subprocess.Popen[bytes]":
    descriptor = gate.descriptor
    command = [sys.executable, "-m", "deployments.start", "--when", str(descriptor), FAKE]
    return subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, pass_fds=[descriptor], bufsize=0)
