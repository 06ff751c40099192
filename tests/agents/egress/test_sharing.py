"""What one tenant, or one server, can take up of what all need: connections, and look-ups of names."""

import asyncio
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import contextmanager
from typing import Any

import httpx2
import pytest

from agents.egress import connections, transport
from agents.egress.guard import Guard
from agents.egress.look_ups import AT_ONCE
from agents.egress.places import Places
from agents.egress.policy import EgressPolicy
from agents.egress.transport import GuardedTransport
from agents.egress.transports import Transports
from tests.agents.conftest import LOCAL
from tests.agents.http_server import Received, Server, http_server, json_reply

SLOW, OTHER = (EgressPolicy(allow=LOCAL.allow, tenant=name) for name in ("slow", "other"))
PER_TENANT, PER_HOST = 4, 3


@pytest.fixture(autouse=True)
def small_bounds(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(connections, "MAX_CONNECTIONS", PER_TENANT)
    monkeypatch.setattr(transport, "MAX_PER_HOST", PER_HOST)


@pytest.fixture
async def transports() -> AsyncIterator[Transports]:
    made = Transports()
    yield made
    await made.aclose()


class Stalling:
    """Answers nobody until it is let go."""

    def __init__(self) -> None:
        self.let_go = asyncio.Event()

    async def __call__(self, _request: Received, writer: Any) -> None:
        await self.let_go.wait()
        writer.write(json_reply("late"))


@pytest.fixture
def stalling(server: Server) -> Stalling:
    handler = Stalling()
    server.answers = [handler]
    return handler


async def get(sender: GuardedTransport, url: str, pool_seconds: float | None = None) -> bytes:
    request = httpx2.Request("GET", url, extensions={"timeout": {"pool": pool_seconds}})
    response = await sender.handle_async_request(request)
    try:
        return await response.aread()
    finally:
        await response.aclose()


@contextmanager
def many(sender: GuardedTransport, *urls: str) -> Iterator[list[asyncio.Task[bytes]]]:
    """More requests to each than anybody may have under way."""
    tasks = [asyncio.ensure_future(get(sender, url)) for url in urls for _ in range(10)]
    yield tasks
    for task in tasks:
        task.cancel()


async def until(fulfilled: Callable[[], bool]) -> None:
    async with asyncio.timeout(60):
        while not fulfilled():  # noqa: ASYNC110 - servers and pools tell nobody
            await asyncio.sleep(0.005)


async def test_a_slow_server_leaves_its_tenant_connections_for_other_hosts(
    transports: Transports, server: Server, stalling: Stalling, other_server: Server
) -> None:
    sender = transports.get(SLOW)
    with many(sender, server.url()) as waiting:
        await until(lambda: len(server.received) == PER_HOST)
        assert await get(sender, other_server.url()) == b"{}"
        assert len(server.received) == PER_HOST
        stalling.let_go.set()
        assert await asyncio.gather(*waiting) == [b'"late"'] * 10


async def test_a_tenant_whose_connections_are_all_taken_up_keeps_no_other_waiting(
    transports: Transports, server: Server, stalling: Stalling, other_server: Server
) -> None:
    async with http_server() as third:
        third.answers = [stalling]
        with many(transports.get(SLOW), server.url(), third.url()):
            await until(lambda: len(server.received) + len(third.received) == PER_TENANT)
            with pytest.raises(httpx2.PoolTimeout):
                await get(transports.get(SLOW), other_server.url(), pool_seconds=0.05)
            assert await get(transports.get(OTHER), other_server.url()) == b"{}"


async def test_a_server_that_one_tenant_has_used_up_answers_the_other(
    transports: Transports, server: Server, stalling: Stalling
) -> None:
    with many(transports.get(SLOW), server.url()):
        await until(lambda: len(server.received) == PER_HOST)
        server.answers = [json_reply("for the other")]
        assert await get(transports.get(OTHER), server.url()) == b'"for the other"'


async def test_who_waits_too_long_for_a_place_is_told(
    transports: Transports, server: Server, stalling: Stalling
) -> None:
    with many(transports.get(SLOW), server.url()):
        await until(lambda: len(server.received) == PER_HOST)
        with pytest.raises(httpx2.PoolTimeout, match=f"{PER_HOST} requests to 127.0.0.1"):
            await get(transports.get(SLOW), server.url(), pool_seconds=0.05)


async def test_places_are_free_again_after_failures_and_cancels(server: Server) -> None:
    async def hang_up(_request: Received, writer: Any) -> None:
        writer.close()

    server.answers = [hang_up]
    async with GuardedTransport(SLOW) as sender:
        for _ in range(2 * PER_TENANT):
            with pytest.raises(httpx2.TransportError):
                await get(sender, server.url())
        server.answers = [Stalling()]
        for _ in range(2):
            before = len(server.received)
            with many(sender, server.url()) as waiting:
                await until(lambda before=before: len(server.received) - before == PER_HOST)
            await asyncio.gather(*waiting, return_exceptions=True)
        server.answers = [json_reply("there")]
        assert await get(sender, server.url()) == b'"there"'


async def test_places_that_nobody_uses_are_forgotten() -> None:
    places = Places(1)
    await places.take("a")
    waiting = asyncio.ensure_future(places.take("a"))
    await asyncio.sleep(0)
    waiting.cancel()
    await asyncio.gather(waiting, return_exceptions=True)
    await places.take("b")
    places.give_back("a")
    places.give_back("b")
    assert places._held == {}


async def test_connections_that_nobody_uses_any_more_are_closed(
    transports: Transports, server: Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Also of a tenant who does not come back."""
    monkeypatch.setattr(connections, "IDLE_SECONDS", 0.02)
    monkeypatch.setattr("agents.egress.transports.IDLE_SECONDS", 0.03)
    sender = transports.get(SLOW)
    await get(sender, server.url())
    assert sender.has_connections
    await until(lambda: not sender.has_connections)


async def test_of_very_many_tenants_only_those_with_connections_are_kept(
    transports: Transports, server: Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("agents.egress.transports.MAX_KEPT", 2)
    used = transports.get(SLOW)
    await get(used, server.url())
    unused = transports.get(OTHER)
    transports.get(EgressPolicy(tenant="third"))
    assert transports.get(SLOW) is used
    assert transports.get(OTHER) is not unused


async def test_a_name_server_that_never_answers_holds_up_its_own_tenant_alone() -> None:
    asked: list[str] = []

    async def resolver(host: str, port: int) -> list[str]:
        asked.append(host)
        if host == "slow.example":
            await asyncio.Event().wait()
        return ["8.8.8.8"]

    guard = Guard(SLOW, resolver)
    tasks = [asyncio.ensure_future(guard.addresses("slow.example", 80)) for _ in range(2 * AT_ONCE)]
    await until(lambda: len(asked) == AT_ONCE)
    assert await Guard(OTHER, resolver).addresses("quick.example", 80) == ["8.8.8.8"]
    for task in tasks:
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)
    late = asyncio.ensure_future(guard.addresses("quick.example", 80))
    await asyncio.sleep(0.01)
    assert not late.done(), "the threads of those that were given up are still taken"
    late.cancel()
