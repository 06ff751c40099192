import io
from pathlib import Path
from typing import Any

import httpx
import polars as pl
import pytest

from agents.egress.policy import EgressPolicy
from agents.errors import AgentError, ConfigInvalid, ConnectionFailed, EgressRefused
from tests.agents.data.remote.conftest import RunRemote
from tests.agents.http_server import Server, reply

KEYS = {"accessKeyId": "test", "secretAccessKey": "test"}


def at(server: str, url: str, **rest: Any) -> dict[str, Any]:
    return {"url": url, "endpointUrl": server, "credentials": KEYS, **rest}


def put(server: str, bucket: str, key: str, content: bytes) -> None:
    assert httpx.put(f"{server}/{bucket}/{key}", content=content).status_code == 200


def parquet(frame: pl.DataFrame) -> bytes:
    file = io.BytesIO()
    frame.write_parquet(file)
    return file.getvalue()


async def test_objects_are_read_by_pattern(run_remote: RunRemote, s3_server: str, bucket: str) -> None:
    for month in (1, 2):
        put(
            s3_server, bucket, f"flights/{month}.parquet", parquet(pl.DataFrame({"month": [month] * 3, "n": [1, 2, 3]}))
        )
    config = {
        "source": at(s3_server, f"s3://{bucket}/flights/*.parquet"),
        "operations": [
            {"op": "filter", "where": "n > 1"},
            {"op": "group", "by": ["month"], "aggregations": {"s": "SUM(n)"}},
            {"op": "sort", "by": ["month"]},
        ],
    }
    assert (await run_remote(config)).output["data"] == [{"month": 1, "s": 5}, {"month": 2, "s": 5}]


async def test_every_format_is_read_and_written(run_remote: RunRemote, s3_server: str, bucket: str) -> None:
    rows = [{"a": 1, "b": "x"}, {"a": 2, "b": "y"}]
    for name in ("t.csv", "t.parquet", "t.ndjson", "t.json", "t.ipc", "t.xlsx"):
        place = at(s3_server, f"s3://{bucket}/{name}")
        sent = (await run_remote({"source": {"rows": rows}, "operations": [], "sink": place})).output["sink"]
        assert sent["url"] == f"s3://{bucket}/{name}"
        assert (await run_remote({"source": place, "operations": []})).output["data"] == rows


async def test_a_sink_that_fails_leaves_the_object_as_it_was(
    run_remote: RunRemote, s3_server: str, bucket: str
) -> None:
    put(s3_server, bucket, "t.csv", b"old")
    check = {"check": "row_count", "min": 2}
    config = {
        "source": {"rows": [{"a": 1}]},
        "operations": [],
        "checks": [check],
        "sink": at(s3_server, f"s3://{bucket}/t.csv"),
    }
    with pytest.raises(AgentError):
        await run_remote(config)
    assert (await run_remote({"source": config["sink"], "operations": []})).output["schema"] == {"old": "String"}
    with pytest.raises(ConnectionFailed, match=r"^sink: s3://absent-bucket/t.csv"):
        await run_remote({**config, "checks": [], "sink": at(s3_server, "s3://absent-bucket/t.csv")})


async def test_what_is_not_there_is_an_error_of_its_source(run_remote: RunRemote, s3_server: str, bucket: str) -> None:
    for name in ("missing.parquet", "missing.json"):
        with pytest.raises(AgentError, match=r"^source") as caught:
            await run_remote({"source": at(s3_server, f"s3://{bucket}/{name}"), "operations": []})
        assert caught.value.path is not None
        assert caught.value.path.startswith("source")


async def test_the_endpoint_is_checked(run_remote: RunRemote, s3_server: str, bucket: str) -> None:
    for sourced in (True, False):
        place = at(s3_server, f"s3://{bucket}/t.csv")
        config = {"source": place, "operations": []}
        if not sourced:
            config = {"source": {"rows": [{"a": 1}]}, "operations": [], "sink": place}
        with pytest.raises(EgressRefused, match="may not be reached"):
            await run_remote(config, egress=EgressPolicy())


@pytest.mark.parametrize(
    "url", ["s3://bucket/t.csv", "az://container/t.csv", "gs://bucket/t.csv", "s3://bucket/t.json"]
)
async def test_a_redirect_of_a_store_leads_past_no_guard(run_remote: RunRemote, server: Server, url: str) -> None:
    """Polars' own client follows redirects; the tunnel refuses what they lead to."""
    server.answers = [reply(302, location=f"http://localhost:{server.port}/secret")]
    credentials: dict[str, Any] = {"accountName": "account", "accountKey": "a2V5"} if url.startswith("az") else KEYS
    place = {"url": url, "endpointUrl": server.url(""), "credentials": None if url.startswith("gs") else credentials}
    place = {name: value for name, value in place.items() if value is not None}
    with pytest.raises(EgressRefused, match="localhost"):
        await run_remote({"source": place, "operations": []}, egress=EgressPolicy(allow=("127.0.0.1/32",)))
    assert server.received
    assert not any("secret" in request.path for request in server.received)


async def test_stores_without_credentials_get_none_of_the_worker(
    run_remote: RunRemote, server: Server, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "WORKERS")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "hush")
    monkeypatch.setenv("AWS_SESSION_TOKEN", "hush")
    server.answers = [reply(404)]
    with pytest.raises(AgentError):
        await run_remote({"source": {"url": "s3://bucket/t.csv", "endpointUrl": server.url("")}, "operations": []})
    assert server.received
    assert not any("authorization" in request.headers for request in server.received)


async def test_a_key_file_is_not_trusted_with_addresses(run_remote: RunRemote) -> None:
    for text in ("{}", "[]", "no JSON"):
        source = {"url": "gs://bucket/t.csv", "credentials": {"serviceAccountKey": text}}
        with pytest.raises(ConfigInvalid, match="key file"):
            await run_remote({"source": source, "operations": []})
