"""`/agents` by HTTP."""

from typing import Any
from uuid import uuid4

import httpx
import pytest

from platform_api.access.principal import TenantRole
from platform_api.db.engine import Sessions
from platform_api.settings import Settings
from tests.factories.api import Api, agent_body, by_key, colleague, owner, step, workflow_body
from tests.fixtures.http import error_of


@pytest.fixture
async def api(client: httpx.AsyncClient) -> Api:
    return await owner(client)


def names(answer: httpx.Response) -> list[str]:
    assert answer.status_code == 200, answer.text
    return [row["name"] for row in answer.json()["data"]]


class TestCreate:
    async def test_starts_as_a_draft_of_version_one(self, api: Api) -> None:
        body = agent_body(description="adds", tags=["b", "a", "b"], limits={"timeoutSeconds": 5})
        answer = await api.post("/agents", body)
        agent = answer.json()["data"]
        assert answer.status_code == 201
        assert answer.headers["ETag"] == '"1"'
        assert agent["status"] == "DRAFT"
        assert agent["version"] == 1
        assert agent["tags"] == ["b", "a"]
        assert agent["limits"] == {"timeoutSeconds": 5}
        assert agent["isPublic"] is False
        assert agent["userId"] == str(api.user_id)
        assert agent["config"] == body["config"]
        assert (await api.get(f"/agents/{agent['id']}")).json()["data"] == agent

    async def test_names_every_bad_place_of_the_config(self, api: Api) -> None:
        config = {"operations": [{"op": "limit", "rows": 1}, {"op": "filter"}, {"op": "group", "by": 7}]}
        answer = await api.post("/agents", agent_body(type="DATA", config=config))
        paths = [detail["path"] for detail in error_of(answer, 400, "VALIDATION_ERROR")["details"]]
        assert "config.operations[2].by" in paths
        assert any(path.startswith("config.operations[1]") for path in paths)

    async def test_reports_config_and_schemas_together(self, api: Api) -> None:
        body = agent_body(config={"language": "python"}, inputSchema={"type": "nonsense"}, outputSchema={"type": 4})
        details = error_of(await api.post("/agents", body), 400, "VALIDATION_ERROR")["details"]
        paths = {detail["path"] for detail in details}
        assert {"config.code", "inputSchema.type", "outputSchema.type"} <= paths

    async def test_reports_a_bad_expression_in_the_config(self, api: Api) -> None:
        config = {"method": "GET", "url": "https://example.com/{{ inputs.page + }}"}
        answer = await api.post("/agents", agent_body(type="API", config=config))
        details = error_of(answer, 400, "VALIDATION_ERROR")["details"]
        assert [detail["path"] for detail in details] == ["config.url"]

    async def test_reports_what_an_llm_agent_cannot_do(self, api: Api) -> None:
        tools = [{"agentId": str(uuid4())}, {"agentId": "no id"}]
        config = {"temperature": 7, "tools": tools, "responseSchema": {"type": "nonsense"}, "prompt": "{{ inputs. }}"}
        answer = await api.post("/agents", agent_body(type="LLM", config=config))
        details = error_of(answer, 400, "VALIDATION_ERROR")["details"]
        assert {(each["path"], each["code"]) for each in details} == {
            ("config.model", "MISSING_FIELD"),
            ("config.temperature", "BAD_CONFIG"),
            ("config.prompt", "BAD_EXPRESSION"),
            ("config.responseSchema.type", "BAD_SCHEMA"),
            ("config.tools[0].agentId", "UNKNOWN_AGENT"),
            ("config.tools[1].agentId", "UNKNOWN_AGENT"),
        }

    async def test_what_others_keep_private_is_no_tool(self, api: Api, sessions: Sessions, settings: Settings) -> None:
        other = await colleague(api, sessions, settings, TenantRole.EDITOR)
        private = await other.made("/agents", agent_body())
        shared = await other.made("/agents", agent_body(isPublic=True))
        third = await colleague(api, sessions, settings, TenantRole.EDITOR)

        def calling(*tools: str) -> dict[str, Any]:
            listed = [{"agentId": each} for each in tools]
            return agent_body(type="LLM", config={"model": "m", "prompt": "?", "tools": listed})

        details = error_of(await third.post("/agents", calling(private["id"])), 400, "VALIDATION_ERROR")["details"]
        assert [each["code"] for each in details] == ["UNKNOWN_AGENT"]
        assert (await third.made("/agents", calling(shared["id"])))["type"] == "LLM"

    @pytest.mark.case(12)
    async def test_makes_nothing_over_what_there_is(self, api: Api) -> None:
        agent = await api.active_agent(name="First")
        error_of(await api.post("/agents", agent_body(name="Second", id=agent["id"])), 400, "VALIDATION_ERROR")
        assert (await api.get(f"/agents/{agent['id']}")).json()["data"] == agent

    @pytest.mark.case(12)
    @pytest.mark.parametrize(
        "extra",
        [
            {"id": str(uuid4())},
            {"createdAt": "2020-01-01T00:00:00Z"},
            {"status": "ACTIVE"},
            {"version": 7},
            {"userId": str(uuid4())},
            {"tenantId": str(uuid4())},
            {"tenant_id": str(uuid4())},
            {"metrics": {}},
            {"deletedAt": None},
        ],
    )
    async def test_takes_nothing_that_is_not_the_callers_to_set(self, api: Api, extra: dict[str, Any]) -> None:
        error = error_of(await api.post("/agents", agent_body(**extra)), 400, "VALIDATION_ERROR")
        assert [detail["path"] for detail in error["details"]] == list(extra)

    @pytest.mark.parametrize(
        ("field", "value"),
        [
            ("name", "   "),
            ("name", "x" * 201),
            ("name", None),
            ("type", "MAGIC"),
            ("config", []),
            ("tags", ["x" * 51]),
            ("tags", "a"),
            ("limits", {"maxTokens": 0}),
            ("limits", {"maxMoney": 1}),
            ("isPublic", "perhaps"),
        ],
    )
    async def test_refuses_bad_fields(self, api: Api, field: str, value: Any) -> None:
        error = error_of(await api.post("/agents", agent_body(**{field: value})), 400, "VALIDATION_ERROR")
        assert error["details"][0]["path"].startswith(field)

    async def test_needs_a_caller(self, client: httpx.AsyncClient) -> None:
        assert error_of(await client.post("/api/v1/agents", json=agent_body()), 401, "UNAUTHENTICATED")


