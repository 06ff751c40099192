import hashlib
import hmac
import logging
from typing import Any

import pytest

from agents.api.config import OAuth2Auth
from agents.api.exchange import Exchange
from agents.api.tokens import TokenStore
from agents.egress.transport import GuardedTransport
from agents.errors import HttpStatusFailed
from tests.agents.api.conftest import Call, Lines
from tests.agents.conftest import LOCAL
from tests.agents.http_server import Server, json_reply, reply

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


def oauth(server: Server, **fields: Any) -> dict[str, Any]:
    url = server.url("/token")
    return {"type": "oauth2", "tokenUrl": url, "clientId": "id", "clientSecret": SECRET, "scope": "read", **fields}


async def test_an_oauth2_token_is_fetched_once_and_kept(call: Call, server: Server, other_server: Server) -> None:
    other_server.answers = [json_reply({"access_token": "tok-1", "expires_in": 3600})]
    for _ in range(3):
        await call({"url": server.url(), "auth": oauth(other_server)})
    [token_request] = other_server.received
    assert token_request.body == b"grant_type=client_credentials&scope=read"
    assert token_request.headers["authorization"].startswith("Basic ")
    assert [received.headers["authorization"] for received in server.received] == ["Bearer tok-1"] * 3


async def test_other_client_credentials_get_a_token_of_their_own(
    call: Call, server: Server, other_server: Server
) -> None:
    other_server.answers = [json_reply({"access_token": "tok-1", "expires_in": 3600}), reply(401)]
    await call({"url": server.url(), "auth": oauth(other_server)})
    with pytest.raises(HttpStatusFailed):
        await call({"url": server.url(), "auth": oauth(other_server, clientSecret="guessed")})
    assert len(server.received) == 1


async def test_the_credentials_can_go_into_the_body(call: Call, server: Server, other_server: Server) -> None:
    other_server.answers = [json_reply({"access_token": "tok-1"})]
    await call({"url": server.url(), "auth": oauth(other_server, credentialsIn="body", clientSecret="a&b")})
    assert b"client_id=id&client_secret=a%26b" in other_server.received[0].body
    assert "authorization" not in other_server.received[0].headers


async def test_a_withdrawn_token_is_replaced_once(call: Call, server: Server, other_server: Server) -> None:
    other_server.answers = [json_reply({"access_token": f"tok-{n}", "expires_in": 3600}) for n in (1, 2)]
    server.answers = [reply(401), json_reply("in")]
    assert (await call({"url": server.url(), "auth": oauth(other_server)}))["data"] == "in"
    assert [received.headers["authorization"] for received in server.received] == ["Bearer tok-1", "Bearer tok-2"]


async def test_a_token_is_fetched_again_when_it_expires(other_server: Server) -> None:
    now = 1000.0
    store = TokenStore(clock=lambda: now)
    other_server.answers = [json_reply({"access_token": f"tok-{n}", "expires_in": 100}) for n in (1, 2)]
    auth = OAuth2Auth.model_validate(oauth(other_server))
    async with GuardedTransport(LOCAL) as transport:
        exchange = Exchange(
            transport=transport,
            authorise=lambda outgoing: outgoing,
            expects=lambda _status: True,
            carries_credentials=True,
            timeout=5,
        )
        first = [await store.get(auth, exchange), await store.get(auth, exchange)]
        now += 71
        assert [*first, await store.get(auth, exchange)] == ["tok-1", "tok-1", "tok-2"]


@pytest.mark.parametrize(
    "answer",
    [
        json_reply({"error": "invalid_client"}, 401),
        json_reply({"access_token": "bad\r\nX-Evil: 1"}),
        json_reply({"access_token": 5}),
        json_reply([1]),
        reply(200, b"<html>"),
        reply(302, location="http://127.0.0.1:9/"),
    ],
)
async def test_a_token_endpoint_that_gives_no_token_is_said(
    call: Call, server: Server, other_server: Server, answer: bytes
) -> None:
    other_server.answers = [answer]
    with pytest.raises(HttpStatusFailed) as caught:
        await call({"url": server.url(), "auth": oauth(other_server)})
    assert caught.value.path == "auth.tokenUrl"
    assert server.received == []


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
