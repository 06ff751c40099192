"""Duplicates, single versions and restores of workflows."""

from typing import Any
from uuid import uuid4

import httpx
import pytest

from platform_api.access.principal import TenantRole
from platform_api.db.engine import Sessions
from platform_api.settings import Settings
from tests.factories.api import Api, by_key, colleague, owner, step
from tests.fakes.orchestrator import FakeOrchestrator
from tests.fixtures.http import error_of


@pytest.fixture
async def api(client: httpx.AsyncClient) -> Api:
    return await owner(client)


def keys(workflow: dict[str, Any]) -> list[str]:
    return [each["stepKey"] for each in workflow["steps"]]


class TestDuplicate:
    async def test_is_a_private_draft_that_does_the_same(self, api: Api, orchestrator: FakeOrchestrator) -> None:
        agent = await api.active_agent()
        source = await api.active_workflow(
            name="Nightly",
            description="at night",
            isPublic=True,
            tags=["x"],
            schedule={"cron": "0 3 * * *"},
            steps=[step("one", agent), step("two", agent, dependsOn=["one"], onError="CONTINUE", default=1)],
            output="{{ two.output }}",
        )
        known = dict(orchestrator.deployments)
        answer = await api.post(f"/workflows/{source['id']}/duplicate")
        copy = answer.json()["data"]
        assert (answer.status_code, answer.headers["ETag"]) == (201, '"2"')
        assert (copy["name"], copy["slug"], copy["status"]) == ("Nightly (copy)", "nightly-copy", "DRAFT")
        assert (copy["parentId"], copy["version"], copy["isPublic"]) == (source["id"], 2, False)
        assert copy["schedule"] == {**source["schedule"], "enabled": False}
        same = ("description", "tags", "steps", "output", "inputSchema", "limits")
        assert {name: copy[name] for name in same} == {name: source[name] for name in same}
        assert orchestrator.deployments == known
        again = await api.made(f"/workflows/{copy['id']}/duplicate", {"name": "Third"})
        assert (again["name"], again["version"], again["parentId"]) == ("Third", 3, copy["id"])
        entries = (await api.get("/audit-logs", resourceId=again["id"])).json()["data"]
        assert [entry["action"] for entry in entries] == ["workflow.duplicate"]

    @pytest.mark.case(13)
    async def test_an_agent_that_is_not_ones_own_to_use_is_unknown(
        self, api: Api, sessions: Sessions, settings: Settings
    ) -> None:
        workflow = await api.active_workflow(isPublic=True)
        editor = await colleague(api, sessions, settings, TenantRole.EDITOR)
        assert (await editor.get(f"/workflows/{workflow['id']}")).status_code == 200
        error = error_of(await editor.post(f"/workflows/{workflow['id']}/duplicate"), 400, "VALIDATION_ERROR")
        assert [(each["path"], each["code"]) for each in error["details"]] == [("steps[0].agentId", "UNKNOWN_AGENT")]

    async def test_refusals(self, api: Api, client: httpx.AsyncClient, sessions: Sessions, settings: Settings) -> None:
        workflow = await api.active_workflow()
        path = f"/workflows/{workflow['id']}/duplicate"
        viewer = await colleague(api, sessions, settings, TenantRole.VIEWER)
        editor = await colleague(api, sessions, settings, TenantRole.EDITOR)
        assert error_of(await viewer.post(path), 403, "FORBIDDEN")
        assert error_of(await editor.post(path), 403, "FORBIDDEN")
        assert error_of(await (await by_key(api, sessions, "workflows:read")).post(path), 403, "FORBIDDEN")
        assert error_of(await (await owner(client)).post(path), 404, "NOT_FOUND")
        assert error_of(await api.post(path, {"status": "ACTIVE"}), 400, "VALIDATION_ERROR")


