"""All users, for the platform's ADMIN, by HTTP."""

import asyncio
from collections.abc import AsyncIterator
from typing import Any
from uuid import uuid4

import httpx
import pytest
from asgi_lifespan import LifespanManager
from sqlalchemy import update
from sqlmodel import col

from platform_api.access.principal import PlatformRole
from platform_api.access.scope import system_scope
from platform_api.db.engine import Sessions
from platform_api.db.models import User
from platform_api.kit.ids import new_id
from platform_api.main import create_app
from platform_api.settings import DatabaseSettings, Settings
from tests.factories.api import Api, by_key, owner
from tests.fakes.orchestrator import FakeOrchestrator
from tests.fixtures.http import PASSWORD, bearer, error_of, register


async def make_admin(sessions: Sessions, api: Api) -> Api:
    async with system_scope(sessions) as scope:
        promoted = update(User).where(col(User.id) == api.user_id).values(role=PlatformRole.ADMIN)
        await scope.session.execute(promoted)
    return api


@pytest.fixture
async def admin(client: httpx.AsyncClient, sessions: Sessions) -> Api:
    """An ADMIN of the platform; on the shared database there are others."""
    return await make_admin(sessions, await owner(client))


@pytest.fixture
async def alone(fresh_database_url: str, settings: Settings, orchestrator: FakeOrchestrator) -> AsyncIterator[Api]:
    """The only ADMIN of a platform of their own."""
    database = DatabaseSettings(url=fresh_database_url, pool_size=5, pool_overflow=5)
    app = create_app(settings.model_copy(update={"database": database}), orchestrator)
    async with (
        LifespanManager(app),
        httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url="http://api.example.com") as client,
    ):
        yield await make_admin(app.state.platform.sessions, await owner(client))


async def listed(api: Api, **params: Any) -> list[dict[str, Any]]:
    answer = await api.get("/users", **params)
    assert answer.status_code == 200, answer.text
    rows: list[dict[str, Any]] = answer.json()["data"]
    return rows


class TestRead:
    async def test_users_of_every_tenant_are_found(self, client: httpx.AsyncClient, admin: Api) -> None:
        other = await register(client, fullName=f"Zoë {uuid4().hex}")
        for search in (other.email, other.email.upper(), other.user["fullName"][4:20]):
            assert [row["id"] for row in await listed(admin, search=search)] == [other.user["id"]]
        one = await admin.get(f"/users/{other.user['id']}")
        assert one.json()["data"]["email"] == other.email
        assert one.headers["ETag"] == f'"{one.json()["data"]["version"]}"'
        assert "hash" not in one.text.lower()

    async def test_filters_and_order(self, client: httpx.AsyncClient, admin: Api) -> None:
        tag = uuid4().hex
        users = [(await register(client, email=f"{n}-{tag}@example.com")).user for n in "cab"]
        await admin.patch(f"/users/{users[0]['id']}", {"isActive": False})
        await admin.patch(f"/users/{users[1]['id']}", {"role": "AGENT"})
        asleep = await listed(admin, search=tag, isActive="false")
        assert [row["id"] for row in asleep] == [users[0]["id"]]
        assert [row["id"] for row in await listed(admin, search=tag, role="AGENT")] == [users[1]["id"]]
        assert len(await listed(admin, search=tag, role="AGENT,USER", isActive="true")) == 2
        emails = [row["email"] for row in await listed(admin, search=tag, sortBy="email", sortOrder="asc")]
        assert emails == sorted(emails)
        page = await admin.get("/users", search=tag, page=2, pageSize=2)
        assert page.json()["meta"]["pagination"] == {"page": 2, "pageSize": 2, "totalItems": 3, "totalPages": 2}

    @pytest.mark.parametrize(
        "query",
        [{"role": "OWNER"}, {"isActive": "maybe"}, {"sortBy": "passwordHash"}, {"nope": "1"}, {"search": "a\x00"}],
    )
    async def test_an_unknown_query_is_refused(self, admin: Api, query: dict[str, str]) -> None:
        assert error_of(await admin.get("/users", **query), 400, "VALIDATION_ERROR")

    async def test_nobody_is_a_404(self, admin: Api) -> None:
        assert error_of(await admin.get(f"/users/{new_id()}"), 404, "NOT_FOUND")
        assert error_of(await admin.patch(f"/users/{new_id()}", {"fullName": "X"}), 404, "NOT_FOUND")
        assert error_of(await admin.get("/users/somebody"), 400, "VALIDATION_ERROR")

    async def test_an_owner_of_a_tenant_is_no_admin(self, client: httpx.AsyncClient) -> None:
        boss = await owner(client)
        for answer in (
            await boss.get("/users"),
            await boss.get(f"/users/{boss.user_id}"),
            await boss.patch(f"/users/{boss.user_id}", {"role": "ADMIN"}),
        ):
            assert error_of(answer, 403, "FORBIDDEN")

    async def test_a_key_of_an_admin_does_what_its_scopes_say(self, admin: Api, sessions: Sessions) -> None:
        key = await by_key(admin, sessions, "users:read")
        assert (await key.get("/users", pageSize=1)).status_code == 200
        error_of(await key.patch(f"/users/{admin.user_id}", {"fullName": "X"}), 403, "FORBIDDEN")


