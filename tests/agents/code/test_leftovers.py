"""Work folders of processes that were killed are removed, those of living ones stay."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from agents.code.guest import cgroups
from agents.code.leftovers import WORK_FOLDERS, remove_leftovers


def ended_pid() -> int:
    """The id of a process that has just ended."""
    process = subprocess.Popen([sys.executable, "-c", ""])
    process.wait()
    return process.pid


def test_only_what_a_dead_process_left_is_removed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(cgroups, "TOP", str(tmp_path / "cgroup"))
    groups = tmp_path / "cgroup" / "memory"
    for pid in (ended_pid(), os.getpid()):
        (groups / f"{cgroups.OURS}-{pid}").mkdir(parents=True)
    temporary = tmp_path / "temporary"
    dead = temporary / f"{WORK_FOLDERS}{ended_pid()}-abc"
    (dead / "deep").mkdir(parents=True)
    (dead / "deep" / "file").write_text("x")
    kept = [f"{WORK_FOLDERS}{os.getpid()}-abc", f"{WORK_FOLDERS}older", "something-else-1-abc"]
    for name in kept:
        (temporary / name).mkdir()
    assert remove_leftovers(temporary) == 2
    assert [each.name for each in groups.iterdir()] == [f"{cgroups.OURS}-{os.getpid()}"]
    assert {each.name for each in temporary.iterdir()} == set(kept)
