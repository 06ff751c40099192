"""Members of a tenant, by HTTP: who may do what to whom, and that it counts at once."""

import asyncio
from typing import Any
from uuid import UUID, uuid4

import httpx
import pytest
from fastapi import FastAPI
from sqlalchemy import update
from sqlmodel import col

from platform_api.access.principal import PlatformRole, TenantRole
from platform_api.access.scope import system_scope
from platform_api.db.engine import Sessions
from platform_api.db.models import User
from platform_api.kit.ids import new_id
from platform_api.settings import Settings
from tests.factories.api import Api, by_key, colleague, owner
from tests.fixtures.http import bearer, error_of, register
from tests.fixtures.mail import confirm, mail_to

MEMBERS = "/tenants/current/members"


async def members_of(api: Api, **params: Any) -> list[dict[str, Any]]:
    answer = await api.get(MEMBERS, **params)
    assert answer.status_code == 200, answer.text
    rows: list[dict[str, Any]] = answer.json()["data"]
    return rows


async def change(api: Api, user_id: UUID, role: str, **headers: str) -> httpx.Response:
    return await api.patch(f"{MEMBERS}/{user_id}", {"role": role}, **headers)


async def remove(api: Api, user_id: UUID, **headers: str) -> httpx.Response:
    return await api.send("DELETE", f"{MEMBERS}/{user_id}", None, **headers)


async def team(client: httpx.AsyncClient, sessions: Sessions, settings: Settings) -> dict[str, Api]:
    """One member of each role."""
    boss = await owner(client)
    others = {role.value: await colleague(boss, sessions, settings, role) for role in TenantRole if role != "OWNER"}
    return {"OWNER": boss, **others}


async def audited(api: Api, action: str) -> list[dict[str, Any]]:
    rows: list[dict[str, Any]] = (await api.get("/audit-logs", action=action)).json()["data"]
    return rows


class TestList:
    async def test_every_member_sees_all_of_them_and_nothing_secret(
        self, client: httpx.AsyncClient, sessions: Sessions, settings: Settings
    ) -> None:
        everybody = await team(client, sessions, settings)
        for api in everybody.values():
            rows = await members_of(api)
            assert {(row["userId"], row["role"]) for row in rows} == {
                (str(each.user_id), role) for role, each in everybody.items()
            }
            assert set(rows[0]) == {
                *("userId", "email", "fullName", "avatarUrl", "isActive", "role", "version", "createdAt", "updatedAt"),
            }

    async def test_another_tenants_members_are_not_seen(self, client: httpx.AsyncClient) -> None:
        one, other = await owner(client), await owner(client)
        assert [row["userId"] for row in await members_of(one)] == [str(one.user_id)]
        assert [row["userId"] for row in await members_of(other)] == [str(other.user_id)]

    async def test_lists_are_searched_filtered_sorted_and_paged(
        self, client: httpx.AsyncClient, sessions: Sessions, settings: Settings
    ) -> None:
        boss = (await team(client, sessions, settings))["OWNER"]
        assert [row["role"] for row in await members_of(boss, role="VIEWER")] == ["VIEWER"]
        assert len(await members_of(boss, role="VIEWER,EDITOR")) == 2
        emails = [row["email"] for row in await members_of(boss, sortBy="email", sortOrder="asc")]
        assert emails == sorted(emails)
        assert [row["email"] for row in await members_of(boss, search=emails[1].upper())] == [emails[1]]
        assert await members_of(boss, search="%") == []
        page = await boss.get(MEMBERS, page=2, pageSize=3)
        assert page.json()["meta"]["pagination"] == {"page": 2, "pageSize": 3, "totalItems": 4, "totalPages": 2}

    @pytest.mark.parametrize("query", [{"role": "ROOT"}, {"sortBy": "passwordHash"}, {"nope": "1"}, {"search": "\x00"}])
    async def test_an_unknown_query_is_refused(self, client: httpx.AsyncClient, query: dict[str, str]) -> None:
        assert error_of(await (await owner(client)).get(MEMBERS, **query), 400, "VALIDATION_ERROR")


