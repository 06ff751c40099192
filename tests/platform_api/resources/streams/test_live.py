"""Streams on a real socket: what is committed arrives, whoever falls behind or away loses nothing."""

import asyncio
import logging
import socket
import time
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack
from typing import Any

import httpx
import pytest
from sqlalchemy import text, update
from sqlmodel import col

from platform_api.access.principal import TenantRole
from platform_api.access.scope import system_scope, tenant_scope
from platform_api.db.engine import Sessions
from platform_api.db.models import Membership, UserSession, Workflow
from platform_api.kit import clock
from platform_api.main import create_app
from platform_api.resources.executions.live import announce_tokens
from platform_api.resources.streams import feed
from platform_api.settings import Settings, StreamSettings
from tests.factories.api import Api, colleague, owner
from tests.factories.events import Event, Running, arriving, waiting_run
from tests.fakes.orchestrator import FakeOrchestrator
from tests.fixtures.http import error_of
from tests.fixtures.served import Served, served

LISTENING = "select pid from pg_stat_activity where datname = current_database() and query like 'listen turbocat_%'"

HELD = "select count(*) from pg_stat_activity where datname = current_database() and application_name = 'turbocat-api'"


@pytest.fixture
def settings(settings: Settings) -> Settings:
    """A pool of five, without overflow, and a heartbeat that a test can wait for."""
    database = settings.database.model_copy(update={"pool_size": 5, "pool_overflow": 0})
    streams = settings.streams.model_copy(update={"heartbeat_seconds": 0.3})
    return settings.model_copy(update={"database": database, "streams": streams})


@pytest.fixture
async def server(settings: Settings) -> AsyncIterator[Served]:
    async with served(create_app(settings, FakeOrchestrator())) as running:
        yield running


@pytest.fixture
async def api(server: Served) -> Api:
    return await owner(server.client)


@pytest.fixture
async def run(api: Api, sessions: Sessions) -> Running:
    return await waiting_run(api, sessions)


class Listener:
    """One client of a stream."""

    def __init__(self, run: Running, api: Api | None = None, **headers: str) -> None:
        self._api = api or run.api
        self._url = f"/api/v1{run.path}"
        self._headers = {**self._api.headers, **headers}
        self._stack = AsyncExitStack()
        self._events: AsyncIterator[Event]

    async def __aenter__(self) -> "Listener":
        streaming = self._api.client.stream("GET", self._url, headers=self._headers)
        answer = await self._stack.enter_async_context(streaming)
        assert answer.status_code == 200
        self._events = arriving(answer)
        return self

    async def __aexit__(self, *error: Any) -> None:
        await self._stack.aclose()

    async def next(self) -> Event:
        async with asyncio.timeout(10):
            return await anext(self._events)

    async def rest(self) -> list[Event]:
        async with asyncio.timeout(10):
            return [event async for event in self._events]


async def figure(server: Served) -> float:
    """How many streams `/metrics` counts."""
    lines = (await server.client.get("/metrics")).text.splitlines()
    return float(next(line for line in lines if line.startswith("turbocat_event_streams_open ")).split()[1])


async def until(reached: Any) -> None:
    for _ in range(500):
        if await reached():
            return
        await asyncio.sleep(0.02)
    raise AssertionError("it does not come")


async def test_what_is_committed_arrives_and_the_final_status_ends_it(run: Running, server: Served) -> None:
    async with Listener(run) as listener:
        assert (await listener.next()).data["status"] == "PENDING"
        assert await figure(server) == 1
        await run.begin()
        assert (await listener.next()).data["status"] == "RUNNING"
        await run.log("one", "two")
        assert [(await listener.next()).data["message"] for _ in range(2)] == ["one", "two"]
        await run.finish()
        assert [(event.id, event.data["status"]) for event in await listener.rest()] == [("5", "COMPLETED")]
    assert await figure(server) == 0


