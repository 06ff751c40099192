"""That code runs without a sandbox is told in every answer, and nothing is told where it does not."""

from collections.abc import AsyncIterator

import httpx
import pytest
from asgi_lifespan import LifespanManager
from fastapi import FastAPI

from agents.code.selection import SandboxChoice
from platform_api.db.engine import Sessions, create_engine, session_maker
from platform_api.main import create_app
from platform_api.resources.workers import unsafe
from platform_api.resources.workers.unsafe import UnsafeWorkers
from platform_api.settings import DatabaseSettings, Settings
from tests.factories.workers import worker
from tests.fakes.orchestrator import FakeOrchestrator
from tests.fixtures.http import ORIGIN, register

pytestmark = pytest.mark.case(40)

PREFLIGHT = {"Origin": ORIGIN, "Access-Control-Request-Method": "POST"}


@pytest.fixture(autouse=True)
def looking_each_time(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(unsafe, "LOOK_SECONDS", 0.0)
    monkeypatch.setattr(unsafe, "PATIENCE_SECONDS", 30.0)


@pytest.fixture
async def unsafe_client(settings: Settings, orchestrator: FakeOrchestrator) -> AsyncIterator[httpx.AsyncClient]:
    """An API whose own settings say so."""
    runs = settings.runs.model_copy(update={"code_sandbox": SandboxChoice.UNSAFE_LOCAL})
    application = create_app(settings.model_copy(update={"runs": runs}), orchestrator)
    async with LifespanManager(application):
        transport = httpx.ASGITransport(application)
        async with httpx.AsyncClient(transport=transport, base_url="http://api.example.com") as client:
            yield client


async def told(client: httpx.AsyncClient) -> list[str | None]:
    """The header of answers of every kind: sound, refused, absent, unauthenticated, a preflight, a probe, a page."""
    answers = [
        await client.get("/api/v1/users/me", headers=(await register(client)).headers),
        await client.post("/api/v1/auth/login", json={}),
        await client.get("/nowhere"),
        await client.get("/api/v1/executions"),
        await client.options("/api/v1/agents", headers=PREFLIGHT),
        await client.get("/health"),
        await client.get("/api/v1/docs"),
    ]
    assert [answer.status_code for answer in answers] == [200, 400, 404, 401, 200, 200, 200]
    return [answer.headers.get(unsafe.HEADER) for answer in answers]


async def test_nothing_is_told_of_sandboxes(client: httpx.AsyncClient, sessions: Sessions) -> None:
    async with worker(sessions), worker(sessions, None, refusal="none"), worker(sessions, "unsafe-local", silent=True):
        assert await told(client) == [None] * 7


async def test_a_worker_without_one_by_choice_is_told_in_every_answer(
    client: httpx.AsyncClient, sessions: Sessions
) -> None:
    async with worker(sessions, "unsafe-local"), worker(sessions):
        assert await told(client) == ["unsafe-local"] * 7
    assert (await client.get("/nowhere")).headers.get(unsafe.HEADER) is None


async def test_so_is_the_setting_of_the_api(unsafe_client: httpx.AsyncClient) -> None:
    assert await told(unsafe_client) == ["unsafe-local"] * 7


async def test_browsers_may_read_it(client: httpx.AsyncClient) -> None:
    answer = await client.get("/health", headers={"Origin": ORIGIN})
    assert unsafe.HEADER in answer.headers["Access-Control-Expose-Headers"]


async def test_a_database_that_is_away_keeps_no_answer_back(app: FastAPI, client: httpx.AsyncClient) -> None:
    nowhere = create_engine(DatabaseSettings(url="postgresql://u:pw@127.0.0.1:1/x"), application_name="tests")
    app.state.unsafe_workers = UnsafeWorkers(session_maker(nowhere), SandboxChoice.AUTO)
    answer = await client.get("/nowhere")
    assert (answer.status_code, answer.headers.get(unsafe.HEADER)) == (404, None)


async def test_one_look_holds_for_a_while(app: FastAPI, sessions: Sessions, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(unsafe, "LOOK_SECONDS", 3600.0)
    workers = UnsafeWorkers(sessions, SandboxChoice.AUTO)
    async with worker(sessions, "unsafe-local"):
        assert await workers.any()
    assert await workers.any()
