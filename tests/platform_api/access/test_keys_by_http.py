"""Keys as a way in: what they may, and when they may nothing (case 7)."""

from datetime import timedelta
from typing import Any
from uuid import UUID, uuid4

import httpx
import pytest
from sqlalchemy import update
from sqlmodel import col

from platform_api.access.keys import new_project_key, new_user_key
from platform_api.access.scope import system_scope
from platform_api.db.engine import Sessions
from platform_api.db.models import ApiKey, Membership, Project, User
from platform_api.kit import clock
from tests.fixtures.http import Member, error_of, register

pytestmark = pytest.mark.case(7)

TENANT = "/api/v1/tenants/current"
ME = "/api/v1/users/me"


async def store_key(sessions: Sessions, member: Member, *, project: bool = False, **values: Any) -> tuple[str, UUID]:
    """A key of `member` (or of a project of theirs) as the database keeps it; gives its text and its id."""
    new = new_project_key() if project else new_user_key()
    tenant_id, user_id = UUID(member.tenant["id"]), UUID(member.user["id"])
    async with system_scope(sessions) as scope:
        project_id = None
        if project:
            row = Project(tenant_id=tenant_id, name=f"Project {uuid4().hex}")
            scope.session.add(row)
            await scope.session.flush()
            project_id = row.id
        key = ApiKey(
            **{
                "tenant_id": tenant_id,
                "user_id": user_id,
                "project_id": project_id,
                "name": "key",
                "key_prefix": new.prefix,
                "key_hash": new.hash,
                **values,
            }
        )
        scope.session.add(key)
    return new.text, key.id


async def change(sessions: Sessions, model: Any, condition: Any, **values: Any) -> None:
    async with system_scope(sessions) as scope:
        await scope.session.execute(update(model).where(condition).values(**values))


async def test_a_users_key_acts_as_the_user(client: httpx.AsyncClient, sessions: Sessions) -> None:
    member = await register(client)
    key, _ = await store_key(sessions, member)
    answer = await client.get(ME, headers={"X-API-Key": key})
    assert answer.json()["data"]["id"] == member.user["id"]


async def test_scopes_narrow_a_key(client: httpx.AsyncClient, sessions: Sessions) -> None:
    member = await register(client)
    key, _ = await store_key(sessions, member, scopes=["tenants:read"])
    assert (await client.get(TENANT, headers={"X-API-Key": key})).status_code == 200
    error_of(await client.get(ME, headers={"X-API-Key": key}), 403, "FORBIDDEN")


async def test_scopes_never_widen_a_role(client: httpx.AsyncClient, sessions: Sessions) -> None:
    member = await register(client)
    await change(sessions, Membership, col(Membership.user_id) == UUID(member.user["id"]), role="VIEWER")
    key, _ = await store_key(sessions, member, scopes=["tenants:update", "users:read"])
    answer = await client.patch(TENANT, json={"name": "Mine"}, headers={"X-API-Key": key})
    assert error_of(answer, 403, "FORBIDDEN")


async def test_a_key_without_scopes_may_nothing(client: httpx.AsyncClient, sessions: Sessions) -> None:
    member = await register(client)
    key, _ = await store_key(sessions, member, scopes=[])
    assert error_of(await client.get(TENANT, headers={"X-API-Key": key}), 403, "FORBIDDEN")


async def test_a_projects_key_is_a_machine_and_nobody(client: httpx.AsyncClient, sessions: Sessions) -> None:
    member = await register(client)
    key, _ = await store_key(sessions, member, project=True)
    headers = {"X-API-Key": key}
    assert (await client.get(TENANT, headers=headers)).status_code == 200
    for method, path in (("GET", ME), ("PATCH", TENANT), ("GET", "/api/v1/audit-logs"), ("GET", f"{ME}/tenants")):
        error_of(await client.request(method, path, headers=headers), 403, "FORBIDDEN")
    error_of(await client.post("/api/v1/auth/logout", headers=headers), 403, "FORBIDDEN")


@pytest.mark.parametrize("project", [True, False])
@pytest.mark.parametrize(
    "values",
    [
        {"revoked_at": clock.now()},
        {"deleted_at": clock.now()},
        {"expires_at": clock.now() - timedelta(seconds=1)},
    ],
)
async def test_a_key_that_is_over_is_worth_nothing(
    client: httpx.AsyncClient, sessions: Sessions, values: dict[str, Any], project: bool
) -> None:
    member = await register(client)
    key, _ = await store_key(sessions, member, project=project, **values)
    assert error_of(await client.get(TENANT, headers={"X-API-Key": key}), 401, "UNAUTHENTICATED")


@pytest.mark.parametrize("project", [True, False])
async def test_a_key_dies_with_its_owner(client: httpx.AsyncClient, sessions: Sessions, project: bool) -> None:
    member = await register(client)
    key, _ = await store_key(sessions, member, project=project)
    await change(sessions, User, col(User.id) == UUID(member.user["id"]), is_active=False)
    assert error_of(await client.get(TENANT, headers={"X-API-Key": key}), 401, "UNAUTHENTICATED")


@pytest.mark.parametrize("project", [True, False])
async def test_a_key_dies_with_the_membership_of_its_owner(
    client: httpx.AsyncClient, sessions: Sessions, project: bool
) -> None:
    """Case 7: no fallback to a lesser role."""
    member = await register(client)
    key, _ = await store_key(sessions, member, project=project)
    condition = col(Membership.user_id) == UUID(member.user["id"])
    await change(sessions, Membership, condition, deleted_at=clock.now())
    assert error_of(await client.get(TENANT, headers={"X-API-Key": key}), 401, "UNAUTHENTICATED")


async def test_a_projects_key_dies_with_its_project(client: httpx.AsyncClient, sessions: Sessions) -> None:
    member = await register(client)
    key, _ = await store_key(sessions, member, project=True)
    condition = col(Project.tenant_id) == UUID(member.tenant["id"])
    await change(sessions, Project, condition, deleted_at=clock.now())
    assert error_of(await client.get(TENANT, headers={"X-API-Key": key}), 401, "UNAUTHENTICATED")


@pytest.mark.parametrize("key", ["", "x", "tc_", "tc_ab12_" + "0" * 64, "cla_" + "0" * 36, "%00", "x" * 5000])
async def test_what_is_no_key(client: httpx.AsyncClient, key: str) -> None:
    assert error_of(await client.get(TENANT, headers={"X-API-Key": key}), 401, "UNAUTHENTICATED")


@pytest.mark.parametrize("header", ["Basic YTpi", "Bearer", "Bearer ", "bearer x", "Token x", "Bearer a b"])
async def test_what_is_no_bearer(client: httpx.AsyncClient, header: str) -> None:
    assert error_of(await client.get(TENANT, headers={"Authorization": header}), 401, "UNAUTHENTICATED")
