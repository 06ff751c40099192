import asyncio
import gzip
import zlib
from typing import Any

import pytest

from agents.errors import (
    AgentError,
    AgentTimeout,
    ConfigInvalid,
    ConnectionFailed,
    HttpStatusFailed,
    LimitExceeded,
    OutputInvalid,
)
from tests.agents.api.conftest import Call, Lines
from tests.agents.http_server import Received, Server, json_reply, reply

AT_ONCE = {"maxAttempts": 3, "backoffSeconds": 0}


async def test_the_output_has_status_headers_data_duration_and_attempts(call: Call, server: Server) -> None:
    server.answers = [json_reply({"name": "Käse"}, x_trace="7")]
    output = await call({"url": server.url("/things?a=1"), "query": {"b": [2, 3], "flag": True, "none": None}})
    assert output["status"] == 200
    assert output["headers"]["x-trace"] == "7"
    assert output["data"] == {"name": "Käse"}
    assert output["attempts"] == 1
    assert output["durationMs"] >= 0
    assert server.received[0].target == "/things?a=1&b=2&b=3&flag=true"


@pytest.mark.parametrize("method", ["GET", "POST", "PUT", "PATCH", "DELETE", "HEAD"])
async def test_every_method_is_sent_and_only_changing_ones_carry_the_idempotency_key(
    call: Call, server: Server, method: str
) -> None:
    server.answers = [reply(200)]
    await call({"method": method.lower(), "url": server.url()})
    [received] = server.received
    assert received.method == method
    assert received.headers.get("x-idempotency-key") == (None if method in ("GET", "HEAD") else "key-1")


@pytest.mark.parametrize(
    ("fields", "content_type", "body"),
    [
        ({"json": {"a": [1, None]}}, "application/json", b'{"a":[1,null]}'),
        ({"json": None}, "application/json", b"null"),
        ({"body": "ä"}, "text/plain; charset=utf-8", "ä".encode()),
        ({"form": {"a": "1 2", "b": ["x", "y"]}}, "application/x-www-form-urlencoded", b"a=1+2&b=x&b=y"),
    ],
)
async def test_bodies(call: Call, server: Server, fields: dict[str, Any], content_type: str, body: bytes) -> None:
    await call({"method": "POST", "url": server.url(), **fields})
    assert server.received[0].headers["content-type"] == content_type
    assert server.received[0].body == body


async def test_a_multipart_body_holds_fields_and_files(call: Call, server: Server) -> None:
    parts = [
        {"name": "note", "value": "hello"},
        {"name": "file", "filename": "a.bin", "base64": "AAEC", "contentType": "application/octet-stream"},
    ]
    await call({"method": "POST", "url": server.url(), "multipart": parts})
    [received] = server.received
    assert received.headers["content-type"].startswith("multipart/form-data; boundary=")
    assert b'name="note"\r\n\r\nhello' in received.body
    assert b'filename="a.bin"\r\nContent-Type: application/octet-stream\r\n\r\n\x00\x01\x02' in received.body


async def test_a_part_that_is_no_base64_is_named(call: Call, server: Server) -> None:
    with pytest.raises(ConfigInvalid) as caught:
        await call({"method": "POST", "url": server.url(), "multipart": [{"name": "f", "base64": "?"}]})
    assert caught.value.path == "multipart[0].base64"


@pytest.mark.parametrize(
    ("status", "code"), [(404, "HTTP_4XX"), (400, "HTTP_4XX"), (500, "HTTP_5XX"), (304, "HTTP_ERROR")]
)
async def test_an_unexpected_status_is_an_error_with_an_excerpt(
    call: Call, server: Server, status: int, code: str
) -> None:
    server.answers = [reply(status, b"" if status == 304 else b"why " * 1000, content_type="text/plain")]
    with pytest.raises(HttpStatusFailed) as caught:
        await call({"url": server.url("/x?key=hidden")})
    assert caught.value.code == code
    assert caught.value.details["status"] == status
    assert len(caught.value.details["body"]) <= 500
    assert "hidden" not in caught.value.message