class TestList:
    async def test_filters_sorts_and_pages(self, api: Api) -> None:
        for name, tags in (("Alpha", ["x", "y"]), ("Beta", ["x"]), ("Gamma", [])):
            await api.made("/agents", agent_body(name=name, tags=tags))
        assert names(await api.get("/agents")) == ["Gamma", "Beta", "Alpha"]
        assert names(await api.get("/agents", sortBy="name", sortOrder="asc")) == ["Alpha", "Beta", "Gamma"]
        assert names(await api.get("/agents", tags="x", sortBy="name", sortOrder="asc")) == ["Alpha", "Beta"]
        assert names(await api.get("/agents", tags="x,y")) == ["Alpha"]
        assert names(await api.get("/agents", tags=["y", "x"])) == ["Alpha"]
        assert names(await api.get("/agents", type="DATA")) == []
        assert len(names(await api.get("/agents", type=["DATA", "CODE"]))) == 3
        assert names(await api.get("/agents", isPublic="true")) == []
        assert names(await api.get("/agents", status="ACTIVE")) == []
        assert names(await api.get("/agents", projectId=str(uuid4()))) == []
        page = await api.get("/agents", page=2, pageSize=2, sortBy="name", sortOrder="asc")
        assert names(page) == ["Gamma"]
        assert page.json()["meta"]["pagination"] == {"page": 2, "pageSize": 2, "totalItems": 3, "totalPages": 2}

    async def test_search_takes_wildcards_literally_and_reads_descriptions(self, api: Api) -> None:
        await api.made("/agents", agent_body(name="100% sure"))
        await api.made("/agents", agent_body(name="a_b", description="Reads FLIGHTS"))
        await api.made("/agents", agent_body(name="axb", description="back\\slash"))
        assert names(await api.get("/agents", search="%")) == ["100% sure"]
        assert names(await api.get("/agents", search="A_B")) == ["a_b"]
        assert names(await api.get("/agents", search="flights")) == ["a_b"]
        assert names(await api.get("/agents", search="k\\s")) == ["axb"]
        assert names(await api.get("/agents", search="'; drop table agents; --")) == []

    @pytest.mark.parametrize(
        "query",
        [
            {"type": "MAGIC"},
            {"status": "DELETED"},
            {"isPublic": "perhaps"},
            {"projectId": "1"},
            {"sortBy": "password_hash"},
            {"sortOrder": "up"},
            {"page": 0},
            {"pageSize": 101},
            {"colour": "red"},
            {"search": "a\x00b"},
            {"tags": "a\x00b"},
        ],
    )
    async def test_refuses_what_it_does_not_know(self, api: Api, query: dict[str, Any]) -> None:
        error = error_of(await api.get("/agents", **query), 400, "VALIDATION_ERROR")
        assert error["details"][0]["path"].startswith(next(iter(query)))


