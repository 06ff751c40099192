import gzip
import io
from typing import Any

import polars as pl
import pytest

from agents.data.remote import tables
from agents.egress.policy import EgressPolicy
from agents.errors import (
    AgentError,
    ConnectionFailed,
    EgressRefused,
    HttpStatusFailed,
    InputInvalid,
    LimitExceeded,
    OutputInvalid,
)
from tests.agents.data.conftest import FolderDatasets
from tests.agents.data.remote.conftest import RunRemote
from tests.agents.http_server import Server, reply

CSV = b"a,b\n1,x\n2,y\n"


def source(url: str, **rest: Any) -> dict[str, Any]:
    return {"source": {"url": url, **rest}, "operations": []}


async def test_a_file_is_fetched_with_its_headers(
    run_remote: RunRemote, server: Server, datasets: FolderDatasets
) -> None:
    server.answers = [reply(200, CSV)]
    output = (await run_remote(source(server.url("/t.csv?key=1"), headers={"authorization": "Bearer x"}))).output
    assert output["data"] == [{"a": 1, "b": "x"}, {"a": 2, "b": "y"}]
    assert server.received[0].headers["authorization"] == "Bearer x"
    assert datasets.staged_files() == []


async def test_the_format_comes_from_config_name_or_answer(run_remote: RunRemote, server: Server) -> None:
    parquet = io.BytesIO()
    pl.DataFrame({"a": [1]}).write_parquet(parquet)
    workbook = io.BytesIO()
    pl.DataFrame({"a": [1]}).write_excel(workbook)
    for path, body, answered, stated in (
        ("/x", b"a\n1\n", "text/csv; charset=utf-8", None),
        ("/x", b'[{"a": 1}]', "application/json", None),
        ("/x.bin", b'{"a": 1}\n', "text/plain", "ndjson"),
        ("/x.parquet", parquet.getvalue(), "application/octet-stream", None),
        ("/x.xlsx", workbook.getvalue(), "application/octet-stream", None),
    ):
        server.answers = [reply(200, body, content_type=answered)]
        config = source(server.url(path), **({"format": stated} if stated else {}))
        assert (await run_remote(config)).output["data"] == [{"a": 1}]
    server.answers = [reply(200, b"?", content_type="image/png")]
    with pytest.raises(InputInvalid, match=r'the format cannot be told .*; set "format"'):
        await run_remote(source(server.url("/x")))


async def test_redirects_are_checked_and_take_no_credentials_along(
    run_remote: RunRemote, server: Server, other_server: Server
) -> None:
    server.answers = [reply(302, location=other_server.url("/t.csv"))]
    other_server.answers = [reply(200, CSV)]
    await run_remote(source(server.url("/t.csv"), headers={"x-api-key": "k"}))
    assert "x-api-key" not in other_server.received[0].headers
    for target in ("http://169.254.169.254/latest", "http://10.0.0.1/x", "file:///etc/passwd", "http://[::1]/"):
        server.answers = [reply(302, location=target)]
        with pytest.raises(EgressRefused):
            await run_remote(source(server.url("/t.csv")))
    server.answers = [reply(302, location=server.url("/t.csv"))]
    with pytest.raises(EgressRefused, match="more than 5 redirects"):
        await run_remote(source(server.url("/t.csv")))


async def test_addresses_are_checked_before_a_connection(run_remote: RunRemote, server: Server) -> None:
    for url in (
        server.url("/t.csv"),
        f"http://0x7f000001:{server.port}/t.csv",
        f"http://localhost:{server.port}/t.csv",
    ):
        with pytest.raises(EgressRefused) as caught:
            await run_remote(source(url), egress=EgressPolicy())
        assert caught.value.message.startswith("source: ")
    assert server.received == []


async def test_what_is_too_large_is_not_taken(
    run_remote: RunRemote, server: Server, monkeypatch: pytest.MonkeyPatch, datasets: FolderDatasets
) -> None:
    monkeypatch.setattr(tables, "MAX_FILE_BYTES", 1_000)
    bomb = gzip.compress(b"a\n" + b"1\n" * 100_000)
    for answer in (reply(200, b"a\n" + b"1\n" * 600), reply(200, bomb, content_encoding="gzip")):
        server.answers = [answer]
        with pytest.raises(LimitExceeded):
            await run_remote(source(server.url("/t.csv")))
    assert datasets.staged_files() == []


