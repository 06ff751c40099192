"""What holds for every route alike: HEAD, CORS, paths that only look like others, HTTPS, slow and large bodies."""

import asyncio
import tracemalloc
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from ipaddress import ip_network
from typing import Any

import httpx
import orjson
import pytest
from asgi_lifespan import LifespanManager
from fastapi import FastAPI

from platform_api.main import create_app
from platform_api.settings import Settings
from tests.factories.api import Api, owner
from tests.fakes.orchestrator import FakeOrchestrator
from tests.fixtures.http import ORIGIN, error_of

ME = "/api/v1/users/me"
LOGIN = "/api/v1/auth/login"
JSON = {"Content-Type": "application/json"}


@asynccontextmanager
async def serving(settings: Settings, *, address: str = "127.0.0.1", **api: Any) -> AsyncIterator[httpx.AsyncClient]:
    """A client of an application whose HTTP settings differ."""
    application = create_app(
        settings.model_copy(update={"api": settings.api.model_copy(update=api)}), FakeOrchestrator()
    )
    transport = httpx.ASGITransport(application, client=(address, 4711))
    async with (
        LifespanManager(application),
        httpx.AsyncClient(transport=transport, base_url="http://api.example.com") as client,
    ):
        yield client


@pytest.fixture
async def api(client: httpx.AsyncClient) -> Api:
    return await owner(client)


class TestHead:
    @pytest.mark.parametrize("path", ["/health", "/ready", "/api/v1/openapi.json", "/api/v1/docs", "/metrics"])
    async def test_is_get_without_the_body(self, client: httpx.AsyncClient, path: str) -> None:
        full, head = await client.get(path), await client.head(path)
        assert (head.status_code, head.headers["Content-Type"]) == (full.status_code, full.headers["Content-Type"])
        assert head.content == b""

    async def test_of_a_resource_bears_its_tag(self, api: Api) -> None:
        agent = (await api.active_agent())["id"]
        head = await api.send("HEAD", f"/agents/{agent}")
        assert (head.status_code, head.headers["ETag"], head.content) == (200, '"2"', b"")

    async def test_needs_a_token_like_get(self, client: httpx.AsyncClient) -> None:
        answer = await client.head(ME)
        assert (answer.status_code, answer.content) == (401, b"")

    async def test_ends_where_get_would_not(self, app: FastAPI, client: httpx.AsyncClient) -> None:
        async def endless(scope: Any, receive: Any, send: Any) -> None:
            await send({"type": "http.response.start", "status": 200, "headers": []})
            while (await receive())["type"] != "http.disconnect":
                await send({"type": "http.response.body", "body": b"x", "more_body": True})

        app.mount("/endless", endless)
        async with asyncio.timeout(5):
            answer = await client.head("/endless/")
        assert (answer.status_code, answer.content) == (200, b"")


@pytest.mark.case(1)
class TestPathsThatLookLikeOthers:
    """Case 1."""

    @pytest.mark.parametrize(
        "path",
        [
            *("/api/v1/users/me/", "/api/v1/users/me//", "//api/v1/users/me", "/API/v1/users/me", "/api/v1/Users/me"),
            *("/api/v1/users/me/health", "/api/v1/users/me/ready", "/health/api/v1/users/me", "/x/health", "//health"),
            *("/health/../api/v1/users/me", "/api/v1/docs/../users/me", "/api/v1/users/me;/health", "/HEALTH"),
            *("/api/v1/%2e%2e/v1/users/me", "/health%2f..%2fapi/v1/users/me", "/api%2fv1%2fusers%2fme%2f"),
            *(
                "/api/v1/users/me%00",
                "/api/v1/users/me%20",
                "/api/v1/users/me%2f",
                "/metrics/",
                "/api/v1/users/me.json",
            ),
        ],
    )
    @pytest.mark.parametrize("method", ["GET", "HEAD", "POST", "OPTIONS", "TRACE"])
    async def test_none_of_them_opens_anything(self, app: FastAPI, method: str, path: str) -> None:
        status = await raw_status(app, method, path)
        assert status in (401, 404, 405), status

    async def test_an_encoded_letter_is_the_letter(self, app: FastAPI) -> None:
        assert await raw_status(app, "GET", "/api/v1/users/%6de") == 401


