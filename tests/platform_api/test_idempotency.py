"""`Idempotency-Key` by HTTP."""

import asyncio
from dataclasses import replace
from datetime import timedelta
from typing import Any
from uuid import uuid4

import httpx
import pytest
from asgi_lifespan import LifespanManager
from fastapi import FastAPI
from fastapi.routing import iter_route_contexts
from sqlalchemy import func, select, update
from sqlmodel import col

from platform_api.access.idempotency import WITHOUT
from platform_api.access.principal import TenantRole
from platform_api.access.recorded_route import RecordedRoute
from platform_api.access.scope import system_scope
from platform_api.db.engine import Sessions
from platform_api.db.models import Agent, IdempotencyKey
from platform_api.kit import clock
from platform_api.main import create_app
from platform_api.resources.audit_log.service import AuditLog
from platform_api.settings import Settings
from tests.factories.api import Api, agent_body, by_key, colleague, owner, step
from tests.fakes.orchestrator import FakeOrchestrator
from tests.fixtures.http import error_of


@pytest.fixture
async def api(client: httpx.AsyncClient) -> Api:
    return await owner(client)


async def keyed(api: Api, key: str, path: str, body: Any) -> httpx.Response:
    return await api.send("POST", path, body, **{"Idempotency-Key": key})


async def agents_of(api: Api, sessions: Sessions) -> int:
    async with system_scope(sessions) as scope:
        counted = select(func.count()).select_from(Agent).where(col(Agent.tenant_id) == api.tenant_id)
        return (await scope.session.execute(counted)).scalar_one()


async def rows_of(api: Api, sessions: Sessions) -> list[IdempotencyKey]:
    async with system_scope(sessions) as scope:
        kept = select(IdempotencyKey).where(col(IdempotencyKey.tenant_id) == api.tenant_id)
        return list(await scope.session.scalars(kept))


async def test_the_same_again_gives_the_first_answer_and_does_nothing(api: Api, sessions: Sessions) -> None:
    body = agent_body()
    first = await keyed(api, "key-1", "/agents", body)
    again = await keyed(api, "key-1", "/agents", body)
    assert first.status_code == again.status_code == 201
    assert again.content == first.content
    assert again.headers["ETag"] == first.headers["ETag"]
    assert again.headers["Content-Type"] == first.headers["Content-Type"]
    assert "Idempotency-Replayed" not in first.headers
    assert again.headers["Idempotency-Replayed"] == "true"
    assert await agents_of(api, sessions) == 1


@pytest.mark.case(36)
async def test_fifty_at_once_are_one_execution_with_one_answer(api: Api, orchestrator: FakeOrchestrator) -> None:
    workflow = await api.active_workflow()
    path = f"/workflows/{workflow['id']}/execute"
    answers = await asyncio.gather(*(keyed(api, "start-1", path, {"inputs": {"n": 1}}) for _ in range(50)))
    assert {each.status_code for each in answers} == {201}
    assert len({each.content for each in answers}) == 1
    history = await api.get(f"/workflows/{workflow['id']}/executions")
    assert history.json()["meta"]["pagination"]["totalItems"] == 1
    assert len(orchestrator.submissions) == 1


@pytest.mark.case(36)
@pytest.mark.parametrize("change", ["body", "path"])
async def test_the_same_key_for_another_request_is_a_conflict(api: Api, sessions: Sessions, change: str) -> None:
    body = {"name": "One", "steps": [step("load", await api.active_agent())]}
    assert (await keyed(api, "key-1", "/workflows", body)).status_code == 201
    path, other = ("/workflows", {**body, "name": "Two"}) if change == "body" else ("/workflows/validate", body)
    error = error_of(await keyed(api, "key-1", path, other), 409, "CONFLICT")
    assert [(each["path"], each["code"]) for each in error["details"]] == [("headers.Idempotency-Key", "KEY_REUSED")]
    assert [row.path for row in await rows_of(api, sessions)] == ["/api/v1/workflows"]


