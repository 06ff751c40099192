"""Keys of users: made within their maker's role, shown once, replaced, revoked, counted (case 7)."""

import re
from datetime import timedelta
from typing import Any
from uuid import UUID

import httpx
import pytest
from fastapi import FastAPI
from sqlalchemy import select, update
from sqlmodel import col

from platform_api.access.principal import TenantRole
from platform_api.access.scope import system_scope
from platform_api.db.engine import Sessions
from platform_api.db.models import ApiKey, Membership
from platform_api.kit import clock
from platform_api.settings import Settings
from tests.factories.api import Api, by_key, colleague, owner
from tests.fixtures.http import error_of

pytestmark = pytest.mark.case(7)

BODY = {"name": "CI", "scopes": ["agents:read", "workflows:read"]}


@pytest.fixture
async def api(client: httpx.AsyncClient) -> Api:
    return await owner(client)


def using(api: Api, key: str) -> Api:
    return Api(client=api.client, headers={"X-API-Key": key}, tenant_id=api.tenant_id, user_id=api.user_id)


async def row_of(sessions: Sessions, key_id: str) -> ApiKey:
    async with system_scope(sessions) as scope:
        return (await scope.session.execute(select(ApiKey).where(col(ApiKey.id) == UUID(key_id)))).scalar_one()


def details(answer: httpx.Response) -> set[tuple[str, str]]:
    assert answer.status_code == 400, answer.text
    return {(each["path"], each["code"]) for each in answer.json()["error"]["details"]}


async def test_a_key_is_shown_once_and_kept_as_a_hash(api: Api, sessions: Sessions) -> None:
    made = await api.made("/api-keys", {**BODY, "rateLimitPerMinute": 7})
    key = made["key"]
    assert re.fullmatch(r"tc_[0-9a-f]{8}_[0-9a-f]{64}", key)
    assert key.startswith(made["keyPrefix"] + "_")
    assert (made["scopes"], made["rateLimitPerMinute"], made["expiresAt"]) == (BODY["scopes"], 7, None)
    row = await row_of(sessions, made["id"])
    assert key.rpartition("_")[2] not in str(row.model_dump())
    listed = await api.get("/api-keys")
    assert [each["id"] for each in listed.json()["data"]] == [made["id"]]
    audit = await api.get("/audit-logs", resourceId=made["id"])
    assert audit.json()["data"][0]["action"] == "api-key.create"
    for answer in (listed, audit):
        assert key not in answer.text
        assert row.key_hash not in answer.text


async def test_it_acts_within_its_scopes(api: Api) -> None:
    key = using(api, (await api.made("/api-keys", BODY))["key"])
    assert (await key.get("/agents")).status_code == 200
    error_of(await key.get("/projects"), 403, "FORBIDDEN")


@pytest.mark.case(12)
@pytest.mark.parametrize(
    ("change", "expected"),
    [
        ({"scopes": []}, ("scopes", "TOO_SHORT")),
        ({"scopes": ["agents:read", "agents:fly"]}, ("scopes[1]", "UNKNOWN_SCOPE")),
        ({"scopes": ["users:read"]}, ("scopes[0]", "SCOPE_TOO_WIDE")),
        ({"expiresAt": "2020-01-01T00:00:00Z"}, ("expiresAt", "IN_THE_PAST")),
        ({"rateLimitPerMinute": 0}, ("rateLimitPerMinute", "GREATER_THAN_EQUAL")),
        ({"userId": "x"}, ("userId", "UNKNOWN_FIELD")),
        ({"keyHash": "x"}, ("keyHash", "UNKNOWN_FIELD")),
    ],
)
async def test_what_a_key_cannot_be(api: Api, change: dict[str, Any], expected: tuple[str, str]) -> None:
    """Cases 7 and 12: never wider than its maker, nothing assigned that is not the maker's to say."""
    assert details(await api.post("/api-keys", {**BODY, **change})) == {expected}


async def test_a_viewer_gives_no_more_than_a_viewer_has(api: Api, sessions: Sessions, settings: Settings) -> None:
    viewer = await colleague(api, sessions, settings, TenantRole.VIEWER)
    assert details(await viewer.post("/api-keys", {"name": "k", "scopes": ["agents:create"]})) == {
        ("scopes[0]", "SCOPE_TOO_WIDE")
    }
    assert (await viewer.post("/api-keys", BODY)).status_code == 201


