"""What a user reads when a call fails: what happened and what to change, in none of a library's own words."""

import asyncio
from typing import Any

import pytest

from agents.errors import AgentError, AgentTimeout, ConnectionFailed, EgressRefused, HttpStatusFailed, LimitExceeded
from tests.agents.api.conftest import Call, Lines
from tests.agents.certificates import certificate
from tests.agents.http_server import Received, Server, http_server, json_reply, reply

LIBRARY_WORDS = ("bytearray", "_ssl.c", "[SSL", "Exception", "Error(", "Traceback", "0x", "Errno", "object at")


async def failure(call: Call, config: dict[str, Any], **more: Any) -> AgentError:
    with pytest.raises(AgentError) as caught:
        await call(config, **more)
    assert not any(word in caught.value.message for word in LIBRARY_WORDS), caught.value.message
    return caught.value


async def test_nobody_listening(call: Call, unused_tcp_port: int) -> None:
    error = await failure(call, {"url": f"http://127.0.0.1:{unused_tcp_port}/"})
    assert isinstance(error, ConnectionFailed)
    assert error.message.endswith("the connection was refused; check host and port, and that the service runs")
    assert error.path == "url"


async def test_a_name_that_is_none(call: Call) -> None:
    error = await failure(call, {"url": "http://nowhere.invalid/"})
    assert error.message.endswith("check the host")


@pytest.mark.parametrize(
    ("answer", "meaning"),
    [
        (b"SSH-2.0-OpenSSH\r\n\r\n", "does not speak HTTP; check scheme and port"),
        (b"HTTP/1.1 200 OK\r\nx: " + b"a" * 200_000, "the headers of the answer are too long"),
        (b"", "closed the connection without an answer"),
        (b"HTTP/1.1 200 OK\r\ncontent-length: 9\r\n\r\nab", "received 2 bytes, expected 9"),
        (b"HTTP/1.1 200 OK\r\ncontent-length: 1\r\ncontent-length: 2\r\n\r\n", "the answer breaks the protocol"),
    ],
)
async def test_an_answer_that_is_none(call: Call, server: Server, answer: bytes, meaning: str) -> None:
    async def breaking(_request: Received, writer: asyncio.StreamWriter) -> None:
        writer.write(answer)
        writer.close()

    server.answers = [breaking]
    error = await failure(call, {"url": server.url()})
    assert isinstance(error, ConnectionFailed)
    assert meaning in error.message


async def test_https_where_http_is_spoken(call: Call) -> None:
    async def plain(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.read(1)
        writer.write(reply(400))
        writer.close()

    listener = await asyncio.start_server(plain, "127.0.0.1", 0)
    port = listener.sockets[0].getsockname()[1]
    try:
        error = await failure(call, {"url": f"https://127.0.0.1:{port}/"})
    finally:
        listener.close()
    assert error.message.endswith("check that it is https that is spoken there")


async def test_a_certificate_that_nobody_vouches_for(call: Call, tmp_path: Any) -> None:
    server_tls, _ = await asyncio.to_thread(certificate, tmp_path, "localhost")
    async with http_server(server_tls) as secure:
        error = await failure(call, {"url": secure.url()})
    assert "its certificate is not accepted: " in error.message


async def test_a_refused_redirect_says_who_sent_it(call: Call, server: Server) -> None:
    for location in ("http://10.0.0.1/", "file:///etc/passwd", "http://[", "//[::1]/"):
        server.answers = [reply(302, location=location)]
        error = await failure(call, {"url": server.url("/from")})
        assert isinstance(error, EgressRefused)
        assert error.message.startswith(f"GET {server.url('/from')} redirects: ")


async def test_what_is_wrong_with_a_token_endpoint_names_it(call: Call, server: Server) -> None:
    for url in ("http://10.0.0.1/token", "http://127.0.0.1:9/token"):
        auth = {"type": "oauth2", "tokenUrl": url, "clientId": "i", "clientSecret": "planted"}
        error = await failure(call, {"url": server.url(), "auth": auth})
        assert error.path == "auth.tokenUrl"
    assert server.received == []


async def test_limits_name_the_field_that_raises_them(call: Call, server: Server) -> None:
    server.answers = [json_reply("x" * 100)]
    error = await failure(call, {"url": server.url(), "maxResponseBytes": 10})
    assert (type(error), error.path) == (LimitExceeded, "maxResponseBytes")

    async def silent(_request: Received, _writer: asyncio.StreamWriter) -> None:
        await asyncio.Event().wait()

    server.answers = [silent]
    error = await failure(call, {"url": server.url(), "timeoutSeconds": 0.1})
    assert (type(error), error.path) == (AgentTimeout, "timeoutSeconds")


async def test_a_wait_that_is_too_long_is_told(call: Call, server: Server, log: Lines) -> None:
    server.answers = [reply(503, retry_after="99999")]
    error = await failure(call, {"url": server.url(), "retry": {"maxAttempts": 3}})
    assert isinstance(error, HttpStatusFailed)
    assert "asks to wait 99999 s" in log.written[-1][1]
    assert "`retry.maxBackoffSeconds` is 60" in log.written[-1][1]


@pytest.mark.parametrize(
    "config",
    [
        {"query": {"api_key": "planted-s3cret"}},
        {"query": {"access_token": ["planted-s3cret", "other"]}},
        {"url": "/?key=planted-s3cret"},
    ],
)
async def test_keys_in_the_query_are_masked(call: Call, server: Server, config: dict[str, Any]) -> None:
    async def echo(request: Received, writer: asyncio.StreamWriter) -> None:
        writer.write(reply(500, f"you asked for {request.target}".encode()))

    server.answers = [echo]
    error = await failure(call, {**config, "url": server.url(config.get("url", "/"))})
    assert "you asked for" in error.details["body"]
    assert "planted-s3cret" not in f"{error.message} {error.details}"
