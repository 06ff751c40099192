"""Projects over HTTP: made with a key and an agent, changed, deleted; what their key and their limits do."""

from typing import Any
from uuid import UUID, uuid4

import httpx
import pytest
from sqlalchemy import select

from platform_api.access.principal import TenantRole
from platform_api.access.scope import system_scope
from platform_api.db.engine import Sessions
from platform_api.db.models import ApiKey, Execution
from platform_api.settings import Settings
from tests.factories.api import Api, agent_body, by_key, colleague, owner, step
from tests.fixtures.http import error_of

UNKNOWN = "01890000-0000-7000-8000-000000000000"


@pytest.fixture
async def api(client: httpx.AsyncClient) -> Api:
    return await owner(client)


def codes(answer: httpx.Response) -> set[tuple[str, str]]:
    assert answer.status_code == 400, answer.text
    return {(each["path"], each["code"]) for each in answer.json()["error"]["details"]}


def machine(api: Api, key: str) -> Api:
    """The project's own key as the caller."""
    return Api(client=api.client, headers={"X-API-Key": key}, tenant_id=api.tenant_id, user_id=api.user_id)


class TestCreation:
    async def test_gives_project_agent_and_key_at_once(self, api: Api, sessions: Sessions) -> None:
        limits, budget = {"maxTokens": 10, "timeoutSeconds": 60}, {"maxCost": 5.5, "period": "MONTH"}
        body = {"name": "Flights", "description": "Late ones", "limits": limits, "budget": budget, "settings": {"a": 1}}
        made = await api.made("/projects", {**body, "agent": agent_body(name="First")})
        project, agent, key = made["project"], made["agent"], made["apiKey"]
        assert {name: project[name] for name in ("name", "description", "settings", "version")} == {
            "name": "Flights",
            "description": "Late ones",
            "settings": {"a": 1},
            "version": 1,
        }
        assert project["limits"] == limits
        assert project["budget"] == budget
        assert (agent["name"], agent["projectId"]) == ("First", project["id"])
        assert key.startswith("cla_")
        assert UUID(key.removeprefix("cla_")).version == 4
        async with system_scope(sessions) as scope:
            rows = [row.model_dump() for row in await scope.session.scalars(select(ApiKey))]
        assert key not in str(rows)
        assert key not in (await api.get("/api-keys")).text

    async def test_a_broken_agent_leaves_no_project(self, api: Api) -> None:
        config = {"language": "python", "code": "def main(input:\n"}
        answer = await api.post("/projects", {"name": "Broken", "agent": agent_body(config=config)})
        assert {path.split(".")[0] for path, _ in codes(answer)} == {"agent"}
        assert (await api.get("/projects")).json()["data"] == []

    async def test_a_taken_name(self, api: Api) -> None:
        await api.made("/projects", {"name": "Same"})
        error = error_of(await api.post("/projects", {"name": "Same"}), 409, "CONFLICT")
        assert [(each["path"], each["code"]) for each in error["details"]] == [("name", "TAKEN")]

    @pytest.mark.case(12)
    @pytest.mark.parametrize(
        ("body", "path"),
        [
            ({}, "name"),
            ({"name": " "}, "name"),
            ({"name": "x", "id": UNKNOWN}, "id"),
            ({"name": "x", "tenantId": UNKNOWN}, "tenantId"),
            ({"name": "x", "version": 7}, "version"),
            ({"name": "x", "limits": {"timeoutSeconds": -1}}, "limits.timeoutSeconds"),
            ({"name": "x", "budget": {"period": "YEAR"}}, "budget.period"),
            ({"name": "x", "budget": {"maxCost": -1}}, "budget.maxCost"),
            ({"name": "x", "budget": {"spent": 0}}, "budget.spent"),
        ],
    )
    async def test_what_cannot_be_read_or_assigned(self, api: Api, body: dict[str, Any], path: str) -> None:
        """Case 12."""
        assert path in {found for found, _ in codes(await api.post("/projects", body))}

    @pytest.mark.case(13)
    async def test_a_key_needs_the_agents_permission_too(self, api: Api, sessions: Sessions) -> None:
        """Case 13: not by way of a nested part."""
        key = await by_key(api, sessions, "projects:create")
        answer = await key.post("/projects", {"name": "Nested", "agent": agent_body()})
        error_of(answer, 403, "FORBIDDEN")
        assert (await key.post("/projects", {"name": "Plain"})).status_code == 201


