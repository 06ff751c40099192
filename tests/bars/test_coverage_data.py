"""Which files of measurements can be read."""

from pathlib import Path

from coverage import CoverageData

from tests.bars.coverage_data import is_whole


def test_what_was_written_to_its_end_is_whole(tmp_path: Path) -> None:
    data = CoverageData(basename=str(tmp_path / ".coverage"))
    data.add_lines({"a.py": [1]})
    data.write()
    data.close()
    assert is_whole(tmp_path / ".coverage")


def test_what_a_killed_process_had_begun_is_not(tmp_path: Path) -> None:
    empty, half, absent = tmp_path / "empty", tmp_path / "half", tmp_path / "absent"
    empty.touch()
    half.write_bytes(b"SQLite format 3\0" + bytes(84))
    assert not any(map(is_whole, (empty, half, absent)))