async def test_a_key_makes_keys_only_when_it_may_and_never_wider_ones(api: Api, sessions: Sessions) -> None:
    error_of(await (await by_key(api, sessions, "agents:read")).post("/api-keys", BODY), 403, "FORBIDDEN")
    maker = await by_key(api, sessions, "api-keys:create", "agents:read")
    assert details(await maker.post("/api-keys", BODY)) == {("scopes[1]", "SCOPE_TOO_WIDE")}
    assert (await maker.post("/api-keys", {"name": "k", "scopes": ["agents:read"]})).status_code == 201


async def test_a_key_never_gets_hold_of_a_wider_one_by_rotation(api: Api, sessions: Sessions) -> None:
    wide = await api.made("/api-keys", BODY)
    project = await api.made("/projects", {"name": "P"})
    keys = {each["keyPrefix"][:3]: each["id"] for each in (await api.get("/api-keys")).json()["data"]}
    narrow = await by_key(api, sessions, "api-keys:update", "agents:read")
    error_of(await narrow.post(f"/api-keys/{wide['id']}/rotate"), 403, "FORBIDDEN")
    error_of(await narrow.post(f"/api-keys/{keys['cla']}/rotate"), 403, "FORBIDDEN")
    assert (await using(api, project["apiKey"]).get("/agents")).status_code == 200


async def test_the_key_of_a_project_that_a_key_makes_does_no_more_than_that_key(api: Api) -> None:
    end = (clock.now() + timedelta(hours=1)).isoformat()
    scopes = ["projects:create", "agents:read"]
    maker = using(api, (await api.made("/api-keys", {"name": "k", "scopes": scopes, "expiresAt": end}))["key"])
    made = using(api, (await maker.made("/projects", {"name": "P"}))["apiKey"])
    assert (await made.get("/agents")).status_code == 200
    error_of(await made.get("/workflows"), 403, "FORBIDDEN")
    with clock.freeze(clock.now() + timedelta(hours=2)):
        error_of(await made.get("/agents"), 401, "UNAUTHENTICATED")


async def test_what_a_key_makes_ends_with_it(api: Api) -> None:
    end = clock.now() + timedelta(hours=1)
    body = {"name": "k", "scopes": ["api-keys:create", "api-keys:update"], "expiresAt": end.isoformat()}
    maker, lasting = using(api, (await api.made("/api-keys", body))["key"]), await api.made("/api-keys", {**BODY})
    own = {"name": "k", "scopes": ["api-keys:create"]}
    for expires_at in (None, (end + timedelta(seconds=1)).isoformat()):
        answer = await maker.post("/api-keys", {**own, "expiresAt": expires_at})
        assert details(answer) == {("expiresAt", "OUTLIVES_ITS_MAKER")}
    assert (await maker.post("/api-keys", {**own, "expiresAt": end.isoformat()})).status_code == 201
    error_of(await maker.post(f"/api-keys/{lasting['id']}/rotate"), 403, "FORBIDDEN")


async def test_a_viewer_gets_no_key_of_a_project(api: Api, sessions: Sessions, settings: Settings) -> None:
    """Who made it as EDITOR has it no more, and is not given another."""
    maker = await colleague(api, sessions, settings, TenantRole.EDITOR)
    key = using(maker, (await maker.made("/projects", {"name": "P"}))["apiKey"])
    (listed,) = (await maker.get("/api-keys")).json()["data"]
    await api.patch(f"/tenants/current/members/{maker.user_id}", {"role": "VIEWER"})
    assert (await key.get("/agents")).status_code == 200
    error_of(await key.post(f"/agents/{listed['id']}/test", {"input": {}}), 403, "FORBIDDEN")
    error_of(await maker.post(f"/api-keys/{listed['id']}/rotate"), 403, "FORBIDDEN")
    assert (await maker.send("DELETE", f"/api-keys/{listed['id']}")).status_code == 204


@pytest.mark.parametrize("kind", ["tc_", "cla"])
async def test_rotation_replaces_the_key_at_once(api: Api, kind: str) -> None:
    old = {
        "tc_": (await api.made("/api-keys", BODY))["key"],
        "cla": (await api.made("/projects", {"name": "P"}))["apiKey"],
    }
    listed = (await api.get("/api-keys")).json()["data"]
    key_id = next(each["id"] for each in listed if each["keyPrefix"].startswith(kind))
    answer = await api.post(f"/api-keys/{key_id}/rotate")
    assert answer.status_code == 200, answer.text
    new = answer.json()["data"]["key"]
    assert new.startswith(kind)
    error_of(await using(api, old[kind]).get("/agents"), 401, "UNAUTHENTICATED")
    assert (await using(api, new).get("/agents")).status_code == 200


