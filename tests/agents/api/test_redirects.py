"""Case 16 of the security specification: every hop is checked, credentials stay with the first host."""

import asyncio
from contextlib import nullcontext
from pathlib import Path
from typing import Any

import pytest

from agents.api.executor import ApiExecutor
from agents.egress.policy import EgressPolicy
from agents.errors import ConnectionFailed, EgressRefused
from tests.agents.api.conftest import Call
from tests.agents.certificates import certificate
from tests.agents.http_server import Server, http_server, json_reply

pytestmark = pytest.mark.case(16)

NOTHING = EgressPolicy()


async def test_a_failing_look_up_is_a_connection_error(call: Call) -> None:
    async def fail(host: str, port: int) -> list[str]:
        raise OSError(-2, "Name or service not known")

    failing = ApiExecutor(resolver=fail)
    with pytest.raises(ConnectionFailed):
        await call({"url": "http://nowhere.example/"}, using=failing)
    await failing.aclose()


async def test_one_policys_connections_are_not_used_under_another(call: Call, server: Server) -> None:
    assert (await call({"url": server.url()}))["status"] == 200
    with pytest.raises(EgressRefused):
        await call({"url": server.url()}, egress=NOTHING)


def redirect_to(target: str, status: int = 302) -> bytes:
    return json_reply({}, status, location=target)


@pytest.mark.parametrize(
    "target",
    ["http://169.254.169.254/latest/meta-data", "http://[::1]/", "http://127.0.0.2/", "file:///etc/passwd", "//0/"],
)
async def test_each_redirect_is_checked(call: Call, server: Server, target: str) -> None:
    server.answers = [redirect_to(target)]
    with pytest.raises(EgressRefused):
        await call({"url": server.url()})
    assert len(server.received) == 1


@pytest.mark.parametrize("target", ["http://[", "http://a b\x7f/", "http://u:p@127.0.0.1/", "http://\u0000/"])
async def test_a_redirect_that_cannot_be_understood_is_refused(call: Call, server: Server, target: str) -> None:
    server.answers = [redirect_to(target)]
    with pytest.raises((EgressRefused, ConnectionFailed)):
        await call({"url": server.url()})
    assert len(server.received) == 1


async def test_five_redirects_are_followed_and_no_more(call: Call, server: Server) -> None:
    server.answers = [*[redirect_to("/next")] * 5, json_reply("there")]
    assert (await call({"url": server.url()}))["data"] == "there"
    server.answers = [redirect_to("/next")]
    server.received.clear()
    with pytest.raises(EgressRefused):
        await call({"url": server.url()})
    assert len(server.received) == 6


@pytest.mark.parametrize(
    ("method", "status", "second"),
    [("POST", 302, "GET"), ("POST", 303, "GET"), ("PUT", 303, "GET"), ("POST", 307, "POST"), ("PUT", 302, "PUT")],
)
async def test_redirects_change_the_method_as_in_browsers(
    call: Call, server: Server, method: str, status: int, second: str
) -> None:
    server.answers = [redirect_to("/next", status), json_reply({})]
    await call({"method": method, "url": server.url(), "json": {"a": 1}})
    assert server.received[1].method == second
    assert server.received[1].body == (b"" if second == "GET" else b'{"a":1}')


AUTHS: list[dict[str, Any]] = [
    {"type": "bearer", "token": "planted-secret"},
    {"type": "basic", "username": "u", "password": "planted-secret"},
    {"type": "apiKey", "name": "X-Custom", "value": "planted-secret"},
    {"type": "apiKey", "name": "key", "value": "planted-secret", "in": "query"},
    {"type": "hmac", "secret": "planted-secret", "keyId": "k1"},
]
OWN_HEADERS = {"Cookie": "a=planted-secret", "X-Auth-Token": "planted-secret", "Proxy-Authorization": "planted-secret"}


@pytest.mark.parametrize("auth", AUTHS)
async def test_credentials_do_not_follow_to_another_host(
    call: Call, server: Server, other_server: Server, auth: dict[str, Any]
) -> None:
    server.answers = [redirect_to(other_server.url("/taken"), 307)]
    await call({"method": "POST", "url": server.url(), "auth": auth, "headers": OWN_HEADERS})
    [first], [second] = server.received, other_server.received
    credentials = {"authorization", "cookie", "x-auth-token", "proxy-authorization", "x-custom", "x-signature"}
    assert credentials & set(first.headers)
    assert not credentials & set(second.headers)
    assert "planted-secret" not in second.target


async def test_credentials_stay_away_when_the_other_host_sends_back(
    call: Call, server: Server, other_server: Server
) -> None:
    server.answers = [redirect_to(other_server.url()), json_reply({})]
    other_server.answers = [redirect_to(server.url("/back"))]
    await call({"url": server.url(), "auth": AUTHS[0]})
    assert "authorization" not in server.received[1].headers


@pytest.mark.parametrize("auth", AUTHS)
async def test_credentials_stay_within_the_host(call: Call, server: Server, auth: dict[str, Any]) -> None:
    server.answers = [redirect_to("/next"), json_reply({})]
    await call({"url": server.url(), "auth": auth})
    first, second = server.received
    assert first.headers.get("authorization") == second.headers.get("authorization")
    assert first.query.get("key") == second.query.get("key")
    if auth["type"] == "hmac":
        assert first.headers["x-signature"] != second.headers["x-signature"]


@pytest.mark.parametrize(("auth", "refused"), [(AUTHS[0], True), (None, False)])
async def test_credentials_are_not_taken_from_https_to_http(
    call: Call, server: Server, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, auth: Any, refused: bool
) -> None:
    server_tls, client_tls = await asyncio.to_thread(certificate, tmp_path, "localhost")
    monkeypatch.setattr("agents.egress.transport._tls_context", lambda: client_tls)
    async with http_server(server_tls) as secure:
        secure.answers = [redirect_to(server.url())]
        executor = ApiExecutor()
        with pytest.raises(EgressRefused, match="from https to http") if refused else nullcontext():
            await call({"url": secure.url(host="localhost"), "auth": auth}, using=executor)
        await executor.aclose()
    assert bool(server.received) is not refused