@pytest.mark.parametrize(
    ("encoding", "body", "error"),
    [
        (
            "gzip, gzip",
            gzip.compress(gzip.compress(CSV, mtime=0), mtime=0),
            OutputInvalid,
        ),  # which could become very many at one go
        ("br", CSV, OutputInvalid),
        ("gzip", b"no gzip", OutputInvalid),
        ("gzip", gzip.compress(CSV, mtime=0)[:-9], OutputInvalid),
        ("gzip", gzip.compress(b"", mtime=0) * 1_000, LimitExceeded),  # which becomes nothing for ever
    ],
)
async def test_compression_that_hides_something(
    run_remote: RunRemote, server: Server, monkeypatch: pytest.MonkeyPatch, encoding: str, body: bytes, error: type
) -> None:
    monkeypatch.setattr(tables, "MAX_FILE_BYTES", 1_000)
    server.answers = [reply(200, body, content_encoding=encoding)]
    with pytest.raises(error):
        await run_remote(source(server.url("/t.csv")))


async def test_a_compressed_file_is_unpacked(run_remote: RunRemote, server: Server) -> None:
    """Some object stores send what they keep compressed whatever they are asked."""
    server.answers = [reply(200, gzip.compress(CSV), content_encoding="gzip")]
    assert (await run_remote(source(server.url("/t.csv")))).output["data"] == [{"a": 1, "b": "x"}, {"a": 2, "b": "y"}]


async def test_answers_that_are_no_file(run_remote: RunRemote, server: Server) -> None:
    for status, code in ((404, "HTTP_4XX"), (503, "HTTP_5XX")):
        server.answers = [reply(status)]
        with pytest.raises(HttpStatusFailed) as caught:
            await run_remote(source(server.url("/t.csv?key=hush")))
        assert (caught.value.code, caught.value.path) == (code, "source.url")
        assert "hush" not in caught.value.message
    with pytest.raises(ConnectionFailed):
        await run_remote(source("http://127.0.0.1:9/t.csv"))
    with pytest.raises(AgentError):
        await run_remote(source("http://127.0.0.1:9/t.csv", headers={"x": "a\r\nb: c"}))


async def test_a_join_may_take_its_other_table_from_a_url(run_remote: RunRemote, server: Server) -> None:
    server.answers = [reply(200, CSV)]
    join = {"op": "join", "with": {"url": server.url("/t.csv")}, "on": ["a"]}
    config = {"source": {"rows": [{"a": 2}]}, "operations": [join]}
    assert (await run_remote(config)).output["data"] == [{"a": 2, "b": "y"}]
    server.answers = [reply(500)]
    with pytest.raises(HttpStatusFailed) as caught:
        await run_remote(config)
    assert caught.value.path == "operations[0].with.url"


async def test_a_result_is_sent_by_put(run_remote: RunRemote, server: Server) -> None:
    config = {"source": {"rows": [{"a": 1}]}, "operations": [], "sink": {"url": server.url("/out.csv")}}
    output = (await run_remote(config)).output
    assert output["sink"] == {"url": server.url("/out.csv"), "format": "csv", "bytes": 4}
    assert (server.received[0].method, server.received[0].body) == ("PUT", b"a\n1\n")
    server.answers = [reply(403)]
    with pytest.raises(HttpStatusFailed, match=r"^sink: "):
        await run_remote(config)


async def test_headers_of_the_config_do_not_frame_the_request(run_remote: RunRemote, server: Server) -> None:
    server.answers = [reply(200, CSV)]
    odd = {"Host": "other.example", "Content-Length": "5", "Transfer-Encoding": "chunked", "x-mine": "1"}
    await run_remote(source(server.url("/t.csv"), headers=odd))
    got = server.received[0].headers
    assert (got["host"], got["x-mine"]) == (f"127.0.0.1:{server.port}", "1")
    assert "transfer-encoding" not in got
