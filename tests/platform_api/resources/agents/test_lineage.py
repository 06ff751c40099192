"""`POST /agents/{id}/duplicate` and the versions of a whole lineage."""

import asyncio
from typing import Any

import httpx
import pytest

from platform_api.access.principal import TenantRole
from platform_api.db.engine import Sessions
from platform_api.settings import Settings
from tests.factories.api import Api, agent_body, by_key, colleague, owner
from tests.fixtures.http import error_of


@pytest.fixture
async def api(client: httpx.AsyncClient) -> Api:
    return await owner(client)


async def copied(api: Api, agent: dict[str, Any], **body: Any) -> dict[str, Any]:
    return await api.made(f"/agents/{agent['id']}/duplicate", body)


async def history(api: Api, agent: dict[str, Any]) -> list[tuple[str, int]]:
    answer = await api.get(f"/agents/{agent['id']}/versions")
    assert answer.status_code == 200, answer.text
    return [(row["agentId"], row["version"]) for row in answer.json()["data"]]


class TestDuplicate:
    async def test_is_a_private_draft_of_the_callers_with_the_same_content(
        self, api: Api, sessions: Sessions, settings: Settings
    ) -> None:
        body = agent_body(name="Echo", description="says it", tags=["a"], limits={"maxTokens": 5}, isPublic=True)
        source = await api.made("/agents", {**body, "inputSchema": {"type": "object"}})
        editor = await colleague(api, sessions, settings, TenantRole.EDITOR)
        answer = await editor.post(f"/agents/{source['id']}/duplicate")
        copy = answer.json()["data"]
        assert (answer.status_code, answer.headers["ETag"]) == (201, '"2"')
        assert (copy["name"], copy["status"], copy["isPublic"]) == ("Echo (copy)", "DRAFT", False)
        assert (copy["parentId"], copy["version"], copy["userId"]) == (source["id"], 2, str(editor.user_id))
        same = ("description", "type", "config", "inputSchema", "outputSchema", "tags", "limits")
        assert {name: copy[name] for name in same} == {name: source[name] for name in same}

    async def test_a_name_may_be_given_and_stays_in_bounds(self, api: Api) -> None:
        source = await api.made("/agents", agent_body(name="x" * 200))
        assert (await copied(api, source, name="Other"))["name"] == "Other"
        name = (await copied(api, source))["name"]
        assert (len(name), name.endswith(" (copy)")) == (200, True)

    async def test_versions_count_on_over_the_whole_lineage(self, api: Api) -> None:
        source = await api.made("/agents", agent_body())
        for number in range(3):
            await api.patch(f"/agents/{source['id']}", {"description": str(number)})
        child = await copied(api, source)
        grandchild = await copied(api, child)
        sibling = await copied(api, source)
        assert [each["version"] for each in (child, grandchild, sibling)] == [5, 6, 7]

    async def test_duplicates_at_once_get_versions_of_their_own(self, api: Api) -> None:
        source = await api.made("/agents", agent_body())
        copies = await asyncio.gather(*(copied(api, source) for _ in range(8)))
        assert sorted(copy["version"] for copy in copies) == list(range(2, 10))

    async def test_an_archived_agent_goes_on_as_its_duplicate(self, api: Api) -> None:
        source = await api.made("/agents", agent_body())
        await api.patch(f"/agents/{source['id']}", {"status": "ARCHIVED"})
        assert (await copied(api, source))["status"] == "DRAFT"

    @pytest.mark.case(11, 12, 13)
    async def test_refusals(self, api: Api, client: httpx.AsyncClient, sessions: Sessions, settings: Settings) -> None:
        """Cases 11, 12 and 13."""
        source = await api.made("/agents", agent_body())
        path = f"/agents/{source['id']}/duplicate"
        viewer = await colleague(api, sessions, settings, TenantRole.VIEWER)
        editor = await colleague(api, sessions, settings, TenantRole.EDITOR)
        assert error_of(await viewer.post(path), 403, "FORBIDDEN")
        assert error_of(await editor.post(path), 403, "FORBIDDEN")
        assert error_of(await (await by_key(api, sessions, "agents:read")).post(path), 403, "FORBIDDEN")
        assert error_of(await (await owner(client)).post(path), 404, "NOT_FOUND")
        assert error_of(await api.post(path, {"version": 9}), 400, "VALIDATION_ERROR")
        assert error_of(await api.post(path, {"name": ""}), 400, "VALIDATION_ERROR")

    async def test_is_in_the_audit_log(self, api: Api) -> None:
        copy = await copied(api, await api.made("/agents", agent_body()))
        entries = (await api.get("/audit-logs", resourceId=copy["id"])).json()["data"]
        assert [entry["action"] for entry in entries] == ["agent.duplicate"]


class TestHistory:
    async def test_is_the_lineages_newest_first_from_every_member(self, api: Api) -> None:
        source = await api.made("/agents", agent_body())
        await api.patch(f"/agents/{source['id']}", {"description": "two"})
        copy = await copied(api, source)
        await api.patch(f"/agents/{source['id']}", {"description": "three"})
        stranger = await api.made("/agents", agent_body())
        expected = [(source["id"], 3), (copy["id"], 3), (source["id"], 2), (source["id"], 1)]
        assert await history(api, source) == await history(api, copy) == expected
        assert await history(api, stranger) == [(stranger["id"], 1)]

    async def test_deleted_members_keep_theirs(self, api: Api) -> None:
        source = await api.made("/agents", agent_body())
        copy = await copied(api, source)
        await api.send("DELETE", f"/agents/{source['id']}")
        assert await history(api, copy) == [(copy["id"], 2), (source["id"], 1)]
        error_of(await api.get(f"/agents/{source['id']}/versions"), 404, "NOT_FOUND")

    async def test_private_members_show_nothing_to_others(
        self, api: Api, sessions: Sessions, settings: Settings
    ) -> None:
        source = await api.made("/agents", agent_body(isPublic=True))
        private = await copied(api, source)
        editor = await colleague(api, sessions, settings, TenantRole.EDITOR)
        assert await history(editor, source) == [(source["id"], 1)]
        assert await history(api, source) == [(private["id"], 2), (source["id"], 1)]
