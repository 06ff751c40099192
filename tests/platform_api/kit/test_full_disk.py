"""Disks without room: a clear error, no torn file, and all is well once there is room again."""

import resource
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
import structlog

from agents.errors import StorageFailed
from platform_api.kit.logging import configure_logging
from platform_api.kit.result_store import LocalResultStore
from platform_api.settings import LogSettings

pytestmark = pytest.mark.case(38)

ROOM = 256 * 1024


@contextmanager
def room_for(size: int) -> Iterator[None]:
    """No file of this process may grow beyond `size`: the kernel breaks a write off, as on a full disk."""
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, before[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)


def files(folder: Path) -> list[Path]:
    return [each for each in folder.rglob("*") if each.is_file()]


async def test_a_result_without_room_leaves_nothing_and_is_kept_once_there_is_room(tmp_path: Path) -> None:
    store = LocalResultStore(tmp_path)
    payload = b"[" + b"1," * ROOM + b"1]"
    with room_for(ROOM):
        kept = await store.keep_json(payload[: ROOM // 2])
        with pytest.raises(StorageFailed, match="disk of the result store is full") as full:
            await store.keep_json(payload)
    assert full.value.code == "STORAGE_FULL"
    assert files(tmp_path) == [store.locate(kept)]
    assert await store.read_json(await store.keep_json(payload)) == payload


async def test_the_kernel_says_that_there_is_no_room(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """`/dev/full` refuses every byte, and asks nobody for rights."""
    store = LocalResultStore(tmp_path)
    staged = tmp_path / "staging" / "full.json"
    staged.symlink_to("/dev/full")
    with monkeypatch.context() as patch:
        patch.setattr(store, "stage", lambda _suffix: staged)
        with pytest.raises(StorageFailed) as full:
            await store.keep_json(b"{}")
    assert full.value.code == "STORAGE_FULL"
    assert not staged.is_symlink()
    assert await store.read_json(await store.keep_json(b"{}")) == b"{}"


async def test_a_disk_that_fails_is_told_from_one_that_is_full(tmp_path: Path) -> None:
    store = LocalResultStore(tmp_path)
    with pytest.raises(StorageFailed) as failed:
        await store.keep(store.stage(), rows=0, columns={})
    assert failed.value.code == "STORAGE_ERROR"


def test_a_log_file_without_room_stops_nobody(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    folder = tmp_path / "logs"
    folder.mkdir()
    (folder / "api.log").symlink_to("/dev/full")
    configure_logging(LogSettings(folder=folder), application="api")
    try:
        structlog.get_logger("x").info("said_all_the_same")
    finally:
        configure_logging(LogSettings(level="WARNING"), application="tests")
    told = capsys.readouterr()
    assert "said_all_the_same" in told.out + told.err
    assert "No space left on device" in told.err
