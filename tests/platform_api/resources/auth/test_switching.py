"""Going over to another tenant, by HTTP (decision 4)."""

import asyncio
from typing import Any
from uuid import UUID

import httpx
import pytest
from fastapi import FastAPI
from sqlalchemy import update
from sqlmodel import col

from platform_api.access.principal import PlatformRole
from platform_api.access.scope import system_scope
from platform_api.db.engine import Sessions
from platform_api.db.models import Tenant, User
from platform_api.kit import clock
from platform_api.kit.ids import new_id
from platform_api.resources.sessions.service import UserSessions
from platform_api.resources.users.service import Users
from tests.factories.api import Api, agent_body, by_key, owner
from tests.fixtures.http import bearer, error_of
from tests.fixtures.mail import confirm

SWITCH = "/auth/switch-tenant"


async def joined(app: FastAPI, boss: Api, other: Api, role: str = "EDITOR") -> None:
    """`other` becomes a member of the tenant of `boss`."""
    email = (await other.get("/users/me")).json()["data"]["email"]
    await confirm(app, other.client, email)
    await boss.made("/tenants/current/members", {"email": email, "role": role})


async def switched(api: Api, tenant_id: UUID) -> Api:
    answer = await api.post(SWITCH, {"tenantId": str(tenant_id)})
    assert answer.status_code == 200, answer.text
    data = answer.json()["data"]
    assert data["tenant"]["id"] == str(tenant_id)
    headers = bearer(data["tokens"]["accessToken"])
    return Api(client=api.client, headers=headers, tenant_id=tenant_id, user_id=api.user_id)


async def make_admin(sessions: Sessions, api: Api) -> None:
    async with system_scope(sessions) as scope:
        promoted = update(User).where(col(User.id) == api.user_id).values(role=PlatformRole.ADMIN)
        await scope.session.execute(promoted)


async def test_a_member_works_in_the_other_tenant_with_the_role_there(app: FastAPI, client: httpx.AsyncClient) -> None:
    boss, other = await owner(client), await owner(client)
    await joined(app, boss, other, "VIEWER")
    public = await boss.made("/agents", agent_body(isPublic=True))
    there = await switched(other, boss.tenant_id)
    assert (await there.get(f"/agents/{public['id']}")).status_code == 200
    error_of(await there.post("/agents", agent_body()), 403, "FORBIDDEN")
    error_of(await other.get(f"/agents/{public['id']}"), 404, "NOT_FOUND")
    assert (await other.get("/tenants/current")).json()["data"]["id"] == str(other.tenant_id)


async def test_the_new_session_refreshes_in_its_tenant(app: FastAPI, client: httpx.AsyncClient) -> None:
    boss, other = await owner(client), await owner(client)
    await joined(app, boss, other)
    tokens = (await other.post(SWITCH, {"tenantId": str(boss.tenant_id)})).json()["data"]["tokens"]
    answer = await client.post("/api/v1/auth/refresh", json={"refreshToken": tokens["refreshToken"]})
    headers = bearer(answer.json()["data"]["tokens"]["accessToken"])
    current = await client.get("/api/v1/tenants/current", headers=headers)
    assert current.json()["data"]["id"] == str(boss.tenant_id)
    rows = (await other.get("/auth/sessions")).json()["data"]
    assert {row["tenantId"] for row in rows} == {str(boss.tenant_id), str(other.tenant_id)}


async def test_the_tenant_sees_who_came_in(app: FastAPI, client: httpx.AsyncClient) -> None:
    boss, other = await owner(client), await owner(client)
    await joined(app, boss, other)
    await switched(other, boss.tenant_id)
    entry = (await boss.get("/audit-logs", action="auth.switch_tenant")).json()["data"][0]
    assert entry["userId"] == str(other.user_id)
    assert entry["after"] == {"fromTenantId": str(other.tenant_id), "role": "EDITOR", "platformRole": "USER"}