class TestAdd:
    async def test_a_known_user_is_a_member_at_once_and_told(self, app: FastAPI, client: httpx.AsyncClient) -> None:
        boss, other = await owner(client), await register(client)
        await confirm(app, client, other.email)
        added = await boss.made(MEMBERS, {"email": other.email.upper(), "role": "EDITOR"})
        assert (added["status"], added["userId"], added["role"]) == ("MEMBER", other.user["id"], "EDITOR")
        assert (added["email"], added["invitationId"], added["expiresAt"]) == (other.email, None, None)
        assert other.user["id"] in {row["userId"] for row in await members_of(boss)}
        tenants = await client.get("/api/v1/users/me/tenants", headers=other.headers)
        assert str(boss.tenant_id) in {each["id"] for each in tenants.json()["data"]}
        assert "added to" in (await mail_to(app, other.email))[-1]["Subject"]
        entry = (await audited(boss, "member.add"))[0]
        assert (entry["resourceId"], entry["after"]) == (other.user["id"], {"email": other.email, "role": "EDITOR"})

    async def test_an_account_that_nobody_confirmed_gets_an_invitation(
        self, app: FastAPI, client: httpx.AsyncClient
    ) -> None:
        """Anybody can register with anybody's address: that alone opens no tenant."""
        boss, squatter = await owner(client), await register(client)
        added = await boss.made(MEMBERS, {"email": squatter.email, "role": "ADMIN"})
        assert (added["status"], added["userId"], added["fullName"]) == ("INVITED", None, None)
        assert squatter.user["id"] not in {row["userId"] for row in await members_of(boss)}
        assert "invited" in (await mail_to(app, squatter.email))[-1]["Subject"]

    async def test_a_member_cannot_be_added_twice(self, app: FastAPI, client: httpx.AsyncClient) -> None:
        boss, other = await owner(client), await register(client)
        await confirm(app, client, other.email)
        body = {"email": other.email, "role": "EDITOR"}
        answers = await asyncio.gather(*(boss.post(MEMBERS, body) for _ in range(5)))
        assert sorted(each.status_code for each in answers) == [201, 409, 409, 409, 409]
        details = error_of(await boss.post(MEMBERS, body), 409, "CONFLICT")["details"]
        assert [(each["path"], each["code"]) for each in details] == [("email", "TAKEN")]

    async def test_only_an_owner_makes_owners(
        self, app: FastAPI, client: httpx.AsyncClient, sessions: Sessions, settings: Settings
    ) -> None:
        everybody = await team(client, sessions, settings)
        known, unknown = (await register(client)).email, f"{uuid4().hex}@example.com"
        await confirm(app, client, known)
        for email in (known, unknown):
            error_of(await everybody["ADMIN"].post(MEMBERS, {"email": email, "role": "OWNER"}), 403, "FORBIDDEN")
            assert (await everybody["OWNER"].post(MEMBERS, {"email": email, "role": "OWNER"})).status_code == 201

    @pytest.mark.parametrize("role", ["EDITOR", "VIEWER"])
    async def test_others_add_nobody(
        self, client: httpx.AsyncClient, sessions: Sessions, settings: Settings, role: str
    ) -> None:
        api = (await team(client, sessions, settings))[role]
        assert error_of(await api.post(MEMBERS, {"email": "a@example.com", "role": "VIEWER"}), 403, "FORBIDDEN")

    @pytest.mark.case(12)
    @pytest.mark.parametrize(
        "body",
        [
            {},
            {"email": "a@example.com"},
            {"role": "VIEWER"},
            {"email": "nobody", "role": "VIEWER"},
            {"email": "a@example.com", "role": "ROOT"},
            {"email": "a@example.com", "role": None},
            {"email": "a@example.com", "role": "VIEWER", "tenantId": "00000000-0000-7000-8000-000000000000"},
            {"email": "a@example.com", "role": "VIEWER", "userId": "00000000-0000-7000-8000-000000000000"},
        ],
    )
    async def test_a_wrong_body_is_refused(self, client: httpx.AsyncClient, body: dict[str, Any]) -> None:
        """Case 12: neither tenant nor user can be assigned."""
        assert error_of(await (await owner(client)).post(MEMBERS, body), 400, "VALIDATION_ERROR")