async def test_tokens_are_told_live_and_leave_no_number(run: Running, sessions: Sessions) -> None:
    async with Listener(run) as listener:
        await run.begin()
        assert [(await listener.next()).id for _ in range(2)] == ["1", "2"]
        await until(lambda: _listening(sessions))
        async with tenant_scope(sessions, run.api.tenant_id) as scope:
            await announce_tokens(scope.session, run.id, step_key="ask", path="ask", text="ä" * 2500)
        told = [await listener.next() for _ in range(3)]
        assert "".join(event.data["text"] for event in told) == "ä" * 2500
        assert {(event.id, event.event, event.data["path"]) for event in told} == {("2", "token", "ask")}
    async with Listener(run, **{"Last-Event-ID": "2"}) as listener:
        await run.finish()
        assert [event.event for event in await listener.rest()] == ["execution.status"]


async def test_a_heartbeat_comes_while_nothing_happens(run: Running) -> None:
    url, headers = f"/api/v1{run.path}", run.api.headers
    async with asyncio.timeout(10), run.api.client.stream("GET", url, headers=headers) as answer:
        heard = ""
        async for heard in answer.aiter_text():
            if heard.startswith(":"):
                break
        assert heard.startswith(":")


async def test_a_stream_ends_with_its_session(run: Running, sessions: Sessions) -> None:
    async with Listener(run) as listener:
        await listener.next()
        async with system_scope(sessions) as scope:
            mine = update(UserSession).where(col(UserSession.user_id) == run.api.user_id)
            await scope.session.execute(mine.values(revoked_at=clock.now()))
        assert await listener.rest() == []


async def test_a_stream_ends_with_the_membership(run: Running, sessions: Sessions) -> None:
    async with Listener(run) as listener:
        await listener.next()
        async with system_scope(sessions) as scope:
            mine = update(Membership).where(col(Membership.user_id) == run.api.user_id)
            await scope.session.execute(mine.values(deleted_at=clock.now()))
        assert await listener.rest() == []


async def test_a_stream_ends_when_the_workflow_becomes_private(
    api: Api, sessions: Sessions, settings: Settings
) -> None:
    run = await waiting_run(api, sessions, isPublic=True)
    mate = await colleague(api, sessions, settings, TenantRole.EDITOR)
    async with Listener(run, mate) as listener:
        await listener.next()
        async with system_scope(sessions) as scope:
            theirs = update(Workflow).where(col(Workflow.tenant_id) == api.tenant_id)
            await scope.session.execute(theirs.values(is_public=False))
        assert await listener.rest() == []


async def test_a_key_is_looked_at_again_too(run: Running, server: Served) -> None:
    key = await run.api.made("/api-keys", {"name": "watcher", "scopes": ["executions:read"]})
    keyed = Api(
        client=server.client,
        headers={"X-API-Key": key["key"]},
        tenant_id=run.api.tenant_id,
        user_id=run.api.user_id,
    )
    async with Listener(run, keyed) as listener:
        await listener.next()
        await asyncio.sleep(0.5)  # more than one heartbeat
        await run.begin()
        await listener.next()
        await run.api.send("DELETE", f"/api-keys/{key['id']}")
        assert await listener.rest() == []


async def test_the_end_of_the_server_ends_streams_at_once(run: Running, server: Served) -> None:
    async with Listener(run) as listener:
        await listener.next()
        stopping = asyncio.create_task(server.stop())
        started = time.monotonic()
        assert await listener.rest() == []  # and no broken connection
        await stopping
        assert time.monotonic() - started < 2


async def test_a_lost_notification_connection_loses_nothing(run: Running, sessions: Sessions) -> None:
    async with Listener(run) as listener:
        await listener.next()
        await until(lambda: _listening(sessions))
        async with sessions() as session:
            await session.execute(text(f"select pg_terminate_backend(pid) from ({LISTENING}) as x"))
        await run.begin()
        assert (await listener.next()).data["status"] == "RUNNING"
        await run.finish()
        assert [event.id for event in await listener.rest()] == ["3"]


async def _listening(sessions: Sessions) -> bool:
    async with sessions() as session:
        return (await session.execute(text(LISTENING))).first() is not None


