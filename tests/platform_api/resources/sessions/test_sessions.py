"""One's own sessions, by HTTP, and where they came from."""

import asyncio
from collections.abc import Awaitable, Callable
from datetime import timedelta
from functools import partial
from uuid import UUID

import httpx
import pytest
from asgi_lifespan import LifespanManager

from platform_api.access.principal import TenantRole
from platform_api.access.scope import system_scope
from platform_api.access.tokens import Tokens
from platform_api.db.engine import Sessions
from platform_api.kit import clock
from platform_api.kit.ids import new_id
from platform_api.main import create_app
from platform_api.resources.sessions.login import LoginSessions
from platform_api.settings import Settings
from tests.factories.api import by_key, colleague, owner
from tests.fakes.orchestrator import FakeOrchestrator
from tests.fixtures.http import PASSWORD, Member, bearer, error_of, register

SESSIONS = "/api/v1/auth/sessions"
ME = "/api/v1/users/me"
REFRESH = "/api/v1/auth/refresh"


async def login(client: httpx.AsyncClient, member: Member, **headers: str) -> dict[str, str]:
    """The tokens of another session."""
    body = {"email": member.email, "password": PASSWORD}
    answer = await client.post("/api/v1/auth/login", json=body, headers=headers)
    assert answer.status_code == 200, answer.text
    tokens: dict[str, str] = answer.json()["data"]["tokens"]
    return tokens


async def listed(client: httpx.AsyncClient, token: str) -> list[dict[str, object]]:
    rows: list[dict[str, object]] = (await client.get(SESSIONS, headers=bearer(token))).json()["data"]
    return rows


class TestList:
    async def test_shows_each_login_once_with_its_origin(self, client: httpx.AsyncClient) -> None:
        member = await register(client)
        phone = await login(client, member, **{"User-Agent": "phone/1"})
        rows = await listed(client, phone["accessToken"])
        assert rows[0]["userAgent"] == "phone/1"
        assert [row["current"] for row in rows] == [True, False]
        assert set(rows[0]) == {
            *("id", "tenantId", "ipAddress", "userAgent", "createdAt", "lastUsedAt", "expiresAt", "current"),
        }
        assert rows[0]["ipAddress"] == "127.0.0.1"
        assert rows[0]["tenantId"] == member.tenant["id"]

    async def test_a_refresh_keeps_the_session(self, client: httpx.AsyncClient) -> None:
        member = await register(client)
        before = await listed(client, member.tokens["accessToken"])
        answer = await client.post(REFRESH, json={"refreshToken": member.tokens["refreshToken"]})
        after = await listed(client, answer.json()["data"]["tokens"]["accessToken"])
        assert [row["id"] for row in after] == [row["id"] for row in before]
        assert after[0]["createdAt"] == before[0]["createdAt"]
        assert str(after[0]["lastUsedAt"]) >= str(before[0]["lastUsedAt"])
        assert after[0]["current"] is True

    async def test_what_is_over_is_not_listed(self, client: httpx.AsyncClient) -> None:
        member = await register(client)
        other = await login(client, member)
        await client.post("/api/v1/auth/logout", headers=bearer(other["accessToken"]))
        assert len(await listed(client, member.tokens["accessToken"])) == 1
        with clock.freeze(clock.now() + timedelta(days=8)):
            fresh = await login(client, member)
            assert len(await listed(client, fresh["accessToken"])) == 1

    async def test_is_paged(self, client: httpx.AsyncClient) -> None:
        member = await register(client)
        for _ in range(2):
            await login(client, member)
        answer = await client.get(SESSIONS, params={"pageSize": 2, "page": 2}, headers=member.headers)
        assert len(answer.json()["data"]) == 1
        assert answer.json()["meta"]["pagination"]["totalItems"] == 3

    async def test_holds_nobody_elses(self, client: httpx.AsyncClient, sessions: Sessions, settings: Settings) -> None:
        boss = await owner(client)
        other = await colleague(boss, sessions, settings, TenantRole.ADMIN)
        mine = {row["id"] for row in (await boss.get("/auth/sessions")).json()["data"]}
        theirs = {row["id"] for row in (await other.get("/auth/sessions")).json()["data"]}
        assert mine
        assert theirs
        assert not mine & theirs