async def test_expected_statuses_can_be_chosen(call: Call, server: Server) -> None:
    server.answers = [json_reply({"gone": True}, 404)]
    assert (await call({"url": server.url(), "expectStatus": ["2xx", 404]}))["data"] == {"gone": True}
    server.answers = [json_reply({})]
    with pytest.raises(HttpStatusFailed):
        await call({"url": server.url(), "expectStatus": 201})


@pytest.mark.parametrize("status", [408, 425, 429, 500, 502, 503])
async def test_passing_faults_are_retried(call: Call, server: Server, log: Lines, status: int) -> None:
    server.answers = [reply(status), reply(status), json_reply("ok")]
    output = await call({"url": server.url(), "retry": AT_ONCE})
    assert (output["data"], output["attempts"]) == ("ok", 3)
    assert [level for level, _ in log.written] == ["WARN", "WARN"]


async def test_lasting_faults_are_not_retried(call: Call, server: Server) -> None:
    server.answers = [reply(400)]
    with pytest.raises(HttpStatusFailed):
        await call({"url": server.url(), "retry": AT_ONCE})
    assert len(server.received) == 1


async def test_retries_end(call: Call, server: Server) -> None:
    server.answers = [reply(503)]
    with pytest.raises(HttpStatusFailed) as caught:
        await call({"url": server.url(), "retry": AT_ONCE})
    assert caught.value.details["attempts"] == len(server.received) == 3


async def test_a_broken_connection_is_retried_with_the_same_idempotency_key(call: Call, server: Server) -> None:
    async def hang_up(_request: Received, writer: asyncio.StreamWriter) -> None:
        writer.close()

    server.answers = [hang_up, json_reply("ok")]
    output = await call({"method": "POST", "url": server.url(), "json": 1, "retry": AT_ONCE})
    assert output["attempts"] == 2
    assert {received.headers["x-idempotency-key"] for received in server.received} == {"key-1"}


async def test_nobody_listening_is_a_connection_error(call: Call, unused_tcp_port: int) -> None:
    with pytest.raises(ConnectionFailed):
        await call({"url": f"http://127.0.0.1:{unused_tcp_port}/", "retry": AT_ONCE})


async def test_retry_after_is_waited_for(call: Call, server: Server) -> None:
    server.answers = [reply(429, retry_after="1"), json_reply("ok")]
    output = await call({"url": server.url(), "retry": AT_ONCE})
    assert output["durationMs"] >= 1000


async def test_a_retry_after_beyond_the_longest_wait_is_final(call: Call, server: Server) -> None:
    server.answers = [reply(503, retry_after="3600")]
    with pytest.raises(HttpStatusFailed):
        await call({"url": server.url(), "retry": {**AT_ONCE, "maxBackoffSeconds": 5}})
    assert len(server.received) == 1


async def test_a_stalling_body_ends_at_the_time_limit(call: Call, server: Server) -> None:
    async def stall(_request: Received, writer: asyncio.StreamWriter) -> None:
        writer.write(b"HTTP/1.1 200 OK\r\ncontent-length: 10\r\n\r\nab")
        await asyncio.Event().wait()

    server.answers = [stall]
    with pytest.raises(AgentTimeout):
        await call({"url": server.url(), "timeoutSeconds": 0.2, "retry": AT_ONCE})
    assert len(server.received) == 1


async def test_the_agents_limit_bounds_attempts_and_waits_together(call: Call, server: Server) -> None:
    server.answers = [reply(503)]
    retry = {"maxAttempts": 20, "backoffSeconds": 10}
    with pytest.raises(AgentTimeout):
        await call({"url": server.url(), "retry": retry}, timeout_seconds=0.2)


async def endless(_request: Received, writer: asyncio.StreamWriter) -> None:
    writer.write(b"HTTP/1.1 200 OK\r\ncontent-type: text/plain\r\n\r\n")
    while True:
        writer.write(b"x" * 10_000)
        await writer.drain()