class TestReadingAndChanging:
    async def test_lists_search_and_sort(self, api: Api) -> None:
        for name, description in (("Beta", "50% more"), ("Alpha", None), ("Gamma", "flights")):
            await api.made("/projects", {"name": name, "description": description})
        listed = await api.get("/projects", sortBy="name", sortOrder="asc")
        assert [each["name"] for each in listed.json()["data"]] == ["Alpha", "Beta", "Gamma"]
        assert [each["name"] for each in (await api.get("/projects", search="FLIGHT")).json()["data"]] == ["Gamma"]
        assert [each["name"] for each in (await api.get("/projects", search="50%")).json()["data"]] == ["Beta"]
        assert (await api.get("/projects", sortBy="limits")).status_code == 400

    async def test_a_change_bumps_the_version_and_a_stale_one_is_refused(self, api: Api) -> None:
        project = (await api.made("/projects", {"name": "P", "budget": {"maxTokens": 5}}))["project"]
        path = f"/projects/{project['id']}"
        changed = await api.patch(path, {"name": "Q", "budget": None}, **{"If-Match": '"1"'})
        assert changed.headers["ETag"] == '"2"'
        assert (changed.json()["data"]["name"], changed.json()["data"]["budget"]) == ("Q", None)
        error_of(await api.patch(path, {"name": "R", "version": 1}), 409, "VERSION_CONFLICT")
        same = await api.patch(path, {"name": "Q"})
        assert same.json()["data"]["version"] == 2

    async def test_changes_are_in_the_audit_log(self, api: Api) -> None:
        project = (await api.made("/projects", {"name": "Audited"}))["project"]
        await api.patch(f"/projects/{project['id']}", {"name": "Renamed"})
        await api.send("DELETE", f"/projects/{project['id']}")
        entries = (await api.get("/audit-logs", resourceId=project["id"])).json()["data"]
        assert [each["action"] for each in reversed(entries)] == ["project.create", "project.update", "project.delete"]
        assert (entries[1]["before"]["name"], entries[1]["after"]["name"]) == ("Audited", "Renamed")

    @pytest.mark.case(11)
    async def test_another_tenants_project_is_not_there(self, api: Api, client: httpx.AsyncClient) -> None:
        """Case 11."""
        project = (await api.made("/projects", {"name": "Ours"}))["project"]
        stranger, path = await owner(client), f"/projects/{project['id']}"
        error_of(await stranger.get(path), 404, "NOT_FOUND")
        error_of(await stranger.patch(path, {"name": "Theirs"}), 404, "NOT_FOUND")
        error_of(await stranger.send("DELETE", path), 404, "NOT_FOUND")
        error_of(await stranger.get(f"{path}/secrets"), 404, "NOT_FOUND")
        error_of(await stranger.send("PUT", f"{path}/secrets/A", {"value": "x"}), 404, "NOT_FOUND")
        error_of(await stranger.send("DELETE", f"{path}/secrets/A"), 404, "NOT_FOUND")
        assert (await stranger.get("/projects")).json()["data"] == []

    async def test_a_viewer_reads_and_changes_nothing(self, api: Api, sessions: Sessions, settings: Settings) -> None:
        project = (await api.made("/projects", {"name": "Shared"}))["project"]
        viewer = await colleague(api, sessions, settings, TenantRole.VIEWER)
        assert (await viewer.get(f"/projects/{project['id']}")).status_code == 200
        error_of(await viewer.patch(f"/projects/{project['id']}", {"name": "Mine"}), 403, "FORBIDDEN")
        error_of(await viewer.post("/projects", {"name": "Mine"}), 403, "FORBIDDEN")


class TestItsKey:
    @pytest.mark.case(7, 11)
    async def test_reads_and_runs_what_lies_in_the_project_alone(self, api: Api) -> None:
        """Cases 7 and 11."""
        made = await api.made("/projects", {"name": "Inside"})
        inside = await api.active_agent(projectId=made["project"]["id"])
        outside = await api.active_agent(isPublic=True)
        workflow = await api.active_workflow(projectId=made["project"]["id"], steps=[step("a", inside)])
        other = await api.active_workflow(isPublic=True, steps=[step("a", outside)])
        key = machine(api, made["apiKey"])
        assert [each["id"] for each in (await key.get("/agents")).json()["data"]] == [inside["id"]]
        assert [each["id"] for each in (await key.get("/workflows")).json()["data"]] == [workflow["id"]]
        error_of(await key.get(f"/agents/{outside['id']}"), 403, "FORBIDDEN")
        assert (await key.post(f"/workflows/{workflow['id']}/execute")).status_code == 201
        error_of(await key.post(f"/workflows/{other['id']}/execute"), 403, "FORBIDDEN")
        assert len((await key.get("/executions")).json()["data"]) == 1

    @pytest.mark.case(13)
    async def test_manages_nothing(self, api: Api) -> None:
        """Case 13: a machine makes, changes and deletes nothing, and knows no secrets."""
        made = await api.made("/projects", {"name": "Managed"})
        key, path = machine(api, made["apiKey"]), f"/projects/{made['project']['id']}"
        for method, where, body in (
            ("POST", "/agents", agent_body()),
            ("POST", "/projects", {"name": "Another"}),
            ("PATCH", path, {"name": "Renamed"}),
            ("DELETE", path, None),
            ("GET", f"{path}/secrets", None),
            ("PUT", f"{path}/secrets/A", {"value": "x"}),
            ("GET", "/secrets", None),
            ("GET", "/api-keys", None),
            ("POST", "/api-keys", {"name": "k", "scopes": ["agents:read"]}),
        ):
            assert error_of(await key.send(method, where, body), 403, "FORBIDDEN")

    async def test_sees_no_other_project(self, api: Api) -> None:
        one, other = await api.made("/projects", {"name": "One"}), await api.made("/projects", {"name": "Other"})
        key = machine(api, one["apiKey"])
        assert [each["name"] for each in (await key.get("/projects")).json()["data"]] == ["One"]
        error_of(await key.get(f"/projects/{other['project']['id']}"), 403, "FORBIDDEN")

    @pytest.mark.case(7)
    async def test_dies_with_the_project_at_once(self, api: Api) -> None:
        """Case 7."""
        made = await api.made("/projects", {"name": "Short"})
        key, path = machine(api, made["apiKey"]), f"/projects/{made['project']['id']}"
        assert (await key.get(path)).status_code == 200
        assert (await api.send("DELETE", path)).status_code == 204
        error_of(await key.get("/agents"), 401, "UNAUTHENTICATED")
        error_of(await api.get(path), 404, "NOT_FOUND")
        assert (await api.post("/projects", {"name": "Short"})).status_code == 201


