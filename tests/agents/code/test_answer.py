"""What harnesses write, and what programs write in their place."""

import json
import tempfile
from pathlib import Path

import pytest
from hypothesis import given, strategies

from agents.code.answer import MAX_FILES, AnswerReader
from agents.code.backend import Limits

BOUNDS = Limits(result_bytes=200, disk_bytes=1000)


def written(name: str, content: bytes) -> bytes:
    return json.dumps({"name": name, "bytes": len(content)}).encode() + b"\n" + content


def read(stream: bytes, folder: Path | None, *, chunk: int = 7) -> AnswerReader:
    reader = AnswerReader(BOUNDS, folder)
    for start in range(0, len(stream), chunk):
        if not reader.feed(stream[start : start + chunk]):
            break
    reader.close()
    return reader


@pytest.mark.parametrize("chunk", [1, 3, 10_000])
def test_the_answer_comes_first_then_the_files(tmp_path: Path, chunk: int) -> None:
    stream = b'{"ok": true}\n' + written("a.parquet", b"\nbytes\n") + written("empty", b"") + written("b", b"x" * 500)
    reader = read(stream, tmp_path, chunk=chunk)
    assert (reader.answer, reader.files, reader.what) == (b'{"ok": true}', ["a.parquet", "empty", "b"], "")
    assert {path.name: path.read_bytes() for path in tmp_path.iterdir()} == {
        "a.parquet": b"\nbytes\n",
        "empty": b"",
        "b": b"x" * 500,
    }


@pytest.mark.parametrize(
    "name", ["../x", "/etc/x", "a/b", ".hidden", "", "x" * 101, "a\0b", "ä", "..", 5, None, ["x"], "-rf"]
)
def test_names_that_are_no_plain_ones_are_passed_over(tmp_path: Path, name: object) -> None:
    header = json.dumps({"name": name, "bytes": 3}).encode()
    reader = read(b"{}\n" + header + b"\nabc" + written("later", b"x"), tmp_path)
    assert reader.files == []
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("size", [-1, 1.5, True, "3", None, 10**30])
def test_sizes_that_are_none_are_passed_over_or_too_large(tmp_path: Path, size: object) -> None:
    reader = read(b"{}\n" + json.dumps({"name": "x", "bytes": size}).encode() + b"\nabc", tmp_path)
    assert reader.files == []
    assert reader.what == ("files" if size == 10**30 else "")


def test_too_much_is_said(tmp_path: Path) -> None:
    assert read(b"x" * 201, None).what == "result"
    assert read(b"{}\n" + written("a", b"x" * 600) + written("b", b"x" * 600), tmp_path).what == "files"
    many = b"".join(written(f"f{number}", b"") for number in range(MAX_FILES + 1))
    assert read(b"{}\n" + many, tmp_path).what == "files"
    assert read(b"{}\n" + b"x" * 5000, tmp_path).what == "files"


def test_a_file_that_is_cut_off_is_none(tmp_path: Path) -> None:
    reader = read(b"{}\n" + written("a", b"x" * 10)[:-1], tmp_path)
    assert (reader.files, list(tmp_path.iterdir())) == ([], [])


def test_an_answer_without_a_newline_is_one() -> None:
    assert read(b'{"ok": 1}', None).answer == b'{"ok": 1}'


@given(stream=strategies.binary(max_size=3000), chunk=strategies.integers(1, 100))
def test_any_bytes_are_read_within_the_bounds(stream: bytes, chunk: int) -> None:
    with tempfile.TemporaryDirectory() as folder:
        reader = read(b"{}\n" + stream, Path(folder), chunk=chunk)
        assert sum(path.stat().st_size for path in Path(folder).iterdir()) <= BOUNDS.disk_bytes
        assert sorted(reader.files) == sorted(path.name for path in Path(folder).iterdir())