class TestChange:
    async def test_a_role_counts_from_the_next_request_on(
        self, client: httpx.AsyncClient, sessions: Sessions, settings: Settings
    ) -> None:
        boss = await owner(client)
        other = await colleague(boss, sessions, settings, TenantRole.VIEWER)
        error_of(await other.patch("/tenants/current", {"name": "Mine"}), 403, "FORBIDDEN")
        answer = await change(boss, other.user_id, "ADMIN")
        assert answer.json()["data"]["role"] == "ADMIN"
        assert answer.headers["ETag"] == '"2"'
        assert (await other.patch("/tenants/current", {"name": "Mine"})).status_code == 200
        await change(boss, other.user_id, "VIEWER")
        error_of(await other.patch("/tenants/current", {"name": "Again"}), 403, "FORBIDDEN")
        entry = (await audited(boss, "member.update"))[0]
        assert (entry["before"], entry["after"]) == ({"role": "ADMIN"}, {"role": "VIEWER"})

    async def test_the_same_role_changes_nothing(
        self, client: httpx.AsyncClient, sessions: Sessions, settings: Settings
    ) -> None:
        boss = await owner(client)
        other = await colleague(boss, sessions, settings, TenantRole.VIEWER)
        assert (await change(boss, other.user_id, "VIEWER")).json()["data"]["version"] == 1

    async def test_a_stale_version_is_refused(
        self, client: httpx.AsyncClient, sessions: Sessions, settings: Settings
    ) -> None:
        boss = await owner(client)
        other = await colleague(boss, sessions, settings, TenantRole.VIEWER)
        headers = {"If-Match": '"1"'}
        assert (await change(boss, other.user_id, "EDITOR", **headers)).status_code == 200
        error_of(await change(boss, other.user_id, "ADMIN", **headers), 409, "VERSION_CONFLICT")
        error_of(await remove(boss, other.user_id, **headers), 409, "VERSION_CONFLICT")
        body = {"role": "ADMIN", "version": 2}
        assert (await boss.patch(f"{MEMBERS}/{other.user_id}", body)).status_code == 200

    async def test_an_admin_neither_touches_nor_makes_owners(
        self, client: httpx.AsyncClient, sessions: Sessions, settings: Settings
    ) -> None:
        everybody = await team(client, sessions, settings)
        admin = everybody["ADMIN"]
        error_of(await change(admin, everybody["OWNER"].user_id, "VIEWER"), 403, "FORBIDDEN")
        error_of(await remove(admin, everybody["OWNER"].user_id), 403, "FORBIDDEN")
        error_of(await change(admin, everybody["EDITOR"].user_id, "OWNER"), 403, "FORBIDDEN")
        error_of(await change(admin, admin.user_id, "OWNER"), 403, "FORBIDDEN")
        assert (await change(admin, everybody["EDITOR"].user_id, "ADMIN")).status_code == 200

    async def test_the_last_owner_stays_one(
        self, client: httpx.AsyncClient, sessions: Sessions, settings: Settings
    ) -> None:
        everybody = await team(client, sessions, settings)
        boss, admin = everybody["OWNER"], everybody["ADMIN"]
        for answer in (await change(boss, boss.user_id, "ADMIN"), await remove(boss, boss.user_id)):
            assert error_of(answer, 409, "CONFLICT")["details"][0]["code"] == "LAST_OWNER"
        assert (await change(boss, admin.user_id, "OWNER")).status_code == 200
        assert (await change(boss, boss.user_id, "EDITOR")).status_code == 200
        error_of(await remove(admin, admin.user_id), 409, "CONFLICT")

    async def test_of_two_owners_that_leave_at_once_one_stays(
        self, client: httpx.AsyncClient, sessions: Sessions, settings: Settings
    ) -> None:
        boss = await owner(client)
        other = await colleague(boss, sessions, settings, TenantRole.OWNER)
        answers = await asyncio.gather(remove(boss, boss.user_id), remove(other, other.user_id))
        assert sorted(each.status_code for each in answers) == [204, 409]

    async def test_an_owner_who_cannot_log_in_does_not_count(
        self, client: httpx.AsyncClient, sessions: Sessions, settings: Settings
    ) -> None:
        boss = await owner(client)
        other = await colleague(boss, sessions, settings, TenantRole.OWNER)
        async with system_scope(sessions) as scope:
            await scope.session.execute(update(User).where(col(User.id) == other.user_id).values(is_active=False))
        assert error_of(await remove(boss, boss.user_id), 409, "CONFLICT")

    @pytest.mark.case(11)
    async def test_who_is_no_member_here_is_not_found(self, client: httpx.AsyncClient) -> None:
        """Case 11: a user of another tenant is a 404, and stays what they are there."""
        boss, stranger = await owner(client), await owner(client)
        for user_id in (stranger.user_id, new_id()):
            error_of(await change(boss, user_id, "VIEWER"), 404, "NOT_FOUND")
            error_of(await remove(boss, user_id), 404, "NOT_FOUND")
        assert [row["role"] for row in await members_of(stranger)] == ["OWNER"]

    @pytest.mark.parametrize(
        "body", [{}, {"role": "ROOT"}, {"role": "ADMIN", "userId": "x"}, {"role": "ADMIN", "version": 0}]
    )
    async def test_a_wrong_body_is_refused(self, client: httpx.AsyncClient, body: dict[str, Any]) -> None:
        boss = await owner(client)
        assert error_of(await boss.patch(f"{MEMBERS}/{boss.user_id}", body), 400, "VALIDATION_ERROR")

    async def test_the_platforms_admin_may_do_what_an_owner_does(
        self, client: httpx.AsyncClient, sessions: Sessions, settings: Settings
    ) -> None:
        everybody = await team(client, sessions, settings)
        viewer = everybody["VIEWER"]
        async with system_scope(sessions) as scope:
            promoted = update(User).where(col(User.id) == viewer.user_id).values(role=PlatformRole.ADMIN)
            await scope.session.execute(promoted)
        assert (await change(viewer, everybody["ADMIN"].user_id, "OWNER")).status_code == 200


