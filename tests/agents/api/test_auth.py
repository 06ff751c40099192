import hashlib
import hmac
import logging
from typing import Any

import pytest

from agents.errors import HttpStatusFailed
from tests.agents.api.conftest import Call, Lines
from tests.agents.http_server import Server, reply

SECRET = "planted-s3cret/+ä"


async def test_bearer(call: Call, server: Server) -> None:
    await call({"url": server.url(), "auth": {"type": "bearer", "token": "t1"}})
    assert server.received[0].headers["authorization"] == "Bearer t1"


async def test_basic(call: Call, server: Server) -> None:
    await call({"url": server.url(), "auth": {"type": "basic", "username": "Aladdin", "password": "open sesame"}})
    assert server.received[0].headers["authorization"] == "Basic QWxhZGRpbjpvcGVuIHNlc2FtZQ=="


async def test_api_keys_go_into_a_header_or_the_query(call: Call, server: Server) -> None:
    key = {"type": "apiKey", "name": "X-Key", "value": "k 1"}
    await call({"url": server.url("/?a=1"), "auth": key})
    await call({"url": server.url("/?a=1"), "auth": {**key, "in": "query"}})
    in_header, in_query = server.received
    assert (in_header.headers["x-key"], in_header.query) == ("k 1", {"a": "1"})
    assert in_query.query == {"a": "1", "X-Key": "k 1"}


async def test_hmac_signs_method_path_time_and_body(call: Call, server: Server) -> None:
    auth = {"type": "hmac", "secret": "s", "keyId": "k7", "signatureHeader": "X-Sig"}
    await call({"method": "POST", "url": server.url("/a?b=c%20d"), "json": {"x": 1}, "auth": auth})
    [received] = server.received
    body_hash = hashlib.sha256(b'{"x":1}').hexdigest()
    signed = f"POST\n{received.target}\n{received.headers['x-timestamp']}\n{body_hash}"
    assert received.headers["x-sig"] == hmac.new(b"s", signed.encode(), "sha256").hexdigest()
    assert received.headers["x-key-id"] == "k7"


ECHOED = [
    {"type": "bearer", "token": "planted-s3cret"},
    {"type": "basic", "username": "u", "password": SECRET},
    {"type": "apiKey", "name": "key", "value": SECRET.replace("ä", ""), "in": "query"},
    {"type": "apiKey", "name": "X-Key", "value": SECRET},
]


@pytest.mark.parametrize("auth", ECHOED)
async def test_secrets_are_masked_in_errors_and_logs(
    call: Call, server: Server, log: Lines, caplog: pytest.LogCaptureFixture, auth: dict[str, Any]
) -> None:
    async def echo(request: Any, writer: Any) -> None:
        writer.write(reply(500, f"you sent {request.target} {request.headers} planted-s3cret".encode()))

    caplog.set_level(logging.DEBUG)
    server.answers = [echo]
    with pytest.raises(HttpStatusFailed) as caught:
        await call({"url": server.url(), "auth": auth, "retry": {"maxAttempts": 2, "backoffSeconds": 0}})
    sent = server.received[0]
    visible = f"{caught.value.message} {caught.value.details['body']} {log.written} {caplog.text}"
    assert "you sent" in visible
    for secret in (auth.get("token"), auth.get("password"), auth.get("value"), sent.headers.get("authorization")):
        assert secret is None or secret not in visible
    assert sent.query.get("key", "-") not in caught.value.details["body"] or "key" not in sent.query


async def test_a_bad_config_does_not_quote_its_secrets(call: Call, server: Server) -> None:
    with pytest.raises(Exception, match=r"auth\.token") as caught:
        await call({"url": server.url(), "auth": {"type": "bearer", "token": "planted\nsecret"}})
    assert "planted" not in f"{caught.value!r} {vars(caught.value)}"
