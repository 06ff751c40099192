"""OAuth2 tokens: fetched once for all who need them, kept until they expire, never another's."""

import asyncio
from dataclasses import dataclass, field
from typing import Any

import pytest

from agents.api.config import OAuth2Auth
from agents.api.exchange import Exchange
from agents.api.tokens import TokenStore
from agents.egress.policy import EgressPolicy
from agents.egress.transport import GuardedTransport
from agents.errors import AgentTimeout, HttpStatusFailed
from tests.agents.api.conftest import Call
from tests.agents.conftest import LOCAL
from tests.agents.http_server import Received, Server, json_reply, reply

SECRET = "planted-s3cret/+ä"
TENANTS = [EgressPolicy(allow=LOCAL.allow, tenant=name) for name in ("one", "other")]


def oauth(server: Server, **fields: Any) -> dict[str, Any]:
    url = server.url("/token")
    return {"type": "oauth2", "tokenUrl": url, "clientId": "id", "clientSecret": SECRET, "scope": "read", **fields}


def token(number: int, **fields: Any) -> bytes:
    return json_reply({"access_token": f"tok-{number}", "expires_in": 3600, **fields})


@dataclass
class Gate:
    """A token endpoint that answers when a test says so, with one answer after another."""

    answers: list[bytes]
    asked: asyncio.Event = field(default_factory=asyncio.Event)
    opened: asyncio.Event = field(default_factory=asyncio.Event)

    async def __call__(self, _request: Received, writer: Any) -> None:
        self.asked.set()
        await self.opened.wait()
        writer.write(self.answers.pop(0) if len(self.answers) > 1 else self.answers[0])


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


async def test_a_token_is_fetched_again_when_it_expires(other_server: Server) -> None:
    now = 1000.0
    store = TokenStore(clock=lambda: now)
    other_server.answers = [token(n, expires_in=100) for n in (1, 2)]
    auth = OAuth2Auth.model_validate(oauth(other_server))
    async with GuardedTransport(LOCAL) as transport:
        exchange = asking(transport)
        first = [await store.get(LOCAL, auth, exchange), await store.get(LOCAL, auth, exchange)]
        now += 71
        assert [*first, await store.get(LOCAL, auth, exchange)] == ["tok-1", "tok-1", "tok-2"]


def asking(transport: GuardedTransport, timeout: float = 60) -> Exchange:
    return Exchange(
        transport=transport,
        authorise=lambda outgoing: outgoing,
        expects=lambda _status: True,
        carries_credentials=True,
        timeout=timeout,
    )


async def test_fifty_runs_at_once_share_one_fetch(call: Call, server: Server, other_server: Server) -> None:
    gate = Gate([token(1)])
    other_server.answers = [gate]
    runs = [asyncio.ensure_future(call({"url": server.url(), "auth": oauth(other_server)})) for _ in range(50)]
    await gate.asked.wait()
    gate.opened.set()
    assert [output["status"] for output in await asyncio.gather(*runs)] == [200] * 50
    assert len(other_server.received) == 1
    assert {received.headers["authorization"] for received in server.received} == {"Bearer tok-1"}


async def test_fifty_runs_whose_token_was_withdrawn_share_one_new_one(
    call: Call, server: Server, other_server: Server
) -> None:
    """The first of them to be refused must not throw away what the next has just fetched."""

    async def takes_the_second(request: Received, writer: Any) -> None:
        writer.write(json_reply("in") if request.headers["authorization"] == "Bearer tok-2" else reply(401))

    other_server.answers = [token(1), token(2), token(3)]
    server.answers = [json_reply({}), takes_the_second]
    await call({"url": server.url(), "auth": oauth(other_server)})
    runs = [call({"url": server.url(), "auth": oauth(other_server)}) for _ in range(50)]
    assert [output["data"] for output in await asyncio.gather(*runs)] == ["in"] * 50
    assert len(other_server.received) == 2