async def test_an_endless_body_is_stopped_at_the_limit(call: Call, server: Server) -> None:
    server.answers = [endless]
    with pytest.raises(LimitExceeded) as caught:
        await call({"url": server.url(), "maxResponseBytes": 100_000})
    assert caught.value.code == "RESPONSE_TOO_LARGE"


async def test_an_announced_length_over_the_limit_is_refused_before_the_download(call: Call, server: Server) -> None:
    async def announce(_request: Received, writer: asyncio.StreamWriter) -> None:
        writer.write(b"HTTP/1.1 200 OK\r\ncontent-length: 99999999999\r\n\r\n")
        await asyncio.Event().wait()

    server.answers = [announce]
    with pytest.raises(LimitExceeded):
        await call({"url": server.url()})


async def test_the_length_that_a_head_answer_tells_is_no_download(call: Call, server: Server) -> None:
    server.answers = [b"HTTP/1.1 200 OK\r\ncontent-length: 99999999999\r\ncontent-encoding: gzip\r\n\r\n"]
    output = await call({"method": "HEAD", "url": server.url()})
    assert (output["data"], output["headers"]["content-length"]) == (None, "99999999999")


@pytest.mark.parametrize(
    ("encoding", "body"),
    [
        ("gzip", gzip.compress(b"0" * 50_000_000, mtime=0)),
        ("deflate", zlib.compress(b"0" * 50_000_000)),
        ("gzip", gzip.compress(b"0" * 2000, mtime=0) * 1000),
    ],
)
async def test_a_compression_bomb_is_stopped_at_the_limit(
    call: Call, server: Server, encoding: str, body: bytes
) -> None:
    server.answers = [reply(200, body, content_encoding=encoding)]
    with pytest.raises(LimitExceeded) as caught:
        await call({"url": server.url(), "maxResponseBytes": 1_000_000})
    assert caught.value.code == "RESPONSE_TOO_LARGE"


@pytest.mark.parametrize(
    ("encoding", "body"),
    [
        ("gzip", gzip.compress(b'"a', mtime=0) + gzip.compress(b'b"', mtime=0)),
        ("deflate", zlib.compress(b'"ab"')),
        ("deflate", zlib.compress(b'"ab"')[2:-4]),
        ("identity", b'"ab"'),
    ],
)
async def test_compressed_answers_are_read(call: Call, server: Server, encoding: str, body: bytes) -> None:
    server.answers = [reply(200, body, content_encoding=encoding, content_type="application/json")]
    assert (await call({"url": server.url()}))["data"] == "ab"


@pytest.mark.parametrize(
    ("encoding", "body"),
    [("br", b"x"), ("gzip, gzip", b"x"), ("gzip", b"no gzip at all"), ("gzip", gzip.compress(b"x" * 99, mtime=0)[:-9])],
)
async def test_unreadable_compression_is_said(call: Call, server: Server, encoding: str, body: bytes) -> None:
    server.answers = [reply(200, body, content_encoding=encoding)]
    with pytest.raises(OutputInvalid):
        await call({"url": server.url()})


async def test_a_body_shorter_than_announced_is_a_connection_error(call: Call, server: Server) -> None:
    async def lie(_request: Received, writer: asyncio.StreamWriter) -> None:
        writer.write(b"HTTP/1.1 200 OK\r\ncontent-length: 100\r\n\r\nshort")
        writer.close()

    server.answers = [lie]
    with pytest.raises(ConnectionFailed):
        await call({"url": server.url()})


async def test_no_http_at_all_is_a_connection_error(call: Call, server: Server) -> None:
    server.answers = [b"SSH-2.0-OpenSSH\r\n\r\n"]
    with pytest.raises(ConnectionFailed):
        await call({"url": server.url()})