async def test_who_lags_behind_goes_on_from_the_record(run: Running, monkeypatch: pytest.MonkeyPatch) -> None:
    """A commit that is larger than a queue: whoever cannot hold it reads it from the record at their own pace."""
    monkeypatch.setattr(feed, "QUEUE_FRAMES", 20)
    async with Listener(run) as listener:
        await listener.next()
        await run.begin()
        await run.log(*(f"line {number}" for number in range(500)))
        await run.finish()
        assert [event.id for event in await listener.rest()] == [str(number) for number in range(2, 504)]


async def test_a_client_that_takes_nothing_is_left(run: Running, server: Served) -> None:
    await run.begin()
    with socket.socket() as client:
        client.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        client.connect(("127.0.0.1", server.port))
        authorization = run.api.headers["Authorization"]
        request = f"GET /api/v1{run.path} HTTP/1.1\r\nHost: x\r\nAuthorization: {authorization}\r\n\r\n"
        client.sendall(request.encode())

        async def counted() -> bool:
            return await figure(server) == 1

        async def left() -> bool:
            return await figure(server) == 0

        await until(counted)
        for _ in range(10):
            await run.log(*("x" * 60_000 for _ in range(20)))
        await until(left)
        assert await left()


async def test_one_stream_too_many_is_refused(run: Running, server: Served) -> None:
    server.app.state.streams.settings = server.app.state.streams.settings.model_copy(update={"limit": 1})
    async with Listener(run) as listener:
        await listener.next()
        refused = await run.api.get(run.path)
        error_of(refused, 503, "SERVICE_UNAVAILABLE")
        assert refused.headers["Retry-After"] == "5"


async def test_a_stream_that_is_open_for_long_is_ended(run: Running, server: Served) -> None:
    server.app.state.streams.settings = server.app.state.streams.settings.model_copy(update={"seconds": 0.5})
    async with Listener(run) as listener:
        await listener.next()
        assert await listener.rest() == []


async def test_no_log_shows_the_token(run: Running, server: Served, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO)
    await run.begin()
    await run.finish()
    token = (await run.api.made(f"/executions/{run.id}/stream-token", {}))["token"]
    async with httpx.AsyncClient(base_url=server.client.base_url) as client:
        logging.getLogger("httpx").setLevel(logging.WARNING)
        assert (await client.get(f"/api/v1{run.path}", params={"token": token})).status_code == 200
    assert run.path in caplog.text
    assert token not in caplog.text


@pytest.mark.slow
async def test_a_hundred_streams_live_on_a_small_pool(api: Api, server: Served, sessions: Sessions) -> None:
    """P10: 100 clients of ten runs; from the commit to each of them."""
    usual = StreamSettings()
    server.app.state.streams.settings = usual
    runs = [await waiting_run(api, sessions) for _ in range(10)]
    for run in runs:
        await run.begin()
    async with AsyncExitStack() as stack:
        listeners = [await stack.enter_async_context(Listener(run)) for run in runs for _ in range(10)]
        for listener in listeners:
            assert [(await listener.next()).id for _ in range(2)] == ["1", "2"]
        assert await figure(server) == 100
        delays: list[float] = []
        committed: dict[str, float] = {}

        async def hear(listener: Listener) -> None:
            for _ in range(5):
                event = await listener.next()
                delays.append(time.monotonic() - committed[event.data["message"]])

        hearing = [asyncio.create_task(hear(listener)) for listener in listeners]
        for turn in range(5):
            for number, run in enumerate(runs):
                message = f"{turn}/{number}"
                committed[message] = time.monotonic()
                await run.log(message)
                committed[message] = time.monotonic()
                await asyncio.sleep(0.02)
        await asyncio.gather(*hearing)
        async with sessions() as session:
            assert (await session.execute(text(HELD))).scalar_one() <= 5
    delays.sort()
    assert len(delays) == 500
    assert delays[int(len(delays) * 0.95)] < 0.1, f"p50 {delays[250]:.3f} s, p95 {delays[475]:.3f} s"