class TestVersions:
    async def test_one_version_is_as_it_was(self, api: Api) -> None:
        workflow = await api.active_workflow(name="First")
        await api.patch(f"/workflows/{workflow['id']}", {"name": "Second"})
        for number, name in ((1, "First"), (2, "Second")):
            version = (await api.get(f"/workflows/{workflow['id']}/versions/{number}")).json()["data"]
            assert (version["version"], version["definition"]["name"]) == (number, name)

    async def test_what_there_is_not(self, api: Api, client: httpx.AsyncClient) -> None:
        workflow = await api.active_workflow()
        other = await api.active_workflow()
        await api.patch(f"/workflows/{other['id']}", {"name": "x"})
        path = f"/workflows/{workflow['id']}/versions"
        assert error_of(await api.get(f"{path}/2"), 404, "NOT_FOUND")
        assert error_of(await api.get(f"{path}/0"), 400, "VALIDATION_ERROR")
        assert error_of(await api.get(f"{path}/99999999999"), 400, "VALIDATION_ERROR")
        assert error_of(await api.get(f"/workflows/{uuid4()}/versions/1"), 404, "NOT_FOUND")
        assert error_of(await (await owner(client)).get(f"{path}/1"), 404, "NOT_FOUND")


class TestRestore:
    async def test_makes_a_new_version_with_the_old_definition(self, api: Api, orchestrator: FakeOrchestrator) -> None:
        agent = await api.active_agent()
        workflow = await api.active_workflow(name="Old", steps=[step("one", agent)], output="{{ one.output }}")
        path = f"/workflows/{workflow['id']}"
        steps = [step("two", agent), step("three", agent)]
        await api.patch(path, {"name": "New", "steps": steps, "output": None})
        answer = await api.send("POST", f"{path}/versions/1/restore", **{"If-Match": '"2"'})
        restored = answer.json()["data"]
        assert (answer.status_code, answer.headers["ETag"]) == (200, '"3"')
        assert (keys(restored), restored["output"]) == (["one"], "{{ one.output }}")
        assert (restored["name"], restored["status"]) == ("New", "ACTIVE")
        assert [spec.version for spec in orchestrator.deployments.values()] == [3]
        listed = (await api.get(f"{path}/versions")).json()["data"]
        assert [row["version"] for row in listed] == [3, 2, 1]

    async def test_the_newest_version_is_there_already(self, api: Api) -> None:
        workflow = await api.active_workflow()
        answer = await api.post(f"/workflows/{workflow['id']}/versions/1/restore")
        assert answer.json()["data"]["version"] == 1

    async def test_is_checked_anew(self, api: Api) -> None:
        old, new = await api.active_agent(), await api.active_agent()
        workflow = await api.active_workflow(steps=[step("one", old)])
        await api.patch(f"/workflows/{workflow['id']}", {"steps": [step("one", new)]})
        assert (await api.send("DELETE", f"/agents/{old['id']}")).status_code == 204
        error = error_of(await api.post(f"/workflows/{workflow['id']}/versions/1/restore"), 400, "VALIDATION_ERROR")
        assert [each["code"] for each in error["details"]] == ["UNKNOWN_AGENT"]
        assert (await api.get(f"/workflows/{workflow['id']}")).json()["data"]["version"] == 2

    async def test_refusals(self, api: Api, client: httpx.AsyncClient, sessions: Sessions, settings: Settings) -> None:
        workflow = await api.active_workflow(isPublic=True)
        path = f"/workflows/{workflow['id']}/versions/1/restore"
        editor = await colleague(api, sessions, settings, TenantRole.EDITOR)
        assert error_of(await editor.post(path), 403, "FORBIDDEN")
        assert error_of(await (await owner(client)).post(path), 404, "NOT_FOUND")
        assert error_of(await api.send("POST", path, **{"If-Match": '"7"'}), 409, "VERSION_CONFLICT")
        assert error_of(await api.post(f"/workflows/{workflow['id']}/versions/9/restore"), 404, "NOT_FOUND")
