"""Probes."""

import httpx
from fastapi import FastAPI

from platform_api.db.engine import create_engine, session_maker
from platform_api.settings import DatabaseSettings
from tests.fakes.orchestrator import FakeOrchestrator


async def test_all_is_well(client: httpx.AsyncClient) -> None:
    answer = await client.get("/health")
    body = answer.json()
    assert answer.status_code == 200
    assert set(body) == {"status", "version", "uptimeSeconds", "timestamp", "checks"}
    assert body["status"] == "healthy"
    assert body["timestamp"].endswith("Z")
    assert set(body["checks"]) == {"database", "prefect", "workers"}
    assert body["checks"]["database"]["status"] == "up"
    assert body["checks"]["database"]["responseTimeMs"] > 0
    assert set(body["checks"]["database"]["pool"]) == {"size", "inUse", "overflow"}
    assert body["checks"]["workers"] == {"status": "up", "online": 1, "codeSandboxes": {}}


async def test_under_its_other_path(client: httpx.AsyncClient) -> None:
    assert (await client.get("/api/health")).json()["status"] == "healthy"


async def test_without_prefect(client: httpx.AsyncClient, orchestrator: FakeOrchestrator) -> None:
    orchestrator.available = False
    answer = await client.get("/health")
    assert answer.status_code == 503
    assert answer.json()["status"] == "unhealthy"
    assert answer.json()["checks"]["prefect"] == {"status": "down", "responseTimeMs": None}
    assert (await client.get("/ready")).status_code == 200


async def test_without_workers(client: httpx.AsyncClient, orchestrator: FakeOrchestrator) -> None:
    orchestrator.workers = 0
    answer = await client.get("/health")
    assert answer.status_code == 503
    assert answer.json()["checks"]["workers"] == {"status": "down", "online": 0, "codeSandboxes": {}}


async def test_without_database(app: FastAPI, client: httpx.AsyncClient) -> None:
    nowhere = create_engine(DatabaseSettings(url="postgresql://u:hunter2@127.0.0.1:1/x"), application_name="tests")
    app.state.platform.sessions = session_maker(nowhere)
    answer = await client.get("/health")
    assert answer.status_code == 503
    assert answer.json()["checks"]["database"]["status"] == "down"
    assert "hunter2" not in answer.text
    ready = await client.get("/ready")
    assert (ready.status_code, ready.json()) == (503, {"status": "unavailable"})


async def test_an_answer_that_needs_the_database_says_unavailable(app: FastAPI, client: httpx.AsyncClient) -> None:
    nowhere = create_engine(DatabaseSettings(url="postgresql://u:pw@127.0.0.1:1/x"), application_name="tests")
    app.state.platform.sessions = session_maker(nowhere)
    answer = await client.post("/api/v1/auth/login", json={"email": "a@example.com", "password": "x"})
    assert (answer.status_code, answer.json()["error"]["code"]) == (503, "SERVICE_UNAVAILABLE")
