"""One's own profile and tenants, by HTTP."""

import httpx
import pytest

from tests.fixtures.http import error_of, register

ME = "/api/v1/users/me"


async def test_a_profile_is_camel_case_and_holds_no_secret(client: httpx.AsyncClient) -> None:
    member = await register(client)
    answer = await client.get(ME, headers=member.headers)
    body = answer.json()
    assert body["success"] is True
    assert set(body["meta"]) == {"timestamp", "requestId"}
    assert set(body["data"]) == {
        *("id", "email", "fullName", "avatarUrl", "role", "isActive", "emailVerifiedAt", "lastLoginAt"),
        *("preferences", "version", "createdAt", "updatedAt"),
    }
    assert body["data"]["createdAt"].endswith("Z")


async def test_what_is_named_changes_and_nothing_else(client: httpx.AsyncClient) -> None:
    member = await register(client)
    patch = {"fullName": "Grace Example", "preferences": {"theme": "dark", "rows": [1, 2]}}
    changed = (await client.patch(ME, json=patch, headers=member.headers)).json()["data"]
    assert (changed["fullName"], changed["preferences"]) == ("Grace Example", {"theme": "dark", "rows": [1, 2]})
    assert changed["version"] == member.user["version"] + 1
    assert changed["email"] == member.email
    assert (await client.get(ME, headers=member.headers)).json()["data"] == changed


async def test_a_picture_can_be_set_and_removed(client: httpx.AsyncClient) -> None:
    member = await register(client)
    url = "https://example.com/a.png"
    assert (await client.patch(ME, json={"avatarUrl": url}, headers=member.headers)).json()["data"]["avatarUrl"] == url
    removed = await client.patch(ME, json={"avatarUrl": None}, headers=member.headers)
    assert removed.json()["data"]["avatarUrl"] is None


async def test_nothing_named_changes_nothing(client: httpx.AsyncClient) -> None:
    member = await register(client)
    answer = await client.patch(ME, json={}, headers=member.headers)
    assert answer.json()["data"]["version"] == member.user["version"]


async def test_a_stale_version_is_refused(client: httpx.AsyncClient) -> None:
    member = await register(client)
    fresh = {"fullName": "Grace", "version": member.user["version"]}
    assert (await client.patch(ME, json=fresh, headers=member.headers)).status_code == 200
    error_of(await client.patch(ME, json=fresh, headers=member.headers), 409, "VERSION_CONFLICT")


async def test_the_tag_of_a_version_makes_a_change_conditional(client: httpx.AsyncClient) -> None:
    member = await register(client)
    tag = (await client.get(ME, headers=member.headers)).headers["ETag"]
    headers = {**member.headers, "If-Match": tag}
    changed = await client.patch(ME, json={"fullName": "Grace"}, headers=headers)
    assert changed.headers["ETag"] == f'"{member.user["version"] + 1}"' != tag
    error_of(await client.patch(ME, json={"fullName": "Eve"}, headers=headers), 409, "VERSION_CONFLICT")
    nonsense = {**member.headers, "If-Match": "yesterday"}
    error_of(await client.patch(ME, json={"fullName": "Eve"}, headers=nonsense), 400, "VALIDATION_ERROR")


@pytest.mark.parametrize(
    "patch",
    [
        {"role": "ADMIN"},
        {"email": "other@example.com"},
        {"isActive": True},
        {"id": "00000000-0000-7000-8000-000000000000"},
        {"passwordHash": "x"},
        {"tenantId": "x"},
        {"fullName": ""},
        {"fullName": "   "},
        {"fullName": "x" * 201},
        {"avatarUrl": "javascript:alert(1)"},
        {"preferences": [1]},
        {"version": 0},
    ],
)
async def test_what_may_not_be_set_is_refused(client: httpx.AsyncClient, patch: dict[str, object]) -> None:
    member = await register(client)
    error = error_of(await client.patch(ME, json=patch, headers=member.headers), 400, "VALIDATION_ERROR")
    assert [each["path"] for each in error["details"]] == list(patch)
    unchanged = (await client.get(ME, headers=member.headers)).json()["data"]
    assert unchanged["version"] == member.user["version"]
