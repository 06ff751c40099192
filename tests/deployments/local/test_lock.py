"""One stack per data folder."""

import os
import subprocess
import sys
from pathlib import Path

from deployments.local.lock import FolderLock, holder

HOLD = """
import sys
from pathlib import Path
from deployments.local.lock import FolderLock
assert FolderLock(Path(sys.argv[1])).acquire()
print("held", flush=True)
sys.stdin.read()
"""


def test_a_second_one_is_refused_until_the_first_lets_go(tmp_path: Path) -> None:
    path = tmp_path / "stack.lock"
    assert holder(path) is None
    first, second = FolderLock(path), FolderLock(path)
    assert first.acquire()
    assert holder(path) == os.getpid()
    assert not second.acquire()
    first.release()
    assert holder(path) is None
    assert second.acquire()
    second.release()
    second.release()


def test_a_holder_that_is_killed_gives_it_back(tmp_path: Path) -> None:
    path = tmp_path / "stack.lock"
    with subprocess.Popen(
        [sys.executable, "-c", HOLD, str(path)], stdin=subprocess.PIPE, stdout=subprocess.PIPE
    ) as child:
        assert child.stdout is not None
        assert child.stdout.readline() == b"held\n"
        assert not FolderLock(path).acquire()
        assert holder(path) == child.pid
        child.kill()
        child.wait()
    assert holder(path) is None
    lock = FolderLock(path)
    assert lock.acquire()
    lock.release()
