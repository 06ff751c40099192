"""The data folder and its files."""

import json
import os
import stat
from pathlib import Path

import pytest

from deployments.local.errors import StackError
from deployments.local.files import DataFolder, read_json, write_json


def mode(path: Path) -> int:
    return stat.S_IMODE(path.stat().st_mode)


def test_the_folder_cannot_be_listed_by_others(tmp_path: Path) -> None:
    folder = DataFolder(tmp_path / "deep" / "data")
    folder.create()
    assert mode(folder.root) & 0o066 == 0
    assert [mode(path) for path in (folder.logs, folder.prefect, folder.data)] == [0o700] * 3


def test_a_file_in_the_way_is_said_with_the_option(tmp_path: Path) -> None:
    blocked = tmp_path / "file"
    blocked.write_text("")
    with pytest.raises(StackError, match="cannot be written") as caught:
        DataFolder(blocked).create()
    assert "--data-dir" in caught.value.hint


def test_json_is_written_whole_and_private(tmp_path: Path) -> None:
    path = tmp_path / "state.json"
    write_json(path, {"a": 1})
    write_json(path, {"a": 2})
    assert json.loads(path.read_text()) == {"a": 2}
    assert mode(path) == 0o600
    assert os.listdir(tmp_path) == ["state.json"]


@pytest.mark.parametrize("content", ["", "{", "[1]", "null"])
def test_what_is_no_object_reads_as_nothing(tmp_path: Path, content: str) -> None:
    path = tmp_path / "state.json"
    path.write_text(content)
    assert read_json(path) is None
    assert read_json(tmp_path / "absent.json") is None
