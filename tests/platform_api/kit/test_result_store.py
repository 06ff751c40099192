"""The local result store: whole files, one copy, no way out of its folder."""

from pathlib import Path

import pytest

from agents.errors import InputInvalid
from platform_api.kit.result_store import LocalResultStore


async def test_json_comes_back_as_it_went_in(tmp_path: Path) -> None:
    store = LocalResultStore(tmp_path)
    uri = await store.keep_json(b'{"a":1}')
    assert await store.read_json(uri) == b'{"a":1}'


async def test_same_content_is_kept_once(tmp_path: Path) -> None:
    store = LocalResultStore(tmp_path)
    first = await store.keep_json(b"[1,2,3]")
    second = await store.keep_json(b"[1,2,3]")
    assert first == second
    assert stored_files(tmp_path) == [f"{first.rpartition('/')[2]}"]


def stored_files(folder: Path) -> list[str]:
    """Names of all files below the folder."""
    return [path.name for path in folder.rglob("*.json") if path.is_file()]


async def test_a_staged_file_is_taken_in_and_described(tmp_path: Path) -> None:
    store = LocalResultStore(tmp_path)
    staged = store.stage(".parquet")
    staged.write_bytes(b"PAR1 pretend")
    ref = await store.keep(staged, rows=3, columns={"a": "Int64"})
    assert (ref.rows, ref.bytes, ref.columns, ref.format) == (3, 12, {"a": "Int64"}, "parquet")
    assert store.locate(ref.uri).read_bytes() == b"PAR1 pretend"
    assert not staged.exists()


@pytest.mark.parametrize(
    "uri",
    [
        "",
        "/etc/passwd",
        "tc://../../etc/passwd",
        "tc://ab/" + "g" * 64 + ".json",
        "file:///etc/passwd",
        "tc://aa/x.json\n",
    ],
)
def test_foreign_references_are_refused(tmp_path: Path, uri: str) -> None:
    with pytest.raises(InputInvalid, match="no reference"):
        LocalResultStore(tmp_path).locate(uri)


def test_a_vanished_result_says_what_to_do(tmp_path: Path) -> None:
    uri = "tc://ab/" + "ab" * 32 + ".json"
    with pytest.raises(InputInvalid, match="is gone") as caught:
        LocalResultStore(tmp_path).locate(uri)
    assert "run the step" in (caught.value.hint or "")


def test_nobody_else_on_the_machine_reads_results(tmp_path: Path) -> None:
    folder = tmp_path / "results"
    folder.mkdir(mode=0o755)
    LocalResultStore(folder)
    assert folder.stat().st_mode & 0o777 == 0o700
