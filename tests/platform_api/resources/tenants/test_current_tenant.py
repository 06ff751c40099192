"""The caller's own tenant, by HTTP."""

from uuid import UUID

import httpx
import pytest
from hypothesis import given
from hypothesis import strategies as st

from platform_api.db.engine import Sessions
from platform_api.resources.tenants.policy import code_egress
from platform_api.resources.tenants.service import MAX_SLUG, slug_of
from tests.fixtures.http import error_of, register

CURRENT = "/api/v1/tenants/current"


async def test_each_sees_their_own(client: httpx.AsyncClient) -> None:
    one, other = await register(client), await register(client)
    for member in (one, other):
        seen = (await client.get(CURRENT, headers=member.headers)).json()["data"]
        assert seen == member.tenant


async def test_name_and_settings_change(client: httpx.AsyncClient) -> None:
    member = await register(client)
    patch = {"name": "Renamed", "settings": {"locale": "de"}, "version": 1}
    changed = (await client.patch(CURRENT, json=patch, headers=member.headers)).json()["data"]
    assert (changed["name"], changed["settings"], changed["version"]) == ("Renamed", {"locale": "de"}, 2)
    assert changed["slug"] == member.tenant["slug"]
    error_of(await client.patch(CURRENT, json=patch, headers=member.headers), 409, "VERSION_CONFLICT")


async def test_the_tag_of_a_version_makes_a_change_conditional(client: httpx.AsyncClient) -> None:
    member = await register(client)
    tag = (await client.get(CURRENT, headers=member.headers)).headers["ETag"]
    assert tag == '"1"'
    headers = {**member.headers, "If-Match": tag}
    changed = await client.patch(CURRENT, json={"name": "Renamed"}, headers=headers)
    assert changed.headers["ETag"] == '"2"'
    error_of(await client.patch(CURRENT, json={"name": "Again"}, headers=headers), 409, "VERSION_CONFLICT")
    both = {"name": "Again", "version": 1}
    contradiction = await client.patch(CURRENT, json=both, headers={**member.headers, "If-Match": '"2"'})
    error_of(contradiction, 400, "VALIDATION_ERROR")


@pytest.mark.parametrize("patch", [{"slug": "mine"}, {"id": "x"}, {"name": " "}, {"deletedAt": None}, {"settings": 1}])
async def test_what_may_not_be_set_is_refused(client: httpx.AsyncClient, patch: dict[str, object]) -> None:
    member = await register(client)
    assert error_of(await client.patch(CURRENT, json=patch, headers=member.headers), 400, "VALIDATION_ERROR")


async def test_hosts_that_programs_may_reach_are_checked_and_hold_at_once(
    client: httpx.AsyncClient, sessions: Sessions
) -> None:
    member = await register(client)
    tenant_id = UUID(member.tenant["id"])
    assert await code_egress(sessions, tenant_id) == ()
    hosts = ["api.example.com", "*.example.org:8443"]
    changed = await client.patch(CURRENT, json={"settings": {"codeEgress": hosts}}, headers=member.headers)
    assert changed.json()["data"]["settings"] == {"codeEgress": hosts}
    assert await code_egress(sessions, tenant_id) == tuple(hosts)


@pytest.mark.parametrize("hosts", ["api.example.com", [1], ["https://api.example.com"], ["a b"], ["a.example"] * 201])
async def test_hosts_that_are_none_are_refused_by_name(client: httpx.AsyncClient, hosts: object) -> None:
    member = await register(client)
    refused = await client.patch(CURRENT, json={"settings": {"codeEgress": hosts}}, headers=member.headers)
    error = error_of(refused, 400, "VALIDATION_ERROR")
    assert "codeEgress" in str(error["details"])
    assert (await client.get(CURRENT, headers=member.headers)).json()["data"]["settings"] == {}


@given(st.text(max_size=200))
def test_a_slug_is_always_usable(name: str) -> None:
    slug = slug_of(name)
    assert 1 <= len(slug) <= MAX_SLUG
    assert slug.strip("-") == slug
    assert "--" not in slug
    assert slug.isascii()
    assert slug == slug.lower()