async def test_a_deleted_key_is_refused_at_once_and_gone(api: Api) -> None:
    made = await api.made("/api-keys", BODY)
    assert (await using(api, made["key"]).get("/agents")).status_code == 200
    assert (await api.send("DELETE", f"/api-keys/{made['id']}")).status_code == 204
    error_of(await using(api, made["key"]).get("/agents"), 401, "UNAUTHENTICATED")
    assert (await api.get("/api-keys")).json()["data"] == []
    error_of(await api.send("DELETE", f"/api-keys/{made['id']}"), 404, "NOT_FOUND")
    error_of(await api.post(f"/api-keys/{made['id']}/rotate"), 404, "NOT_FOUND")


async def test_an_expired_key_is_refused_and_not_rotated(api: Api) -> None:
    expires = clock.now() + timedelta(hours=1)
    made = await api.made("/api-keys", {**BODY, "expiresAt": expires.isoformat()})
    key = using(api, made["key"])
    assert (await key.get("/agents")).status_code == 200
    with clock.freeze(expires + timedelta(seconds=1)):
        error_of(await key.get("/agents"), 401, "UNAUTHENTICATED")


async def test_scopes_shrink_with_the_role_of_the_owner(api: Api, sessions: Sessions) -> None:
    key = using(api, (await api.made("/api-keys", {"name": "k", "scopes": ["projects:create"]}))["key"])
    assert (await key.post("/projects", {"name": "One"})).status_code == 201
    async with system_scope(sessions) as scope:
        mine = update(Membership).where(col(Membership.user_id) == api.user_id)
        await scope.session.execute(mine.values(role=TenantRole.VIEWER))
    error_of(await key.post("/projects", {"name": "Two"}), 403, "FORBIDDEN")


async def test_who_sees_and_manages_whose_keys(
    api: Api, sessions: Sessions, settings: Settings, client: httpx.AsyncClient
) -> None:
    editor = await colleague(api, sessions, settings, TenantRole.EDITOR)
    mine, theirs = await api.made("/api-keys", BODY), await editor.made("/api-keys", BODY)
    assert [each["id"] for each in (await editor.get("/api-keys")).json()["data"]] == [theirs["id"]]
    assert len((await api.get("/api-keys")).json()["data"]) == 2
    error_of(await editor.send("DELETE", f"/api-keys/{mine['id']}"), 403, "FORBIDDEN")
    error_of(await editor.post(f"/api-keys/{mine['id']}/rotate"), 403, "FORBIDDEN")
    error_of(await api.post(f"/api-keys/{theirs['id']}/rotate"), 403, "FORBIDDEN")
    stranger = await owner(client)
    error_of(await stranger.send("DELETE", f"/api-keys/{mine['id']}"), 404, "NOT_FOUND")
    error_of(await stranger.post(f"/api-keys/{mine['id']}/rotate"), 404, "NOT_FOUND")
    assert (await api.send("DELETE", f"/api-keys/{theirs['id']}")).status_code == 204


async def test_the_same_prefix_does_not_make_the_same_key(
    api: Api, client: httpx.AsyncClient, sessions: Sessions
) -> None:
    """Case 7: the prefix finds rows; the whole key is compared."""
    stranger = await owner(client)
    mine, theirs = await api.made("/api-keys", BODY), await stranger.made("/api-keys", BODY)
    async with system_scope(sessions) as scope:
        same = update(ApiKey).where(col(ApiKey.id) == UUID(theirs["id"])).values(key_prefix=mine["keyPrefix"])
        await scope.session.execute(same)
    assert (await using(api, mine["key"]).get("/agents")).status_code == 200
    forged = mine["keyPrefix"] + "_" + theirs["key"].rpartition("_")[2]
    error_of(await using(api, forged).get("/agents"), 401, "UNAUTHENTICATED")


async def test_uses_are_counted_together_and_not_one_by_one(api: Api, app: FastAPI, sessions: Sessions) -> None:
    made = await api.made("/api-keys", BODY)
    for _ in range(3):
        await using(api, made["key"]).get("/agents")
    assert (await row_of(sessions, made["id"])).usage_count == 0
    await app.state.platform.key_usage.flush()
    row = await row_of(sessions, made["id"])
    assert row.usage_count == 3
    assert row.last_used_at is not None
    await app.state.platform.key_usage.flush()
    assert (await row_of(sessions, made["id"])).usage_count == 3