async def raw_status(app: FastAPI, method: str, path: str) -> int:
    """The status of a path that no client has tidied up before sending it."""
    status: list[int] = []

    async def receive() -> dict[str, Any]:
        return {"type": "http.request", "body": b"", "more_body": False}

    async def send(message: Any) -> None:
        if message["type"] == "http.response.start":
            status.append(message["status"])

    scope = {
        "type": "http",
        "asgi": {"version": "3.0"},
        "http_version": "1.1",
        "method": method,
        "scheme": "http",
        "path": httpx.URL("http://x").copy_with(raw_path=path.encode()).path if not path.startswith("//") else path,
        "raw_path": path.encode(),
        "root_path": "",
        "query_string": b"",
        "headers": [(b"host", b"api.example.com")],
        "client": ("127.0.0.1", 1),
        "server": ("127.0.0.1", 80),
    }
    await app(scope, receive, send)  # type: ignore[arg-type]
    return status[0]


@pytest.mark.case(10)
class TestCors:
    """Case 10."""

    @pytest.mark.parametrize(
        "origin", ["https://evil.example", "null", f"{ORIGIN}.evil.example", "http://app.example.com"]
    )
    async def test_a_foreign_origin_gets_no_permission(self, client: httpx.AsyncClient, origin: str) -> None:
        asked = {"Origin": origin, "Access-Control-Request-Method": "GET"}
        simple = await client.get(ME, headers={"Origin": origin, "Cookie": "session=x"})
        preflight = await client.options(ME, headers=asked)
        for answer in (simple, preflight):
            assert not {name for name in answer.headers if name.startswith("access-control-allow-origin")}
            assert "access-control-allow-credentials" not in answer.headers
        error_of(preflight, 400, "VALIDATION_ERROR")

    async def test_the_front_end_is_let_in_and_named(self, client: httpx.AsyncClient) -> None:
        asked = {
            "Origin": ORIGIN,
            "Access-Control-Request-Method": "PATCH",
            "Access-Control-Request-Headers": "authorization, if-match, idempotency-key, x-request-id",
        }
        preflight = await client.options(ME, headers=asked)
        assert preflight.status_code == 200
        assert preflight.headers["Access-Control-Allow-Origin"] == ORIGIN
        assert "Origin" in preflight.headers["Vary"]
        simple = await client.get(ME, headers={"Origin": ORIGIN})
        assert simple.headers["Access-Control-Allow-Origin"] == ORIGIN
        exposed = simple.headers["Access-Control-Expose-Headers"]
        assert {"ETag", "RateLimit-Remaining", "Retry-After", "X-Request-ID"} <= set(exposed.split(", "))

    async def test_a_method_or_header_that_is_not_ours_is_refused(self, client: httpx.AsyncClient) -> None:
        for asked in ({"Access-Control-Request-Method": "TRACE"}, {"Access-Control-Request-Headers": "x-evil"}):
            headers = {"Origin": ORIGIN, "Access-Control-Request-Method": "GET", **asked}
            assert error_of(await client.options(ME, headers=headers), 400, "VALIDATION_ERROR")


class TestHttps:
    async def test_reading_is_redirected_as_it_was_asked(self, settings: Settings) -> None:
        async with serving(settings, force_https=True) as client:
            for method in ("GET", "HEAD"):
                answer = await client.request(method, "/api/v1/agents?page=2&search=a%2Fb")
                assert answer.status_code == 308
                assert answer.headers["Location"] == "https://api.example.com/api/v1/agents?page=2&search=a%2Fb"
                assert "Strict-Transport-Security" not in answer.headers

    async def test_writing_is_refused_since_it_was_readable(self, settings: Settings) -> None:
        async with serving(settings, force_https=True) as client:
            assert error_of(
                await client.post(LOGIN, json={"email": "a@example.com", "password": "x"}), 403, "FORBIDDEN"
            )

    @pytest.mark.parametrize("host", ["evil.example/x", "a b", "", "evil.example\\@api"])
    async def test_no_redirect_is_made_of_a_crooked_host(self, settings: Settings, host: str) -> None:
        async with serving(settings, force_https=True) as client:
            assert error_of(await client.get(ME, headers={"Host": host}), 403, "FORBIDDEN")

    async def test_probes_are_for_balancers_inside(self, settings: Settings) -> None:
        async with serving(settings, force_https=True) as client:
            assert (await client.get("/ready")).status_code == 200

    async def test_a_trusted_proxy_says_that_it_was_https(self, settings: Settings) -> None:
        behind = {"X-Forwarded-Proto": "https", "X-Forwarded-For": "198.51.100.7"}
        networks = (ip_network("10.0.0.0/8"),)
        async with serving(settings, address="10.0.0.9", force_https=True, trusted_proxies=networks) as client:
            answer = await client.get(ME, headers=behind)
            assert answer.status_code == 401
            assert answer.headers["Strict-Transport-Security"].startswith("max-age=")
        async with serving(settings, address="203.0.113.9", force_https=True, trusted_proxies=networks) as client:
            answer = await client.get(ME, headers=behind)
            assert answer.status_code == 308
            assert "Strict-Transport-Security" not in answer.headers


