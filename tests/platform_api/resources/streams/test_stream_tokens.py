"""The 60-second token: good for one stream, for whoever asked, and for nothing else."""

from datetime import timedelta

import httpx
import pytest
from asgi_lifespan import LifespanManager
from fastapi import FastAPI
from sqlalchemy import update
from sqlmodel import col

from platform_api.access.scope import system_scope
from platform_api.db.engine import Sessions
from platform_api.db.models import Membership, UserSession
from platform_api.kit import clock
from platform_api.main import create_app
from platform_api.settings import Settings
from tests.factories.api import Api, by_key, owner
from tests.factories.events import Running, events_of, waiting_run
from tests.fakes.orchestrator import FakeOrchestrator
from tests.fixtures.http import bearer, error_of


@pytest.fixture
async def api(client: httpx.AsyncClient) -> Api:
    return await owner(client)


@pytest.fixture
async def run(api: Api, sessions: Sessions) -> Running:
    return await finished(api, sessions)


async def finished(api: Api, sessions: Sessions) -> Running:
    run = await waiting_run(api, sessions)
    await run.begin()
    await run.finish()
    return run


async def token_of(run: Running, api: Api | None = None) -> str:
    made = await (api or run.api).made(f"/executions/{run.id}/stream-token", {})
    assert set(made) == {"token", "expiresAt"}
    return str(made["token"])


async def opened(client: httpx.AsyncClient, run: Running, token: str) -> httpx.Response:
    return await client.get(f"/api/v1{run.path}", params={"token": token})


async def test_it_opens_the_stream_without_headers(client: httpx.AsyncClient, run: Running) -> None:
    answer = await opened(client, run, await token_of(run))
    assert [event.id for event in events_of(answer.text)] == ["1", "2", "3"]


async def test_every_api_process_knows_it(run: Running, settings: Settings) -> None:
    token = await token_of(run)
    other: FastAPI = create_app(settings, FakeOrchestrator())
    async with LifespanManager(other) as running:
        transport = httpx.ASGITransport(running.app)
        async with httpx.AsyncClient(transport=transport, base_url="http://api.example.com") as client:
            assert (await opened(client, run, token)).status_code == 200


async def test_it_opens_no_other_execution(client: httpx.AsyncClient, run: Running, sessions: Sessions) -> None:
    other = await finished(run.api, sessions)
    assert error_of(await opened(client, other, await token_of(run)), 401, "UNAUTHENTICATED")


async def test_it_opens_nothing_but_streams(client: httpx.AsyncClient, run: Running) -> None:
    token = await token_of(run)
    for path in (f"/executions/{run.id}", f"/executions/{run.id}/logs", "/users/me"):
        assert error_of(await client.get(f"/api/v1{path}", headers=bearer(token)), 401, "UNAUTHENTICATED")
    assert error_of(await client.get(f"/api/v1/executions/{run.id}", params={"token": token}), 400, "VALIDATION_ERROR")
    refresh = await client.post("/api/v1/auth/refresh", json={"refreshToken": token})
    assert error_of(refresh, 401, "UNAUTHENTICATED")


async def test_an_access_token_is_none(client: httpx.AsyncClient, run: Running) -> None:
    access = run.api.headers["Authorization"].removeprefix("Bearer ")
    assert error_of(await opened(client, run, access), 401, "UNAUTHENTICATED")


@pytest.mark.parametrize("token", ["", "x", "a.b.c", "e30.e30.e30"])
async def test_nonsense_is_refused(client: httpx.AsyncClient, run: Running, token: str) -> None:
    assert error_of(await opened(client, run, token), 401, "UNAUTHENTICATED")


async def test_it_lasts_a_minute(client: httpx.AsyncClient, run: Running) -> None:
    token = await token_of(run)
    with clock.freeze(clock.now() + timedelta(seconds=58)):
        assert (await opened(client, run, token)).status_code == 200
    with clock.freeze(clock.now() + timedelta(seconds=61)):
        error_of(await opened(client, run, token), 401, "TOKEN_EXPIRED")


async def test_it_ends_with_the_session(client: httpx.AsyncClient, run: Running, sessions: Sessions) -> None:
    token = await token_of(run)
    async with system_scope(sessions) as scope:
        mine = update(UserSession).where(col(UserSession.user_id) == run.api.user_id)
        await scope.session.execute(mine.values(revoked_at=clock.now()))
    assert error_of(await opened(client, run, token), 401, "UNAUTHENTICATED")


async def test_it_ends_with_the_membership(client: httpx.AsyncClient, run: Running, sessions: Sessions) -> None:
    token = await token_of(run)
    async with system_scope(sessions) as scope:
        mine = update(Membership).where(col(Membership.user_id) == run.api.user_id)
        await scope.session.execute(mine.values(deleted_at=clock.now()))
    assert error_of(await opened(client, run, token), 401, "UNAUTHENTICATED")


async def test_a_key_gets_one_that_ends_with_the_key(
    client: httpx.AsyncClient, run: Running, sessions: Sessions
) -> None:
    key = await run.api.made("/api-keys", {"name": "watcher", "scopes": ["executions:read"]})
    keyed = Api(client=client, headers={"X-API-Key": key["key"]}, tenant_id=run.api.tenant_id, user_id=run.api.user_id)
    token = await token_of(run, keyed)
    assert (await opened(client, run, token)).status_code == 200
    assert (await run.api.send("DELETE", f"/api-keys/{key['id']}")).status_code in (200, 204)
    error_of(await opened(client, run, token), 401, "UNAUTHENTICATED")


async def test_a_key_without_the_scope_gets_none(run: Running, sessions: Sessions) -> None:
    narrow = await by_key(run.api, sessions, "agents:read")
    assert error_of(await narrow.post(f"/executions/{run.id}/stream-token"), 403, "FORBIDDEN")


async def test_headers_go_before_the_token(client: httpx.AsyncClient, run: Running) -> None:
    answer = await run.api.get(run.path, token="nonsense")
    assert answer.status_code == 200
    answer = await client.get(f"/api/v1{run.path}", params={"token": await token_of(run)}, headers=bearer("nonsense"))
    error_of(answer, 401, "UNAUTHENTICATED")
