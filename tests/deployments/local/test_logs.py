"""A child's output on disk."""

import stat
from pathlib import Path

from deployments.local.logs import RotatingLog


def test_old_files_are_kept_up_to_a_number(tmp_path: Path) -> None:
    log = RotatingLog(tmp_path / "api.log", max_bytes=10, kept=2)
    for number in range(5):
        log.write(f"line {number}\n".encode())
    log.close()
    content = {path.name: path.read_text() for path in tmp_path.iterdir()}
    assert content == {"api.log": "line 4\n", "api.log.1": "line 3\n", "api.log.2": "line 2\n"}


def test_a_second_start_appends(tmp_path: Path) -> None:
    path = tmp_path / "api.log"
    for word in (b"one\n", b"two\n"):
        log = RotatingLog(path)
        log.write(word)
        log.close()
    assert path.read_bytes() == b"one\ntwo\n"
    assert stat.S_IMODE(path.stat().st_mode) == 0o600


def test_the_tail_is_the_last_lines_with_text(tmp_path: Path) -> None:
    log = RotatingLog(tmp_path / "api.log")
    assert log.tail() == ()
    log.write(b"x" * 40_000 + b"\n" + b"".join(b"line %d\n\n" % number for number in range(30)) + b"\xff end\n")
    log.close()
    assert log.tail(3) == ("line 28", "line 29", "\N{REPLACEMENT CHARACTER} end")