class TestUpdate:
    async def test_changes_only_what_is_named_and_counts(self, api: Api) -> None:
        agent = await api.made("/agents", agent_body(description="old", tags=["a"]))
        answer = await api.patch(f"/agents/{agent['id']}", {"name": "New", "description": None})
        changed = answer.json()["data"]
        assert changed["name"] == "New"
        assert changed["description"] is None
        assert changed["tags"] == ["a"]
        assert changed["config"] == agent["config"]
        assert changed["version"] == 2
        assert answer.headers["ETag"] == '"2"'

    async def test_what_changes_nothing_counts_nothing(self, api: Api) -> None:
        agent = await api.made("/agents", agent_body())
        same = {"name": agent["name"], "type": agent["type"], "status": "DRAFT", "config": agent["config"]}
        assert (await api.patch(f"/agents/{agent['id']}", same)).json()["data"] == agent

    async def test_put_resets_what_is_left_out(self, api: Api) -> None:
        agent = await api.active_agent(description="old", tags=["a"], isPublic=True, limits={"maxTokens": 5})
        body = agent_body(name="Whole")
        changed = (await api.send("PUT", f"/agents/{agent['id']}", body)).json()["data"]
        assert changed["status"] == "ACTIVE"
        assert (changed["name"], changed["description"], changed["tags"]) == ("Whole", None, [])
        assert (changed["isPublic"], changed["limits"]) == (False, {})

    @pytest.mark.parametrize("field", ["name", "config", "tags", "isPublic", "limits"])
    async def test_null_is_no_value_for_what_must_have_one(self, api: Api, field: str) -> None:
        agent = await api.made("/agents", agent_body())
        answer = await api.patch(f"/agents/{agent['id']}", {field: None})
        assert error_of(answer, 400, "VALIDATION_ERROR")["details"][0]["path"] == field

    async def test_the_type_stays(self, api: Api) -> None:
        agent = await api.made("/agents", agent_body())
        answer = await api.patch(f"/agents/{agent['id']}", {"type": "DATA"})
        assert error_of(answer, 400, "VALIDATION_ERROR")["details"][0]["code"] == "IMMUTABLE"

    async def test_a_bad_config_changes_nothing(self, api: Api) -> None:
        agent = await api.made("/agents", agent_body())
        answer = await api.patch(f"/agents/{agent['id']}", {"name": "Other", "config": {"language": "python"}})
        error_of(answer, 400, "VALIDATION_ERROR")
        assert (await api.get(f"/agents/{agent['id']}")).json()["data"] == agent

    async def test_a_stale_version_is_a_conflict(self, api: Api) -> None:
        agent = await api.made("/agents", agent_body())
        path = f"/agents/{agent['id']}"
        assert (await api.patch(path, {"name": "Two"}, **{"If-Match": '"1"'})).status_code == 200
        error_of(await api.patch(path, {"name": "Three"}, **{"If-Match": '"1"'}), 409, "VERSION_CONFLICT")
        error_of(await api.patch(path, {"name": "Three", "version": 1}), 409, "VERSION_CONFLICT")
        error_of(await api.send("PUT", path, agent_body(version=1)), 409, "VERSION_CONFLICT")
        error_of(await api.send("DELETE", path, **{"If-Match": '"1"'}), 409, "VERSION_CONFLICT")
        assert (await api.patch(path, {"name": "Three", "version": 2})).status_code == 200
        assert (await api.patch(path, {"name": "Four"}, **{"If-Match": "*"})).status_code == 200

    @pytest.mark.parametrize("tag", ["latest", '"one"', '"1", "2"', '"99999999999"'])
    async def test_refuses_an_if_match_that_is_no_version(self, api: Api, tag: str) -> None:
        agent = await api.made("/agents", agent_body())
        assert error_of(
            await api.patch(f"/agents/{agent['id']}", {"name": "X"}, **{"If-Match": tag}), 400, "VALIDATION_ERROR"
        )