class TestWhatLiesInIt:
    async def test_agents_and_workflows_are_put_in_moved_and_found(self, api: Api) -> None:
        project_id = (await api.made("/projects", {"name": "Home"}))["project"]["id"]
        agent = await api.active_agent(projectId=project_id)
        workflow = await api.active_workflow(steps=[step("a", agent)])
        moved = await api.patch(f"/workflows/{workflow['id']}", {"projectId": project_id})
        assert (moved.json()["data"]["projectId"], moved.json()["data"]["version"]) == (project_id, 2)
        for path, row in (("/agents", agent), ("/workflows", workflow)):
            found = (await api.get(path, projectId=project_id)).json()["data"]
            assert [each["id"] for each in found] == [row["id"]]
        out = await api.patch(f"/agents/{agent['id']}", {"projectId": None})
        assert out.json()["data"]["projectId"] is None

    @pytest.mark.case(11)
    async def test_an_unknown_or_foreign_project(self, api: Api, client: httpx.AsyncClient) -> None:
        """Case 11: ids of other tenants inside bodies."""
        foreign = (await (await owner(client)).made("/projects", {"name": "Foreign"}))["project"]["id"]
        agent = await api.active_agent()
        workflow = await api.active_workflow(steps=[step("a", agent)])
        body = {"name": "W", "steps": [step("a", agent)]}
        for project_id in (foreign, UNKNOWN):
            for answer in (
                await api.post("/agents", agent_body(projectId=project_id)),
                await api.patch(f"/agents/{agent['id']}", {"projectId": project_id}),
                await api.post("/workflows", {**body, "projectId": project_id}),
                await api.patch(f"/workflows/{workflow['id']}", {"projectId": project_id}),
            ):
                assert codes(answer) == {("projectId", "UNKNOWN_PROJECT")}
            checked = (await api.post("/workflows/validate", {**body, "projectId": project_id})).json()["data"]
            assert [each["code"] for each in checked["problems"]] == ["UNKNOWN_PROJECT"]

    async def test_what_is_left_of_a_deleted_project_goes_on(self, api: Api) -> None:
        project_id = (await api.made("/projects", {"name": "Gone"}))["project"]["id"]
        agent = await api.active_agent(projectId=project_id)
        await api.send("DELETE", f"/projects/{project_id}")
        renamed = await api.patch(f"/agents/{agent['id']}", {"name": "Orphan"})
        assert renamed.json()["data"]["name"] == "Orphan"

    async def test_a_run_takes_the_tightest_limits(self, api: Api, sessions: Sessions) -> None:
        limits = {"timeoutSeconds": 30, "maxTokens": 100, "maxCost": 2.5}
        project_id = (await api.made("/projects", {"name": uuid4().hex, "limits": limits}))["project"]["id"]
        agent = await api.active_agent(limits={"maxTokens": 50, "maxCost": 9})
        workflow = await api.active_workflow(
            projectId=project_id, limits={"timeoutSeconds": 60, "maxTokens": 70}, steps=[step("a", agent)]
        )
        started = await api.made(f"/workflows/{workflow['id']}/execute", {})
        async with system_scope(sessions) as scope:
            plan = (await scope.session.get_one(Execution, UUID(started["executionId"]))).plan
        bounds = ("timeoutSeconds", "maxTokens", "maxCost")
        assert [plan["limits"][name] for name in bounds] == [30, 70, 2.5]
        assert [plan["agents"][agent["id"]]["limits"][name] for name in bounds] == [None, 50, 2.5]