class TestRemove:
    async def test_access_and_refresh_end_at_once(self, app: FastAPI, client: httpx.AsyncClient) -> None:
        boss, other = await owner(client), await register(client)
        await confirm(app, client, other.email)
        await boss.made(MEMBERS, {"email": other.email, "role": "EDITOR"})
        switched = await client.post(
            "/api/v1/auth/switch-tenant", json={"tenantId": str(boss.tenant_id)}, headers=other.headers
        )
        tokens = switched.json()["data"]["tokens"]
        assert (await remove(boss, UUID(other.user["id"]))).status_code == 204
        me = "/api/v1/users/me"
        error_of(await client.get(me, headers=bearer(tokens["accessToken"])), 401, "UNAUTHENTICATED")
        follow = await client.post("/api/v1/auth/refresh", json={"refreshToken": tokens["refreshToken"]})
        error_of(follow, 401, "UNAUTHENTICATED")
        assert (await client.get(me, headers=other.headers)).status_code == 200  # their own tenant's session goes on
        await boss.made(MEMBERS, {"email": other.email, "role": "VIEWER"})
        error_of(await client.get(me, headers=bearer(tokens["accessToken"])), 401, "UNAUTHENTICATED")
        assert (await audited(boss, "member.remove"))[0]["before"] == {"role": "EDITOR"}

    @pytest.mark.parametrize("role", ["ADMIN", "EDITOR", "VIEWER"])
    async def test_everybody_but_the_last_owner_may_leave(
        self, client: httpx.AsyncClient, sessions: Sessions, settings: Settings, role: str
    ) -> None:
        everybody = await team(client, sessions, settings)
        leaver = everybody[role]
        assert (await remove(leaver, leaver.user_id)).status_code == 204
        assert str(leaver.user_id) not in {row["userId"] for row in await members_of(everybody["OWNER"])}

    @pytest.mark.parametrize("role", ["EDITOR", "VIEWER"])
    async def test_others_remove_nobody_else(
        self, client: httpx.AsyncClient, sessions: Sessions, settings: Settings, role: str
    ) -> None:
        everybody = await team(client, sessions, settings)
        for name, target in everybody.items():
            if name != role:
                assert error_of(await remove(everybody[role], target.user_id), 403, "FORBIDDEN")

    async def test_a_key_does_only_what_its_scopes_say(self, client: httpx.AsyncClient, sessions: Sessions) -> None:
        boss = await owner(client)
        reader = await by_key(boss, sessions, "members:read")
        assert len(await members_of(reader)) == 1
        error_of(await reader.post(MEMBERS, {"email": "a@example.com", "role": "VIEWER"}), 403, "FORBIDDEN")
