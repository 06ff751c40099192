"""What lives as long as the process: all of it ends with it, whatever fails on the way."""

import asyncio
from typing import Any

import pytest
from asgi_lifespan import LifespanManager
from fastapi import FastAPI
from sqlalchemy.ext.asyncio import AsyncEngine

from flows.orchestrator import Orchestrator
from platform_api import main
from platform_api.access import key_usage
from platform_api.access.dependencies import Platform
from platform_api.access.principal import TenantRole
from platform_api.access.rate_limits import RateLimits
from platform_api.access.scope import system_scope
from platform_api.db.engine import Sessions
from platform_api.db.models import ApiKey
from platform_api.kit.background import Background
from platform_api.main import create_app
from platform_api.settings import Settings
from tests.factories.tenants import create_tenant, create_user


@pytest.fixture
def closed(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """What was closed, in its order; the background fails to."""
    order: list[str] = []

    def note(owner: Any, name: str) -> None:
        close = getattr(owner, name)

        async def noting(self: Any) -> None:
            order.append(owner.__name__)
            await close(self)

        monkeypatch.setattr(owner, name, noting)

    for owner, name in ((AsyncEngine, "dispose"), (Orchestrator, "aclose"), (RateLimits, "aclose")):
        note(owner, name)

    async def failing(self: Any) -> None:
        order.append("Background")
        raise RuntimeError("the background does not end")

    monkeypatch.setattr(Background, "aclose", failing)
    return order


async def a_key(sessions: Sessions) -> ApiKey:
    tenant = await create_tenant(sessions)
    user = await create_user(sessions, tenant, tenant_role=TenantRole.EDITOR)
    row = ApiKey(tenant_id=tenant.id, user_id=user.id, name="x", key_prefix="tc_0", key_hash=str(user.id), scopes=[])
    async with system_scope(sessions) as scope:
        scope.session.add(row)
    return row


async def uses(sessions: Sessions, key: ApiKey) -> int:
    async with system_scope(sessions) as scope:
        return (await scope.session.get_one(ApiKey, key.id)).usage_count


def platform_of(app: FastAPI) -> Platform:
    platform: Platform = app.state.platform
    return platform


async def test_what_fails_to_close_keeps_nothing_else_open(
    settings: Settings, sessions: Sessions, closed: list[str]
) -> None:
    app, key, before = create_app(settings), await a_key(sessions), asyncio.all_tasks()
    with pytest.raises(RuntimeError, match="does not end"):
        async with LifespanManager(app):
            platform_of(app).key_usage.note(key.id)
    assert closed == ["Background", "RateLimits", "Orchestrator", "AsyncEngine"]
    assert await uses(sessions, key) == 1
    assert asyncio.all_tasks() <= before


async def test_a_start_that_fails_leaves_nothing_open(
    settings: Settings, closed: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    async def refusing(*_: Any) -> None:
        raise RuntimeError("wrong keys")

    monkeypatch.setattr(main, "check_keys", refusing)
    before = asyncio.all_tasks()
    with pytest.raises(RuntimeError, match="wrong keys"):
        async with LifespanManager(create_app(settings)):
            pass
    assert closed == ["RateLimits", "Orchestrator", "AsyncEngine"]
    assert asyncio.all_tasks() <= before


async def test_uses_of_keys_are_written_while_the_process_lives(
    settings: Settings, sessions: Sessions, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(key_usage, "FLUSH_SECONDS", 0.01)
    app, key = create_app(settings), await a_key(sessions)
    async with LifespanManager(app), asyncio.timeout(10):
        platform_of(app).key_usage.note(key.id)
        while (written := await uses(sessions, key)) == 0:  # noqa: ASYNC110  # a table has no event
            await asyncio.sleep(0.01)
        assert written == 1