class TestChange:
    async def test_deactivation_ends_everything_at_once(self, client: httpx.AsyncClient, admin: Api) -> None:
        other = await register(client)
        path = f"/users/{other.user['id']}"
        assert (await admin.patch(path, {"isActive": False})).json()["data"]["isActive"] is False
        me = "/api/v1/users/me"
        login = {"email": other.email, "password": PASSWORD}
        error_of(await client.get(me, headers=other.headers), 401, "UNAUTHENTICATED")
        error_of(await client.post("/api/v1/auth/login", json=login), 401, "INVALID_CREDENTIALS")
        await admin.patch(path, {"isActive": True})
        error_of(await client.get(me, headers=other.headers), 401, "UNAUTHENTICATED")  # what was ended stays so
        refresh = {"refreshToken": other.tokens["refreshToken"]}
        error_of(await client.post("/api/v1/auth/refresh", json=refresh), 401, "UNAUTHENTICATED")
        again = (await client.post("/api/v1/auth/login", json=login)).json()["data"]["tokens"]
        assert (await client.get(me, headers=bearer(again["accessToken"]))).status_code == 200

    async def test_a_role_counts_from_the_next_request_on(self, client: httpx.AsyncClient, admin: Api) -> None:
        other = await owner(client)
        path = f"/users/{other.user_id}"
        error_of(await other.get("/users"), 403, "FORBIDDEN")
        await admin.patch(path, {"role": "ADMIN"})
        assert (await other.get("/users", pageSize=1)).status_code == 200
        await admin.patch(path, {"role": "USER"})
        error_of(await other.get("/users"), 403, "FORBIDDEN")

    async def test_what_changed_is_audited(self, client: httpx.AsyncClient, admin: Api) -> None:
        other = await register(client)
        await admin.patch(f"/users/{other.user['id']}", {"fullName": "Renamed", "role": "AGENT"})
        entry = (await admin.get("/audit-logs", resourceId=other.user["id"])).json()["data"][0]
        assert entry["before"] == {"fullName": "Ada Example", "role": "USER"}
        assert entry["after"] == {"fullName": "Renamed", "role": "AGENT"}
        assert entry["userId"] == str(admin.user_id)

    async def test_a_stale_version_is_refused(self, client: httpx.AsyncClient, admin: Api) -> None:
        other = await register(client)
        path = f"/users/{other.user['id']}"
        tag = (await admin.get(path)).headers["ETag"]
        changed = await admin.patch(path, {"fullName": "One"}, **{"If-Match": tag})
        assert changed.status_code == 200
        assert changed.headers["ETag"] != tag
        error_of(await admin.patch(path, {"fullName": "Two"}, **{"If-Match": tag}), 409, "VERSION_CONFLICT")
        error_of(await admin.patch(path, {"fullName": "Two", "version": 1}), 409, "VERSION_CONFLICT")
        same = await admin.patch(path, {"fullName": "One"})
        assert same.headers["ETag"] == changed.headers["ETag"]

    @pytest.mark.case(12)
    @pytest.mark.parametrize(
        "patch",
        [
            {"email": "x@example.com"},
            {"passwordHash": "x"},
            {"id": "x"},
            {"emailVerifiedAt": None},
            {"role": "OWNER"},
            {"isActive": "perhaps"},
            {"fullName": " "},
            {"version": 0},
        ],
    )
    async def test_what_may_not_be_set_is_refused(self, admin: Api, patch: dict[str, Any]) -> None:
        """Case 12."""
        details = error_of(await admin.patch(f"/users/{admin.user_id}", patch), 400, "VALIDATION_ERROR")["details"]
        assert [each["path"] for each in details] == list(patch)


class TestLastAdmin:
    @pytest.mark.parametrize(("patch", "path"), [({"role": "USER"}, "role"), ({"isActive": False}, "isActive")])
    async def test_stays_one(self, alone: Api, patch: dict[str, Any], path: str) -> None:
        error = error_of(await alone.patch(f"/users/{alone.user_id}", patch), 409, "CONFLICT")
        assert [(each["path"], each["code"]) for each in error["details"]] == [(path, "LAST_ADMIN")]
        assert (await alone.get("/users")).status_code == 200

    async def test_a_deactivated_admin_does_not_count(self, alone: Api) -> None:
        other = await owner(alone.client)
        await alone.patch(f"/users/{other.user_id}", {"role": "ADMIN", "isActive": False})
        error_of(await alone.patch(f"/users/{alone.user_id}", {"role": "USER"}), 409, "CONFLICT")
        await alone.patch(f"/users/{other.user_id}", {"isActive": True})
        assert (await alone.patch(f"/users/{alone.user_id}", {"role": "USER"})).status_code == 200

    async def test_of_two_that_step_down_at_once_one_stays(self, alone: Api) -> None:
        other = await owner(alone.client)
        await alone.patch(f"/users/{other.user_id}", {"role": "ADMIN"})
        step_down = {"role": "USER"}
        answers = await asyncio.gather(
            alone.patch(f"/users/{alone.user_id}", step_down), other.patch(f"/users/{other.user_id}", step_down)
        )
        assert sorted(each.status_code for each in answers) == [200, 409]