class TestEnd:
    async def test_ends_access_and_refresh_of_that_one_at_once(self, client: httpx.AsyncClient) -> None:
        member = await register(client)
        other = await login(client, member)
        session_id = next(row["id"] for row in await listed(client, other["accessToken"]) if row["current"])
        answer = await client.delete(f"{SESSIONS}/{session_id}", headers=member.headers)
        assert answer.status_code == 204
        error_of(await client.get(ME, headers=bearer(other["accessToken"])), 401, "UNAUTHENTICATED")
        follow = await client.post(REFRESH, json={"refreshToken": other["refreshToken"]})
        error_of(follow, 401, "UNAUTHENTICATED")
        assert (await client.get(ME, headers=member.headers)).status_code == 200
        again = await client.delete(f"{SESSIONS}/{session_id}", headers=member.headers)
        error_of(again, 404, "NOT_FOUND")
        entries = await client.get("/api/v1/audit-logs", params={"action": "auth.session_end"}, headers=member.headers)
        assert [entry["resourceId"] for entry in entries.json()["data"]] == [session_id]

    async def test_every_token_of_a_refreshed_session_dies(self, client: httpx.AsyncClient) -> None:
        member = await register(client)
        keeper = await login(client, member)
        newest = (await client.post(REFRESH, json={"refreshToken": member.tokens["refreshToken"]})).json()["data"]
        rows = await listed(client, keeper["accessToken"])
        session_id = next(row["id"] for row in rows if not row["current"])
        await client.delete(f"{SESSIONS}/{session_id}", headers=bearer(keeper["accessToken"]))
        for access in (member.tokens["accessToken"], newest["tokens"]["accessToken"]):
            assert error_of(await client.get(ME, headers=bearer(access)), 401, "UNAUTHENTICATED")

    async def test_one_may_end_the_current_one(self, client: httpx.AsyncClient) -> None:
        member = await register(client)
        rows = await listed(client, member.tokens["accessToken"])
        assert (await client.delete(f"{SESSIONS}/{rows[0]['id']}", headers=member.headers)).status_code == 204
        error_of(await client.get(ME, headers=member.headers), 401, "UNAUTHENTICATED")

    @pytest.mark.case(11)
    async def test_somebody_elses_is_not_there(
        self, client: httpx.AsyncClient, sessions: Sessions, settings: Settings
    ) -> None:
        """Case 11: also within the tenant a session is its user's alone."""
        boss = await owner(client)
        other = await colleague(boss, sessions, settings, TenantRole.VIEWER)
        theirs = (await other.get("/auth/sessions")).json()["data"][0]["id"]
        error_of(await boss.send("DELETE", f"/auth/sessions/{theirs}"), 404, "NOT_FOUND")
        error_of(await boss.send("DELETE", f"/auth/sessions/{new_id()}"), 404, "NOT_FOUND")
        assert (await other.get("/users/me")).status_code == 200

    async def test_what_is_no_id_is_refused(self, client: httpx.AsyncClient) -> None:
        member = await register(client)
        assert error_of(await client.delete(f"{SESSIONS}/current", headers=member.headers), 400, "VALIDATION_ERROR")

    async def test_a_key_ends_sessions_of_its_user_but_has_none(
        self, client: httpx.AsyncClient, sessions: Sessions
    ) -> None:
        boss = await owner(client)
        key = await by_key(boss, sessions, "sessions:read", "sessions:delete")
        rows = (await key.get("/auth/sessions")).json()["data"]
        assert [row["current"] for row in rows] == [False]
        assert UUID(rows[0]["id"])
        error_of(await key.post("/auth/logout"), 403, "FORBIDDEN")
        assert (await key.send("DELETE", f"/auth/sessions/{rows[0]['id']}")).status_code == 204


@pytest.mark.case(6)
@pytest.mark.parametrize(
    ("trusted", "seen"), [((), "127.0.0.1"), (("127.0.0.1",), "198.51.100.7"), (("10.0.0.0/8",), "127.0.0.1")]
)
async def test_the_address_is_taken_from_trusted_proxies_alone(
    settings: Settings, orchestrator: FakeOrchestrator, trusted: tuple[str, ...], seen: str
) -> None:
    """Case 6: `X-Forwarded-For` of anybody else is ignored."""
    api = type(settings.api)(trusted_proxies=trusted)
    app = create_app(settings.model_copy(update={"api": api}), orchestrator)
    async with (
        LifespanManager(app),
        httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url="http://api.example.com") as client,
    ):
        member = await register(client)
        tokens = await login(client, member, **{"X-Forwarded-For": "1.2.3.4, 198.51.100.7"})
        rows = await listed(client, tokens["accessToken"])
        assert rows[0]["ipAddress"] == seen
        entries = await client.get("/api/v1/audit-logs", params={"action": "auth.login"}, headers=member.headers)
        assert entries.json()["data"][0]["ipAddress"] == seen


class TestRefreshAtTheSameTime:
    """A rotation that is under way when sessions are ended leaves none behind."""

    @pytest.mark.parametrize("ending", ["logout", "one", "all"])
    async def test_what_it_adds_is_ended_too(
        self, client: httpx.AsyncClient, sessions: Sessions, settings: Settings, ending: str
    ) -> None:
        member = await register(client)
        headers, tokens = bearer(member.tokens["accessToken"]), Tokens(settings.auth)
        (open_now,) = await listed(client, member.tokens["accessToken"])
        elsewhere = bearer((await login(client, member))["accessToken"])
        change = {"currentPassword": PASSWORD, "newPassword": "Another-Pass-9"}
        call: Callable[[], Awaitable[httpx.Response]] = {
            "logout": partial(client.post, "/api/v1/auth/logout", headers=headers),
            "one": partial(client.delete, f"{SESSIONS}/{open_now['id']}", headers=headers),
            "all": partial(client.post, f"{ME}/password", json=change, headers=elsewhere),
        }[ending]
        async with system_scope(sessions) as scope:
            issued = await LoginSessions(scope, tokens).rotate(member.tokens["refreshToken"])
            assert issued is not None
            under_way = asyncio.ensure_future(call())
            await asyncio.sleep(0.3)
            assert not under_way.done()
        assert (await under_way).status_code == 204
        error_of(await client.get(ME, headers=bearer(issued.access_token)), 401, "UNAUTHENTICATED")
        follow = await client.post(REFRESH, json={"refreshToken": issued.refresh_token})
        error_of(follow, 401, "UNAUTHENTICATED")
