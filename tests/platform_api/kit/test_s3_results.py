"""The result store in a bucket: the same promises as the folder's, for several machines."""

import hashlib
import os
import time
from pathlib import Path

import httpx
import obstore
import polars as pl
import pytest
from pydantic import ValidationError

from agents.errors import ConnectionFailed, InputInvalid
from flows.runtime.ports import ResultStore
from platform_api.kit import s3_results
from platform_api.kit.result_store import LocalResultStore, key_of
from platform_api.kit.result_stores import open_result_store
from platform_api.kit.s3_results import S3ResultStore
from platform_api.settings import RunSettings, Settings


def on_machine(settings: Settings, runs: RunSettings, folder: Path) -> S3ResultStore:
    """The store as a machine sees it whose data folder is `folder`."""
    store = open_result_store(settings.model_copy(update={"runs": runs, "data_dir": folder}))
    assert isinstance(store, S3ResultStore)
    return store


@pytest.fixture
def store(settings: Settings, s3_settings: RunSettings, tmp_path: Path) -> S3ResultStore:
    return on_machine(settings, s3_settings, tmp_path / "one")


@pytest.fixture
def elsewhere(settings: Settings, s3_settings: RunSettings, tmp_path: Path) -> S3ResultStore:
    """The same bucket from another machine."""
    return on_machine(settings, s3_settings, tmp_path / "two")


def objects(runs: RunSettings) -> list[str]:
    """Keys in the bucket."""
    bucket = runs.result_store_url.removeprefix("s3://").partition("/")[0]
    listing = httpx.get(f"{runs.s3_endpoint_url}/{bucket}").text
    return [part.partition("</Key>")[0] for part in listing.split("<Key>")[1:]]


async def keep_table(store: ResultStore, rows: int = 3) -> str:
    staged = store.stage()
    pl.DataFrame({"a": range(rows)}).write_parquet(staged)
    return (await store.keep(staged, rows=rows, columns={"a": "Int64"})).uri


async def test_json_is_read_on_another_machine(store: S3ResultStore, elsewhere: S3ResultStore) -> None:
    assert await elsewhere.read_json(await store.keep_json(b'{"a":1}')) == b'{"a":1}'


async def test_the_same_content_is_kept_once_below_the_prefix(store: S3ResultStore, s3_settings: RunSettings) -> None:
    uri = await store.keep_json(b"[1,2,3]")
    assert await store.keep_json(b"[1,2,3]") == uri
    assert objects(s3_settings) == [f"of/tests/{uri.removeprefix('tc://')}"]


async def test_a_table_is_described_and_scanned_lazily_elsewhere(
    store: S3ResultStore, elsewhere: S3ResultStore
) -> None:
    staged = store.stage()
    pl.DataFrame({"a": [1, 2, 3], "b": ["x", "y", "z"]}).write_parquet(staged)
    content = staged.read_bytes()
    kept = await store.keep(staged, rows=3, columns={"a": "Int64", "b": "String"})
    assert (kept.rows, kept.bytes, kept.format) == (3, len(content), "parquet")
    assert kept.sha256 == hashlib.sha256(content).hexdigest()
    assert not staged.exists()
    assert "sha256" not in kept.model_dump()
    found = pl.scan_parquet(elsewhere.locate(kept.uri), glob=False).filter(pl.col("a") > 1).select("b").collect()
    assert found["b"].to_list() == ["y", "z"]


async def test_a_file_in_many_parts_arrives_whole(store: S3ResultStore, elsewhere: S3ResultStore) -> None:
    staged = store.stage(".json")
    content = os.urandom(12 << 20)
    staged.write_bytes(content)
    kept = await store.keep(staged, rows=1, columns={})
    assert elsewhere.locate(kept.uri).read_bytes() == content


async def test_references_mean_the_same_in_every_store(store: S3ResultStore, tmp_path: Path) -> None:
    local = LocalResultStore(tmp_path / "local")
    assert await local.keep_json(b"{}") == await store.keep_json(b"{}")


@pytest.mark.parametrize("uri", ["", "/etc/passwd", "tc://../../etc/passwd", "s3://other/bucket", "tc://aa/x.json\n"])
def test_foreign_references_are_refused(store: S3ResultStore, uri: str) -> None:
    with pytest.raises(InputInvalid, match="no reference"):
        store.locate(uri)


def test_a_vanished_result_says_what_to_do(store: S3ResultStore) -> None:
    with pytest.raises(InputInvalid, match="is gone") as caught:
        store.locate("tc://ab/" + "ab" * 32 + ".json")
    assert "run the step" in (caught.value.hint or "")


async def test_what_comes_damaged_is_not_used(store: S3ResultStore, elsewhere: S3ResultStore) -> None:
    uri = await store.keep_json(b'{"a":1}')
    await obstore.put_async(store._bucket, key_of(uri), b'{"a":2}')
    with pytest.raises(ConnectionFailed, match="damaged"):
        await elsewhere.read_json(uri)
    assert await store.read_json(uri) == b'{"a":1}'


async def test_a_bucket_that_is_not_there_is_named(
    settings: Settings, s3_settings: RunSettings, tmp_path: Path
) -> None:
    runs = s3_settings.model_copy(update={"result_store_url": "s3://nowhere-at-all"})
    with pytest.raises(ConnectionFailed, match="s3://nowhere-at-all"):
        await on_machine(settings, runs, tmp_path).keep_json(b"{}")


async def test_a_server_that_is_away_is_named_without_the_secret(
    settings: Settings, s3_settings: RunSettings, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(s3_results, "RETRIES", 0)
    runs = s3_settings.model_copy(update={"s3_endpoint_url": "http://127.0.0.1:9"})
    with pytest.raises(ConnectionFailed, match="could not be") as caught:
        await on_machine(settings, runs, tmp_path).keep_json(b"{}")
    assert s3_settings.result_store_url in caught.value.message
    assert "RESULT_STORE_URL" in (caught.value.hint or "")


async def test_copies_that_nobody_used_for_long_make_room(
    settings: Settings, s3_settings: RunSettings, tmp_path: Path
) -> None:
    store = on_machine(settings, s3_settings.model_copy(update={"result_cache_bytes": 10}), tmp_path / "small")
    old, recent = await store.keep_json(b"[1,2,3,4,5]"), await store.keep_json(b"[6,7,8,9,0]")
    path, kept = store.locate(old), store.locate(recent)
    os.utime(path, (0, time.time() - 2 * s3_results.IN_USE_SECONDS))
    await store.keep_json(b'"third"')
    assert (path.exists(), kept.exists()) == (False, True)
    assert await store.read_json(old) == b"[1,2,3,4,5]"


def test_nobody_else_on_the_machine_reads_copies(store: S3ResultStore, tmp_path: Path) -> None:
    assert (tmp_path / "one" / "result-cache").stat().st_mode & 0o777 == 0o700


@pytest.mark.parametrize("url", ["gs://bucket", "s3://", "s3://key:secret@bucket/x", "https://bucket"])
def test_other_urls_are_refused(url: str) -> None:
    with pytest.raises(ValidationError, match="must be a folder or s3://bucket/prefix"):
        RunSettings(result_store_url=url)


def test_half_of_the_credentials_is_refused() -> None:
    with pytest.raises(ValidationError, match="set both or neither"):
        RunSettings(s3_access_key_id="key")