class TestLifecycle:
    @pytest.mark.parametrize(
        "path", [["ACTIVE", "INACTIVE", "ACTIVE", "INACTIVE", "ARCHIVED"], ["ARCHIVED"], ["ACTIVE", "ARCHIVED"]]
    )
    async def test_goes_its_way(self, api: Api, path: list[str]) -> None:
        agent = await api.made("/agents", agent_body())
        for status in path:
            changed = (await api.patch(f"/agents/{agent['id']}", {"status": status})).json()["data"]
            assert changed["status"] == status
        assert changed["version"] == 1 + len(path)

    @pytest.mark.parametrize(
        ("path", "refused"),
        [
            ([], "INACTIVE"),
            (["ACTIVE"], "DRAFT"),
            (["ACTIVE", "INACTIVE"], "DRAFT"),
            (["ARCHIVED"], "ACTIVE"),
            (["ARCHIVED"], "DRAFT"),
        ],
    )
    async def test_refuses_other_moves(self, api: Api, path: list[str], refused: str) -> None:
        agent = await api.made("/agents", agent_body())
        for status in path:
            await api.patch(f"/agents/{agent['id']}", {"status": status})
        assert error_of(await api.patch(f"/agents/{agent['id']}", {"status": refused}), 409, "INVALID_STATE")

    async def test_what_is_archived_cannot_change(self, api: Api) -> None:
        agent = await api.made("/agents", agent_body())
        await api.patch(f"/agents/{agent['id']}", {"status": "ARCHIVED"})
        assert error_of(await api.patch(f"/agents/{agent['id']}", {"name": "X"}), 409, "INVALID_STATE")


class TestDelete:
    async def test_is_gone_everywhere(self, api: Api) -> None:
        agent = await api.made("/agents", agent_body())
        path = f"/agents/{agent['id']}"
        assert (await api.send("DELETE", path)).status_code == 204
        error_of(await api.get(path), 404, "NOT_FOUND")
        error_of(await api.patch(path, {"name": "X"}), 404, "NOT_FOUND")
        error_of(await api.send("DELETE", path), 404, "NOT_FOUND")
        error_of(await api.get(f"{path}/versions"), 404, "NOT_FOUND")
        assert names(await api.get("/agents")) == []

    async def test_lists_the_active_workflows_in_the_way(self, api: Api) -> None:
        agent = await api.active_agent()
        steps = [step("one", agent), step("two", agent)]
        user = await api.made("/workflows", workflow_body(name="In use", status="ACTIVE", steps=steps))
        await api.made("/workflows", workflow_body(name="Draft", steps=[step("one", agent)]))
        error = error_of(await api.send("DELETE", f"/agents/{agent['id']}"), 409, "CONFLICT")
        assert [(each["path"], each["message"]) for each in error["details"]] == [
            (f"workflows.{user['id']}", "In use"),
        ]
        await api.patch(f"/workflows/{user['id']}", {"status": "INACTIVE"})
        assert (await api.send("DELETE", f"/agents/{agent['id']}")).status_code == 204