async def test_an_error_is_not_kept(api: Api, sessions: Sessions) -> None:
    workflow = await api.made("/workflows", {"name": "Later", "steps": [step("load", await api.active_agent())]})
    path = f"/workflows/{workflow['id']}/execute"
    error_of(await keyed(api, "key-1", path, {}), 409, "INVALID_STATE")
    assert await rows_of(api, sessions) == []


async def test_a_crash_leaves_neither_the_work_nor_the_key(
    api: Api, sessions: Sessions, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def crash(*_: Any, **__: Any) -> None:
        raise RuntimeError("the process dies here")

    body = agent_body()
    with monkeypatch.context() as patch:
        patch.setattr(AuditLog, "record", crash)
        error_of(await keyed(api, "key-1", "/agents", body), 500, "INTERNAL_ERROR")
    assert await rows_of(api, sessions) == []
    assert await agents_of(api, sessions) == 0
    assert (await keyed(api, "key-1", "/agents", body)).status_code == 201


async def test_keys_belong_to_their_caller(api: Api, sessions: Sessions, settings: Settings) -> None:
    body = agent_body()
    other = await colleague(api, sessions, settings, TenantRole.EDITOR)
    mine = await keyed(api, "key-1", "/agents", body)
    theirs = await keyed(other, "key-1", "/agents", body)
    assert mine.json()["data"]["id"] != theirs.json()["data"]["id"]
    stranger = await keyed(await owner(api.client), "key-1", "/agents", body)
    assert "Idempotency-Replayed" not in stranger.headers
    assert len(await rows_of(api, sessions)) == 2


async def test_an_api_key_gets_no_answer_that_another_credential_was_given(api: Api, sessions: Sessions) -> None:
    """It may hold more than the key's scopes reach: here a wider key."""
    body = {"name": "wide", "scopes": ["agents:delete"]}
    assert (await keyed(api, "key-1", "/api-keys", body)).status_code == 201
    narrow = await by_key(api, sessions, "api-keys:create")
    error_of(await keyed(narrow, "key-1", "/api-keys", body), 400, "VALIDATION_ERROR")
    own = {"name": "own", "scopes": ["api-keys:create"]}
    first, again = [await keyed(narrow, "key-1", "/api-keys", own) for _ in range(2)]
    assert first.json()["data"]["key"] == again.json()["data"]["key"]


async def test_a_replay_needs_the_permission_too(api: Api, sessions: Sessions, settings: Settings) -> None:
    other = await colleague(api, sessions, settings, TenantRole.VIEWER)
    assert error_of(await keyed(other, "key-1", "/agents", agent_body()), 403, "FORBIDDEN")


async def test_after_a_day_the_key_is_free_and_old_rows_go(api: Api, sessions: Sessions) -> None:
    body = agent_body()
    await keyed(api, "key-1", "/agents", body)
    await keyed(api, "key-2", "/agents", agent_body())
    async with system_scope(sessions) as scope:
        mine = update(IdempotencyKey).where(col(IdempotencyKey.tenant_id) == api.tenant_id)
        await scope.session.execute(mine.values(expires_at=clock.now() - timedelta(seconds=1)))
    answer = await keyed(api, "key-1", "/agents", body)
    assert "Idempotency-Replayed" not in answer.headers
    assert [row.key for row in await rows_of(api, sessions)] == ["key-1"]
    assert await agents_of(api, sessions) == 3


async def test_what_is_stored_is_unreadable(api: Api, sessions: Sessions) -> None:
    body = agent_body(description="canary-7f3a")
    await keyed(api, "key-1", "/agents", body)
    (row,) = await rows_of(api, sessions)
    assert row.response_status == 201
    assert row.response_body is not None
    assert b"canary-7f3a" not in row.response_body
    assert timedelta(hours=23) < row.expires_at - clock.now() <= timedelta(hours=24)


@pytest.mark.parametrize("key", ["", " ", "a b", "x" * 201, "\x7f", "ü"])
async def test_a_key_of_another_form_is_refused(api: Api, key: str) -> None:
    headers = {**api.headers, "Idempotency-Key": key.encode("latin-1")}
    answer = await api.client.post("/api/v1/agents", json=agent_body(), headers=headers)  # type: ignore[arg-type]
    error = error_of(answer, 400, "VALIDATION_ERROR")
    assert [each["code"] for each in error["details"]] == ["BAD_IDEMPOTENCY_KEY"]


async def test_other_methods_and_auth_take_no_notice(api: Api, sessions: Sessions) -> None:
    agent = await api.made("/agents", agent_body())
    for name in ("One", "Two"):
        answer = await api.patch(f"/agents/{agent['id']}", {"name": name}, **{"Idempotency-Key": "key-1"})
        assert answer.json()["data"]["name"] == name
    assert (await keyed(api, "key-1", "/auth/logout", None)).status_code == 204
    assert await rows_of(api, sessions) == []


async def test_routes_without_a_transaction_of_their_own_have_it_too(client: httpx.AsyncClient) -> None:
    api = await owner(client)
    change = {"currentPassword": "Sesame-Open-1", "newPassword": f"Sesame-{uuid4().hex[:8]}-A"}
    first = await keyed(api, "key-1", "/users/me/password", change)
    again = await keyed(api, "key-1", "/users/me/password", change)
    assert (first.status_code, again.status_code) == (204, 204)
    assert again.headers["Idempotency-Replayed"] == "true"
    assert again.content == b""


async def test_a_key_in_use_elsewhere_says_so(api: Api, sessions: Sessions) -> None:
    """As a process leaves it that dies inside of a route with transactions of its own."""
    change = {"currentPassword": "Sesame-Open-1", "newPassword": f"Sesame-{uuid4().hex[:8]}-A"}
    assert (await keyed(api, "key-1", "/users/me/password", change)).status_code == 204
    async with system_scope(sessions) as scope:
        mine = update(IdempotencyKey).where(col(IdempotencyKey.tenant_id) == api.tenant_id)
        await scope.session.execute(mine.values(response_status=None, response_body=None))
    answer = await keyed(api, "key-1", "/users/me/password", change)
    assert [each["code"] for each in error_of(answer, 409, "CONFLICT")["details"]] == ["KEY_IN_USE"]
    assert int(answer.headers["Retry-After"]) > 0


async def test_a_refused_change_gives_the_key_back(api: Api, sessions: Sessions) -> None:
    change = {"currentPassword": "wrong", "newPassword": f"Sesame-{uuid4().hex[:8]}-A"}
    assert (await keyed(api, "key-1", "/users/me/password", change)).status_code in (400, 401)
    assert await rows_of(api, sessions) == []


async def test_every_route_that_takes_a_key_keeps_its_answer(app: FastAPI) -> None:
    forgotten = [
        context.path
        for context in iter_route_contexts(app.routes)
        if "POST" in (context.methods or ())
        and not str(context.path).startswith(WITHOUT)
        and not isinstance(context.original_route, RecordedRoute)
    ]
    assert forgotten == []


@pytest.mark.case(36)
async def test_two_processes_at_once_are_one_execution(api: Api, settings: Settings, sessions: Sessions) -> None:
    """Applications that share nothing but the database: the row's lock decides."""
    body = agent_body()
    answers = await asyncio.gather(*(in_a_process_of_its_own(api, settings, body) for _ in range(3)))
    assert {answer.status_code for answer in answers} == {201}
    assert len({answer.content for answer in answers}) == 1
    assert await agents_of(api, sessions) == 1


async def in_a_process_of_its_own(api: Api, settings: Settings, body: Any) -> httpx.Response:
    application = create_app(settings, FakeOrchestrator())
    async with LifespanManager(application):
        transport = httpx.ASGITransport(application)
        async with httpx.AsyncClient(transport=transport, base_url="http://api.example.com") as client:
            return await keyed(replace(api, client=client), "key-1", "/agents", body)
