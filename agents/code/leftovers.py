"""Removes the work folders and control groups of processes that were killed, which nobody else will."""

import contextlib
import os
import shutil
import tempfile
from pathlib import Path

from agents.code.guest import cgroups

WORK_FOLDERS = "turbocat-code-"
"""What the names of work folders begin with; the id of the process that made them follows."""


def remove_leftovers(temporary: Path | None = None) -> int:
    """Removes what belongs to a process that is gone; returns how much that was. Blocks: for a thread of its own."""
    removed = 0
    for folder in (temporary or Path(tempfile.gettempdir())).glob(f"{WORK_FOLDERS}*"):
        owner = folder.name.removeprefix(WORK_FOLDERS).partition("-")[0]
        if owner.isdecimal() and not _lives(int(owner)):
            shutil.rmtree(folder, ignore_errors=True)
            removed += 1
    return removed + cgroups.sweep()


def _lives(pid: int) -> bool:
    with contextlib.suppress(ProcessLookupError, OverflowError):
        try:
            os.kill(pid, 0)
        except PermissionError:
            return True
        return True
    return False