@pytest.mark.parametrize(
    ("content_type", "body", "wanted", "data"),
    [
        ("application/problem+json", b"[1]", "auto", [1]),
        ("text/plain; charset=iso-8859-1", b"\xe4", "auto", "ä"),
        ("text/plain; charset=idna", "ä".encode(), "auto", "ä"),
        ("text/plain", b"\xff", "auto", "�"),
        ("image/png", b"\x00\x01", "auto", "AAE="),
        ("text/plain", b"[1]", "json", [1]),
        ("application/json", b"[1]", "text", "[1]"),
        ("application/json", b"[1]", "base64", "WzFd"),
        ("application/json", b"[1]", "none", None),
        ("application/json", b"", "auto", None),
    ],
)
async def test_response_types(
    call: Call, server: Server, content_type: str, body: bytes, wanted: str, data: object
) -> None:
    server.answers = [reply(200, body, content_type=content_type)]
    assert (await call({"url": server.url(), "responseType": wanted}))["data"] == data


@pytest.mark.parametrize("body", [b"{", b"NaN", b"[" * 100_000, b"\xff", b'"\\ud800"'])
async def test_broken_json_is_an_error_of_the_answer(call: Call, server: Server, body: bytes) -> None:
    server.answers = [reply(200, body, content_type="application/json")]
    with pytest.raises(OutputInvalid):
        await call({"url": server.url()})


async def test_extract_picks_from_the_answer(call: Call, server: Server) -> None:
    server.answers = [json_reply({"rows": [{"id": 1}, {"id": 2}]})]
    assert (await call({"url": server.url(), "extract": "rows[].id"}))["data"] == [1, 2]


async def test_extract_that_does_not_fit_the_data_is_named(call: Call, server: Server) -> None:
    server.answers = [json_reply({"rows": "text"})]
    with pytest.raises(OutputInvalid) as caught:
        await call({"url": server.url(), "extract": "sum(rows)"})
    assert caught.value.path == "extract"


@pytest.mark.parametrize("value", ["a\r\nX-Evil: 1", "a\nb", "a\0b"])
async def test_header_injection_is_refused_after_templates_were_filled_in(
    call: Call, server: Server, value: str
) -> None:
    with pytest.raises(ConfigInvalid) as caught:
        await call({"url": server.url(), "headers": {"X-Name": value}})
    assert caught.value.path == "headers.X-Name"
    assert server.received == []


async def test_headers_may_hold_any_letters(call: Call, server: Server) -> None:
    await call({"url": server.url(), "headers": {"X-Name": "Žofie"}})
    assert server.received[0].headers["x-name"] == "Žofie"


async def test_cookies_of_one_run_do_not_reach_the_next(call: Call, server: Server) -> None:
    server.answers = [json_reply({}, set_cookie="session=s3cret; Path=/")]
    await call({"url": server.url()})
    await call({"url": server.url()})
    assert "cookie" not in server.received[1].headers


async def test_the_environment_has_no_say_in_proxies(
    call: Call, server: Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HTTP_PROXY", "http://127.0.0.1:1")
    assert (await call({"url": server.url()}))["status"] == 200


async def test_connections_are_kept_for_the_next_run(call: Call, server: Server) -> None:
    ports: list[int] = []

    async def note_port(_request: Received, writer: asyncio.StreamWriter) -> None:
        ports.append(writer.get_extra_info("peername")[1])
        writer.write(json_reply({}))

    server.answers = [note_port]
    for _ in range(3):
        await call({"url": server.url()})
    assert len(set(ports)) == 1


async def test_cancelling_closes_the_connection(call: Call, server: Server) -> None:
    asked, closed = asyncio.Event(), asyncio.Event()

    async def wait_for_the_end(_request: Received, writer: asyncio.StreamWriter) -> None:
        asked.set()
        try:
            while True:
                writer.write(b"HTTP/1.1 102 Processing\r\n\r\n")
                await writer.drain()
                await asyncio.sleep(0.01)
        finally:
            closed.set()

    server.answers = [wait_for_the_end]
    task = asyncio.ensure_future(call({"url": server.url()}))
    await asyncio.wait_for(asked.wait(), 5)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    await asyncio.wait_for(closed.wait(), 5)
    assert task.cancelled()


async def test_errors_are_always_typed(call: Call, server: Server) -> None:
    with pytest.raises(AgentError) as caught:
        await call({"url": "http://[::1"})
    assert caught.value.code == "EGRESS_REFUSED"
