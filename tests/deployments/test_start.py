"""A command of ours that is loaded without looking for garbage."""

import gc
import subprocess
import sys
from pathlib import Path

import pytest

from deployments import start
from deployments.commands import openapi
from deployments.loading import loading
from deployments.worker import __main__ as worker

ROOT = Path(__file__).parents[2]


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
    command = [sys.executable, "-m", "deployments.start", "deployments.commands.prefect_server", "--nonsense"]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 2
    assert "unrecognized arguments: --nonsense" in done.stderr
