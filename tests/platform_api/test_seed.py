"""The administrator of a fresh installation."""

import asyncio
from collections.abc import AsyncIterator

import httpx
import pytest
from asgi_lifespan import LifespanManager
from pydantic import SecretStr

from platform_api.db.engine import Sessions, create_engine, session_maker
from platform_api.main import create_app
from platform_api.seed import seed
from platform_api.settings import DatabaseSettings, Settings, SettingsInvalid
from tests.fakes.orchestrator import FakeOrchestrator


def with_password(settings: Settings, password: str) -> Settings:
    auth = settings.auth.model_copy(update={"admin_password": SecretStr(password)})
    return settings.model_copy(update={"auth": auth})


@pytest.fixture
async def fresh(settings: Settings, fresh_database_url: str) -> AsyncIterator[tuple[Sessions, Settings]]:
    """An installation that nobody has used."""
    database = DatabaseSettings(url=fresh_database_url)
    engine = create_engine(database, application_name="tests")
    yield session_maker(engine), settings.model_copy(update={"database": database})
    await engine.dispose()


async def test_the_generated_password_logs_the_admin_in(fresh: tuple[Sessions, Settings]) -> None:
    sessions, settings = fresh
    result = await seed(sessions, settings)
    app = create_app(settings, FakeOrchestrator())
    async with (
        LifespanManager(app),
        httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url="http://api.example.com") as client,
    ):
        body = {"email": result.admin_email, "password": result.generated_password}
        data = (await client.post("/api/v1/auth/login", json=body)).json()["data"]
    assert data["user"]["role"] == "ADMIN"
    assert data["tenant"]["slug"] == "platform"


async def test_again_changes_nothing_and_shows_no_password(fresh: tuple[Sessions, Settings]) -> None:
    sessions, settings = fresh
    first = await seed(sessions, settings)
    again = await seed(sessions, settings)
    assert first.generated_password is not None
    assert (again.admin_email, again.generated_password) == (first.admin_email, None)


async def test_several_at_once_create_one(fresh: tuple[Sessions, Settings]) -> None:
    results = await asyncio.gather(*(seed(*fresh) for _ in range(4)))
    assert sum(result.generated_password is not None for result in results) == 1


async def test_a_set_password_is_used_and_not_shown(fresh: tuple[Sessions, Settings]) -> None:
    sessions, settings = fresh
    chosen = with_password(settings, "Chosen-One-1")
    assert (await seed(sessions, chosen)).generated_password is None


async def test_a_weak_set_password_is_refused(fresh: tuple[Sessions, Settings]) -> None:
    sessions, settings = fresh
    with pytest.raises(SettingsInvalid, match="TURBOCAT_ADMIN_PASSWORD"):
        await seed(sessions, with_password(settings, "weak"))