class TestBodies:
    @pytest.mark.case(25)
    async def test_a_slow_body_is_given_up(self, settings: Settings) -> None:
        async def dripping() -> AsyncIterator[bytes]:
            yield b"{"
            await asyncio.Event().wait()

        async with serving(settings, body_timeout_seconds=0.2) as client:
            answer = await client.post(LOGIN, content=dripping(), headers=JSON)
            error_of(answer, 408, "REQUEST_TIMEOUT")
            assert answer.headers["Connection"] == "close"

    @pytest.mark.case(27)
    async def test_ten_megabytes_of_inputs_are_taken(self, api: Api, orchestrator: FakeOrchestrator) -> None:
        workflow = await api.active_workflow()
        inputs = {"rows": ["x" * 1000] * 9_900}
        started = await api.made(f"/workflows/{workflow['id']}/execute", {"inputs": inputs})
        kept = (await api.get(f"/executions/{started['executionId']}")).json()["data"]["inputs"]
        assert kept == inputs
        assert len(orchestrator.submissions) == 1

    @pytest.mark.case(27)
    async def test_more_is_refused_also_in_chunks(self, api: Api) -> None:
        workflow = await api.active_workflow()
        path = f"/api/v1/workflows/{workflow['id']}/execute"
        body = orjson.dumps({"inputs": {"text": "x" * 10_485_760}})
        assert error_of(
            await api.client.post(path, content=body, headers={**api.headers, **JSON}), 413, "PAYLOAD_TOO_LARGE"
        )

        async def chunks() -> AsyncIterator[bytes]:
            for start in range(0, len(body), 65_536):
                yield body[start : start + 65_536]

        assert error_of(
            await api.client.post(path, content=chunks(), headers={**api.headers, **JSON}), 413, "PAYLOAD_TOO_LARGE"
        )

    @pytest.mark.parametrize("path", ["/api/v1/agents", LOGIN, "/api/v1/x/execute", "/api/v1/workflows/x/execute/"])
    async def test_other_paths_have_the_small_limit(self, client: httpx.AsyncClient, path: str) -> None:
        assert error_of(await client.post(path, content=b" " * 1_048_577, headers=JSON), 413, "PAYLOAD_TOO_LARGE")

    @pytest.mark.case(25)
    async def test_a_hundred_megabytes_leave_memory_flat(self, client: httpx.AsyncClient) -> None:
        piece = b" " * 65_536

        async def endless() -> AsyncIterator[bytes]:
            for _ in range(1_600):
                yield piece

        error_of(await client.post(LOGIN, content=endless(), headers=JSON), 413, "PAYLOAD_TOO_LARGE")
        tracemalloc.start()
        try:
            for _ in range(5):
                error_of(await client.post(LOGIN, content=endless(), headers=JSON), 413, "PAYLOAD_TOO_LARGE")
            assert tracemalloc.get_traced_memory()[1] < 8 * 1_048_576
        finally:
            tracemalloc.stop()


class TestLocking:
    async def agent(self, api: Api) -> str:
        return str((await api.active_agent())["id"])

    @pytest.mark.parametrize(
        ("if_match", "status"),
        [('"2"', 200), ('W/"2"', 200), ("2", 200), ("*", 200), ('"1"', 409), ("x", 400), ('"2", "3"', 400), ("", 400)],
    )
    async def test_if_match_says_from_which_version_a_change_was_made(
        self, api: Api, if_match: str, status: int
    ) -> None:
        answer = await api.patch(f"/agents/{await self.agent(api)}", {"description": "d"}, **{"If-Match": if_match})
        assert answer.status_code == status, answer.text
        if status == 200:
            assert answer.headers["ETag"] == '"3"'

    async def test_every_answer_with_one_resource_bears_its_strong_tag(self, api: Api) -> None:
        agent = await self.agent(api)
        workflow = (await api.active_workflow())["id"]
        for path in (f"/agents/{agent}", f"/workflows/{workflow}", "/users/me", "/tenants/current"):
            answer = await api.get(path)
            assert answer.headers["ETag"] == f'"{answer.json()["data"]["version"]}"', path
