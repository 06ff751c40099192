"""`GET /metrics`: what it tells, and whom."""

import re
from typing import Any

import httpx
import pytest
from asgi_lifespan import LifespanManager
from fastapi import FastAPI
from pydantic import SecretStr

from platform_api.main import create_app
from platform_api.settings import Settings
from tests.factories.api import owner
from tests.fakes.orchestrator import FakeOrchestrator
from tests.fixtures.http import error_of

TOKEN = "metrics-token-of-a-test"


def value(text: str, sample: str) -> float | None:
    """What a sample says; None when it is not there."""
    found = re.search(rf"^{re.escape(sample)} ([0-9.e+]+)$", text, flags=re.MULTILINE)
    return float(found[1]) if found else None


async def test_requests_are_counted_by_template_and_status(client: httpx.AsyncClient) -> None:
    api = await owner(client)
    agent = "01890000-0000-7000-8000-00000000abcd"
    for _ in range(2):
        await api.get(f"/agents/{agent}")
    await client.get("/made/up/by/the/caller")
    answer = await client.get("/metrics")
    assert answer.headers["Content-Type"].startswith("text/plain")
    labels = 'method="GET",route="/api/v1/agents/{agent_id}"'
    assert value(answer.text, f'turbocat_http_requests_total{{{labels},status="404"}}') == 2
    assert value(answer.text, f"turbocat_http_request_duration_seconds_count{{{labels}}}") == 2
    assert value(answer.text, 'turbocat_http_requests_total{method="GET",route="(none)",status="404"}') == 1
    assert value(answer.text, "turbocat_http_requests_in_flight") == 1
    assert agent not in answer.text
    assert "made" not in answer.text


async def test_a_made_up_method_makes_no_label(client: httpx.AsyncClient) -> None:
    await client.request("BREW", "/health")
    text = (await client.get("/metrics")).text
    assert "BREW" not in text
    assert value(text, 'turbocat_http_requests_total{method="OTHER",route="/health",status="405"}') == 1


async def test_pool_build_and_open_executions_are_told(client: httpx.AsyncClient) -> None:
    api = await owner(client)
    workflow = await api.active_workflow()
    await api.made(f"/workflows/{workflow['id']}/execute", {})
    text = (await client.get("/metrics")).text
    assert (value(text, 'turbocat_executions_open{status="PENDING"}') or 0) >= 1
    assert value(text, 'turbocat_executions_open{status="COMPLETED"}') is None
    assert value(text, 'turbocat_db_pool_connections{state="size"}') == 5
    assert re.search(r'^turbocat_build_info\{version="[^"]+"\} 1\.0$', text, flags=re.MULTILINE)


@pytest.mark.parametrize(
    ("address", "headers", "status"),
    [
        ("127.0.0.1", {}, 200),
        ("::1", {}, 200),
        ("192.0.2.1", {}, 403),
        ("10.0.0.1", {}, 403),
        ("127.0.0.1", {"X-Forwarded-For": "127.0.0.1"}, 403),
        ("127.0.0.1", {"Forwarded": "for=127.0.0.1"}, 403),
        ("192.0.2.1", {"X-Forwarded-For": "127.0.0.1"}, 403),
    ],
)
async def test_without_a_token_only_the_machine_itself_reads(
    app: FastAPI, address: str, headers: dict[str, str], status: int
) -> None:
    transport = httpx.ASGITransport(app, client=(address, 1))
    async with httpx.AsyncClient(transport=transport, base_url="http://api.example.com") as client:
        answer = await client.get("/metrics", headers=headers)
    assert answer.status_code == status
    assert ("turbocat_" in answer.text) is (status == 200)


@pytest.mark.parametrize("sent", [None, "Bearer wrong", "Bearer ", f"Bearer {TOKEN}x", "Basic ü"])
async def test_with_a_token_nobody_reads_without_it(settings: Settings, sent: str | None) -> None:
    async with LifespanManager(application := _with_token(settings)):
        transport = httpx.ASGITransport(application)
        async with httpx.AsyncClient(transport=transport, base_url="http://api.example.com") as client:
            headers: Any = {} if sent is None else {"Authorization": sent.encode("latin-1")}
            assert error_of(await client.get("/metrics", headers=headers), 401, "UNAUTHENTICATED")


async def test_with_a_token_anybody_reads_who_has_it(settings: Settings) -> None:
    async with LifespanManager(application := _with_token(settings)):
        transport = httpx.ASGITransport(application, client=("192.0.2.1", 1))
        async with httpx.AsyncClient(transport=transport, base_url="http://api.example.com") as client:
            answer = await client.get("/metrics", headers={"Authorization": f"Bearer {TOKEN}"})
            assert answer.status_code == 200


def _with_token(settings: Settings) -> FastAPI:
    guarded = settings.api.model_copy(update={"metrics_token": SecretStr(TOKEN)})
    return create_app(settings.model_copy(update={"api": guarded}), FakeOrchestrator())