@pytest.mark.case(11)
async def test_a_tenant_of_others_is_not_there(app: FastAPI, client: httpx.AsyncClient, sessions: Sessions) -> None:
    """Case 11: the same answer as for a tenant that does not exist."""
    boss, other = await owner(client), await owner(client)
    for tenant_id in (boss.tenant_id, new_id()):
        error = error_of(await other.post(SWITCH, {"tenantId": str(tenant_id)}), 404, "NOT_FOUND")
        assert error["message"] == f"There is no tenant {tenant_id}"
    await joined(app, boss, other)
    async with system_scope(sessions) as scope:
        gone = update(Tenant).where(col(Tenant.id) == boss.tenant_id).values(deleted_at=clock.now())
        await scope.session.execute(gone)
    error_of(await other.post(SWITCH, {"tenantId": str(boss.tenant_id)}), 404, "NOT_FOUND")


async def test_the_platforms_admin_enters_every_tenant_and_only_by_switching(
    client: httpx.AsyncClient, sessions: Sessions
) -> None:
    """Decision 4: without switching the 404 rule holds for ADMIN as well, and entering is audited."""
    boss, admin = await owner(client), await owner(client)
    await make_admin(sessions, admin)
    private = await boss.made("/agents", agent_body())
    error_of(await admin.get(f"/agents/{private['id']}"), 404, "NOT_FOUND")
    there = await switched(admin, boss.tenant_id)
    assert (await there.get(f"/agents/{private['id']}")).status_code == 200
    entry = (await boss.get("/audit-logs", action="auth.switch_tenant")).json()["data"][0]
    assert (entry["userId"], entry["after"]["platformRole"]) == (str(admin.user_id), "ADMIN")
    assert entry["after"]["role"] is None
    error_of(await admin.post(SWITCH, {"tenantId": str(new_id())}), 404, "NOT_FOUND")


async def test_an_admin_who_is_one_no_more_is_out_at_once(client: httpx.AsyncClient, sessions: Sessions) -> None:
    boss, admin = await owner(client), await owner(client)
    await make_admin(sessions, admin)
    tokens = (await admin.post(SWITCH, {"tenantId": str(boss.tenant_id)})).json()["data"]["tokens"]
    async with system_scope(sessions) as scope:
        demoted = update(User).where(col(User.id) == admin.user_id).values(role=PlatformRole.USER)
        await scope.session.execute(demoted)
    headers = bearer(tokens["accessToken"])
    assert error_of(await client.get("/api/v1/tenants/current", headers=headers), 401, "UNAUTHENTICATED")
    follow = await client.post("/api/v1/auth/refresh", json={"refreshToken": tokens["refreshToken"]})
    assert error_of(follow, 401, "UNAUTHENTICATED")


async def test_a_key_cannot_turn_itself_into_tokens(client: httpx.AsyncClient, sessions: Sessions) -> None:
    boss = await owner(client)
    key = await by_key(boss, sessions, "sessions:switch")
    assert error_of(await key.post(SWITCH, {"tenantId": str(boss.tenant_id)}), 403, "FORBIDDEN")


@pytest.mark.parametrize("body", [{}, {"tenantId": None}, {"tenantId": ""}, {"tenantId": "x"}, {"tenantId": ["x"]}])
async def test_what_is_no_tenant_is_refused(client: httpx.AsyncClient, body: dict[str, Any]) -> None:
    assert error_of(await (await owner(client)).post(SWITCH, body), 400, "VALIDATION_ERROR")


async def test_a_switch_under_way_does_not_outlive_the_end_of_all_sessions(
    client: httpx.AsyncClient, sessions: Sessions
) -> None:
    somebody = await owner(client)
    async with system_scope(sessions) as scope:
        await Users(scope).get(somebody.user_id, lock=True)
        await UserSessions(scope).end_all(somebody.user_id)
        under_way = asyncio.create_task(somebody.post(SWITCH, {"tenantId": str(somebody.tenant_id)}))
        await asyncio.sleep(0.3)
        assert not under_way.done()
    error_of(await under_way, 401, "UNAUTHENTICATED")