class TestVersions:
    async def test_each_change_leaves_a_snapshot(self, api: Api) -> None:
        agent = await api.made("/agents", agent_body(name="One"))
        await api.patch(f"/agents/{agent['id']}", {"name": "Two"})
        await api.patch(f"/agents/{agent['id']}", {"status": "ACTIVE"})
        answer = await api.get(f"/agents/{agent['id']}/versions")
        rows = answer.json()["data"]
        assert [(row["version"], row["snapshot"]["name"], row["snapshot"]["status"]) for row in rows] == [
            (3, "Two", "ACTIVE"),
            (2, "Two", "DRAFT"),
            (1, "One", "DRAFT"),
        ]
        assert rows[0]["createdBy"] == str(api.user_id)
        assert rows[0]["snapshot"]["config"] == agent["config"]


class TestVisibility:
    async def test_private_is_the_owners_and_the_managers(
        self, api: Api, sessions: Sessions, settings: Settings
    ) -> None:
        editor = await colleague(api, sessions, settings, TenantRole.EDITOR)
        other = await colleague(api, sessions, settings, TenantRole.EDITOR)
        admin = await colleague(api, sessions, settings, TenantRole.ADMIN)
        agent = await editor.made("/agents", agent_body(name="Mine"))
        path = f"/agents/{agent['id']}"
        error_of(await other.get(path), 403, "FORBIDDEN")
        error_of(await other.patch(path, {"name": "X"}), 403, "FORBIDDEN")
        error_of(await other.send("DELETE", path), 403, "FORBIDDEN")
        error_of(await other.get(f"{path}/versions"), 403, "FORBIDDEN")
        assert names(await other.get("/agents")) == []
        assert names(await admin.get("/agents")) == ["Mine"]
        assert (await admin.patch(path, {"name": "Ours"})).status_code == 200
        assert (await api.get(path)).status_code == 200

    async def test_public_is_read_by_all_and_changed_by_the_same(
        self, api: Api, sessions: Sessions, settings: Settings
    ) -> None:
        other = await colleague(api, sessions, settings, TenantRole.EDITOR)
        agent = await api.made("/agents", agent_body(name="Shared", isPublic=True))
        path = f"/agents/{agent['id']}"
        assert (await other.get(path)).status_code == 200
        assert names(await other.get("/agents")) == ["Shared"]
        error_of(await other.patch(path, {"name": "X"}), 403, "FORBIDDEN")
        error_of(await other.send("DELETE", path), 403, "FORBIDDEN")

    async def test_a_viewer_reads_only(self, api: Api, sessions: Sessions, settings: Settings) -> None:
        viewer = await colleague(api, sessions, settings, TenantRole.VIEWER)
        agent = await api.made("/agents", agent_body(isPublic=True))
        assert (await viewer.get(f"/agents/{agent['id']}")).status_code == 200
        error_of(await viewer.post("/agents", agent_body()), 403, "FORBIDDEN")
        error_of(await viewer.patch(f"/agents/{agent['id']}", {"name": "X"}), 403, "FORBIDDEN")
        error_of(await viewer.send("DELETE", f"/agents/{agent['id']}"), 403, "FORBIDDEN")

    async def test_another_tenants_agent_is_not_there(self, api: Api, client: httpx.AsyncClient) -> None:
        stranger = await owner(client)
        agent = await api.made("/agents", agent_body(isPublic=True))
        path = f"/agents/{agent['id']}"
        error_of(await stranger.get(path), 404, "NOT_FOUND")
        error_of(await stranger.patch(path, {"name": "X"}), 404, "NOT_FOUND")
        error_of(await stranger.send("PUT", path, agent_body()), 404, "NOT_FOUND")
        error_of(await stranger.send("DELETE", path), 404, "NOT_FOUND")
        assert names(await stranger.get("/agents")) == []

    async def test_a_key_does_what_its_scopes_say(self, api: Api, sessions: Sessions) -> None:
        reader = await by_key(api, sessions, "agents:read")
        agent = await api.made("/agents", agent_body())
        assert (await reader.get(f"/agents/{agent['id']}")).status_code == 200
        error_of(await reader.post("/agents", agent_body()), 403, "FORBIDDEN")
