"""The audit log: what is written, what is left out, who reads it."""

from datetime import UTC, datetime
from typing import Any
from uuid import UUID

import httpx
import pytest
from sqlalchemy.exc import DBAPIError
from sqlmodel import col, delete

from platform_api.access.scope import tenant_scope
from platform_api.db import models
from platform_api.db.engine import Sessions
from platform_api.kit.ids import new_id
from platform_api.resources.audit_log.service import AuditLog
from tests.fixtures.http import PASSWORD, Member, register

PATH = "/api/v1/audit-logs"
SEEN = datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC)


async def entries(client: httpx.AsyncClient, member: Member, query: str = "") -> list[dict[str, Any]]:
    answer = await client.get(f"{PATH}?pageSize=100&sortOrder=asc{query}", headers=member.headers)
    assert answer.status_code == 200, answer.text
    return list(answer.json()["data"])


async def test_what_one_does_is_told_with_before_and_after(client: httpx.AsyncClient) -> None:
    member = await register(client)
    headers = {**member.headers, "X-Request-ID": "audit-test-1", "User-Agent": "tests/1"}
    await client.patch("/api/v1/users/me", json={"fullName": "Grace"}, headers=headers)
    (entry,) = await entries(client, member, "&action=user.update")
    assert (entry["before"], entry["after"]) == ({"fullName": "Ada Example"}, {"fullName": "Grace"})
    assert (entry["userId"], entry["actor"], entry["resourceId"]) == (member.user["id"], "user", member.user["id"])
    assert (entry["requestId"], entry["userAgent"]) == ("audit-test-1", "tests/1")


async def test_security_events_are_told(client: httpx.AsyncClient) -> None:
    member = await register(client)
    login = await client.post("/api/v1/auth/login", json={"email": member.email, "password": PASSWORD})
    other = {"Authorization": f"Bearer {login.json()['data']['tokens']['accessToken']}"}
    await client.post("/api/v1/auth/logout", headers=other)
    body = {"currentPassword": PASSWORD, "newPassword": "Another-One-2"}
    await client.post("/api/v1/users/me/password", json=body, headers=member.headers)
    actions = [entry["action"] for entry in await entries(client, member)]
    assert actions == ["tenant.create", "auth.register", "auth.login", "auth.logout", "user.password_change"]


async def test_nothing_secret_is_in_it(client: httpx.AsyncClient) -> None:
    member = await register(client)
    await client.patch("/api/v1/users/me", json={"preferences": {"apiToken": "hunter2"}}, headers=member.headers)
    answer = await client.get(PATH, headers=member.headers)
    assert "user.update" in answer.text
    assert "hunter2" not in answer.text
    assert PASSWORD not in answer.text


async def test_a_change_that_was_rolled_back_left_no_entry(client: httpx.AsyncClient) -> None:
    member = await register(client)
    await client.patch("/api/v1/users/me", json={"fullName": "Grace", "version": 99}, headers=member.headers)
    assert await entries(client, member, "&action=user.update") == []


@pytest.mark.parametrize(
    ("path", "body", "action"),
    [("users/me", {"fullName": "Ada Example"}, "user.update"), ("tenants/current", {"settings": {}}, "tenant.update")],
)
async def test_what_changes_nothing_is_no_new_version_and_leaves_no_entry(
    client: httpx.AsyncClient, path: str, body: dict[str, Any], action: str
) -> None:
    member = await register(client)
    answer = await client.patch(f"/api/v1/{path}", json=body, headers=member.headers)
    assert (answer.status_code, answer.json()["data"]["version"]) == (200, 1)
    assert await entries(client, member, f"&action={action}") == []


async def test_another_tenants_entries_are_not_seen(client: httpx.AsyncClient) -> None:
    one, other = await register(client), await register(client)
    seen = await entries(client, one, f"&userId={other.user['id']}")
    assert seen == []
    assert {entry["userId"] for entry in await entries(client, one)} == {one.user["id"]}


async def test_filters_and_pages(client: httpx.AsyncClient) -> None:
    member = await register(client)
    everything = await entries(client, member)
    assert [entry["action"] for entry in await entries(client, member, "&resourceType=tenant")] == ["tenant.create"]
    assert len(await entries(client, member, f"&resourceId={member.user['id']}")) == 1
    assert await entries(client, member, "&from=2999-01-01T00:00:00Z") == []
    assert await entries(client, member, "&to=2000-01-01T00:00:00Z") == []
    answer = await client.get(f"{PATH}?page=2&pageSize=1&sortOrder=asc", headers=member.headers)
    assert answer.json()["data"] == [everything[1]]
    assert answer.json()["meta"]["pagination"] == {
        "page": 2,
        "pageSize": 1,
        "totalItems": len(everything),
        "totalPages": len(everything),
    }


async def test_nested_secrets_are_taken_out_and_values_stay_json(client: httpx.AsyncClient, sessions: Sessions) -> None:
    member = await register(client)
    tenant_id, resource_id = UUID(member.tenant["id"]), new_id()
    headers = [{"authorization": "x", "X-API-Key": "x", "kept": 1}, {"name": "Cookie", "value": "x"}]
    auth = {"type": "apiKey", "in": "query", "value": "x"}
    after = {
        "config": {"headers": headers, "password": "x", "auth": auth},
        "limits": {"maxTokens": 5},
        "id": resource_id,
        "seen_at": SEEN,
    }
    async with tenant_scope(sessions, tenant_id) as scope:
        await AuditLog(scope).record("agent.update", "agent", resource_id, after=after)
    (entry,) = await entries(client, member, "&action=agent.update")
    assert entry["after"] == {
        "config": {"headers": [{"kept": 1}, {"name": "Cookie"}], "auth": {"type": "apiKey", "in": "query"}},
        "limits": {"maxTokens": 5},
        "id": str(resource_id),
        "seenAt": "2026-01-02T03:04:05.000Z",
    }
    assert (entry["actor"], entry["userId"]) == ("system", None)


async def test_not_even_the_owner_takes_an_entry_back(client: httpx.AsyncClient, sessions: Sessions) -> None:
    member = await register(client)
    mine = delete(models.AuditLog).where(col(models.AuditLog.tenant_id) == UUID(member.tenant["id"]))
    async with sessions() as session:
        with pytest.raises(DBAPIError, match="written once"):
            await session.execute(mine)
    assert await entries(client, member) != []