async def test_a_fetch_that_fails_fails_for_all_who_wait_and_is_forgotten(
    call: Call, server: Server, other_server: Server
) -> None:
    gate = Gate([json_reply({"error": "slow_down"}, 400), token(1)])
    other_server.answers = [gate]
    runs = [asyncio.ensure_future(call({"url": server.url(), "auth": oauth(other_server)})) for _ in range(10)]
    await gate.asked.wait()
    gate.opened.set()
    outcomes = await asyncio.gather(*runs, return_exceptions=True)
    assert [type(outcome) for outcome in outcomes] == [HttpStatusFailed] * 10
    assert len(other_server.received) == 1
    assert (await call({"url": server.url(), "auth": oauth(other_server)}))["status"] == 200


async def test_a_fetch_outlives_the_run_that_began_it(call: Call, server: Server, other_server: Server) -> None:
    gate = Gate([token(1)])
    other_server.answers = [gate]
    first, second = (asyncio.ensure_future(call({"url": server.url(), "auth": oauth(other_server)})) for _ in "ab")
    await gate.asked.wait()
    first.cancel()
    with pytest.raises(asyncio.CancelledError):
        await first
    gate.opened.set()
    assert (await second)["status"] == 200
    assert len(other_server.received) == 1


async def test_a_run_with_less_time_gives_up_alone(call: Call, server: Server, other_server: Server) -> None:
    gate = Gate([token(1)])
    other_server.answers = [gate]
    hasty = {"url": server.url(), "auth": oauth(other_server), "timeoutSeconds": 0.1}
    patient = asyncio.ensure_future(call({**hasty, "timeoutSeconds": 60}, timeout_seconds=60))
    await gate.asked.wait()
    with pytest.raises(AgentTimeout) as caught:
        await call(hasty)
    assert caught.value.details["stage"] == "fetching a token"
    gate.opened.set()
    assert (await patient)["status"] == 200
    assert len(other_server.received) == 1


async def test_a_fetch_that_nobody_waits_for_is_given_up(call: Call, server: Server, other_server: Server) -> None:
    gone = asyncio.Event()

    async def never(_request: Received, writer: Any) -> None:
        try:
            while True:  # until the other side has closed
                writer.write(b"HTTP/1.1 102 Processing\r\n\r\n")
                await writer.drain()
                await asyncio.sleep(0.01)
        finally:
            gone.set()

    other_server.answers = [never, token(1)]
    with pytest.raises(AgentTimeout):
        await call({"url": server.url(), "auth": oauth(other_server), "timeoutSeconds": 0.1})
    async with asyncio.timeout(60):
        await gone.wait()
    assert (await call({"url": server.url(), "auth": oauth(other_server)}))["status"] == 200


OTHERWISE: list[dict[str, Any]] = [
    {"clientSecret": "other"},
    {"clientId": "other"},
    {"scope": "write"},
    {"audience": "other"},
    {"credentialsIn": "body"},
]


@pytest.mark.parametrize("changed", OTHERWISE, ids=lambda changed: next(iter(changed)))
async def test_other_credentials_at_the_same_time_have_a_fetch_of_their_own(
    call: Call, server: Server, other_server: Server, changed: dict[str, Any]
) -> None:
    gate = Gate([token(1), token(2)])
    other_server.answers = [gate]
    auths = (oauth(other_server), oauth(other_server, **changed))
    runs = [asyncio.ensure_future(call({"url": server.url(), "auth": auth})) for auth in auths]
    await gate.asked.wait()
    gate.opened.set()
    await asyncio.gather(*runs)
    assert {received.headers["authorization"] for received in server.received} == {"Bearer tok-1", "Bearer tok-2"}


async def test_no_tenant_uses_the_token_of_another(call: Call, server: Server, other_server: Server) -> None:
    """Even with the same credentials: who may use them is known to the service, not to us."""
    other_server.answers = [token(1), token(2)]
    for policy in (*TENANTS, *TENANTS):
        await call({"url": server.url(), "auth": oauth(other_server)}, egress=policy)
    sent = [received.headers["authorization"] for received in server.received]
    assert sent == ["Bearer tok-1", "Bearer tok-2"] * 2
