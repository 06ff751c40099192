"""`/templates` by HTTP: who sees and changes what, and what a template must satisfy."""

from typing import Any
from uuid import uuid4

import httpx
import pytest
from sqlalchemy import update
from sqlmodel import col

from platform_api.access.principal import PlatformRole, TenantRole
from platform_api.access.scope import system_scope
from platform_api.db.engine import Sessions
from platform_api.db.models import User
from platform_api.settings import Settings
from tests.factories.api import Api, by_key, colleague, owner
from tests.factories.templates import template_body, workflow_template_body
from tests.fixtures.http import error_of


@pytest.fixture
async def api(client: httpx.AsyncClient) -> Api:
    return await owner(client)


async def as_admin(api: Api, sessions: Sessions) -> Api:
    async with system_scope(sessions) as scope:
        promoted = update(User).where(col(User.id) == api.user_id).values(role=PlatformRole.ADMIN)
        await scope.session.execute(promoted)
    return api


def ids(answer: httpx.Response) -> set[str]:
    assert answer.status_code == 200, answer.text
    return {row["id"] for row in answer.json()["data"]}


async def anonymous(api: Api, path: str, **params: Any) -> httpx.Response:
    return await api.client.get(f"/api/v1{path}", params=params)


class TestSight:
    async def test_public_ones_are_everybodys(self, api: Api, client: httpx.AsyncClient) -> None:
        tag = uuid4().hex
        public = await api.made("/templates", template_body(isPublic=True, tags=[tag]))
        private = await api.made("/templates", template_body(tags=[tag]))
        other = await owner(client)
        assert ids(await anonymous(api, "/templates", tags=tag)) == {public["id"]}
        assert ids(await other.get("/templates", tags=tag)) == {public["id"]}
        assert ids(await api.get("/templates", tags=tag)) == {public["id"], private["id"]}
        shown = (await anonymous(api, f"/templates/{public['id']}")).json()["data"]
        assert shown["definition"] == public["definition"]
        assert not {"tenantId", "userId"} & set(shown)

    @pytest.mark.case(11)
    async def test_a_private_one_of_another_tenant_is_not_there(self, api: Api, client: httpx.AsyncClient) -> None:
        private = await api.made("/templates", template_body())
        other = await owner(client)
        assert error_of(await anonymous(api, f"/templates/{private['id']}"), 404, "NOT_FOUND")
        assert error_of(await other.get(f"/templates/{private['id']}"), 404, "NOT_FOUND")
        assert error_of(await other.post(f"/templates/{private['id']}/instantiate"), 404, "NOT_FOUND")

    async def test_of_another_tenant_nothing_can_be_changed(self, api: Api, client: httpx.AsyncClient) -> None:
        other = await owner(client)
        for template in (
            await api.made("/templates", template_body(isPublic=True)),
            await api.made("/templates", template_body()),
        ):
            path = f"/templates/{template['id']}"
            assert error_of(await other.patch(path, {"name": "mine"}), 404, "NOT_FOUND")
            assert error_of(await other.send("DELETE", path), 404, "NOT_FOUND")

    async def test_a_colleagues_private_one_is_forbidden(
        self, api: Api, sessions: Sessions, settings: Settings
    ) -> None:
        editor = await colleague(api, sessions, settings, TenantRole.EDITOR)
        private = await api.made("/templates", template_body(category="shelf"))
        public = await api.made("/templates", template_body(isPublic=True))
        theirs = await editor.made("/templates", template_body(category="shelf"))
        path = f"/templates/{private['id']}"
        error_of(await editor.get(path), 403, "FORBIDDEN")
        error_of(await editor.post(f"{path}/instantiate"), 403, "FORBIDDEN")
        error_of(await editor.patch(path, {"name": "mine"}), 403, "FORBIDDEN")
        error_of(await editor.send("DELETE", path), 403, "FORBIDDEN")
        error_of(await editor.patch(f"/templates/{public['id']}", {"name": "mine"}), 403, "FORBIDDEN")
        assert ids(await editor.get("/templates", category="shelf", isPublic=False)) == {theirs["id"]}
        assert {private["id"], theirs["id"]} <= ids(await api.get("/templates", category="shelf"))

    async def test_credentials_that_are_sent_must_hold(self, api: Api) -> None:
        for headers in ({"Authorization": "Bearer nonsense"}, {"X-API-Key": "tc_nonsense"}):
            answer = await api.client.get("/api/v1/templates", headers=headers)
            assert error_of(answer, 401, "UNAUTHENTICATED")

    async def test_a_key_without_the_scope_sees_what_everybody_sees(self, api: Api, sessions: Sessions) -> None:
        private = await api.made("/templates", template_body())
        key = await by_key(api, sessions, "agents:read")
        error_of(await key.get(f"/templates/{private['id']}"), 404, "NOT_FOUND")
        reader = await by_key(api, sessions, "templates:read")
        assert (await reader.get(f"/templates/{private['id']}")).status_code == 200

    @pytest.mark.case(13)
    async def test_a_viewer_makes_none(self, api: Api, sessions: Sessions, settings: Settings) -> None:
        viewer = await colleague(api, sessions, settings, TenantRole.VIEWER)
        public = await api.made("/templates", template_body(isPublic=True))
        assert error_of(await viewer.post("/templates", template_body()), 403, "FORBIDDEN")
        assert error_of(await viewer.post(f"/templates/{public['id']}/instantiate"), 403, "FORBIDDEN")


class TestLists:
    async def test_every_filter_narrows(self, api: Api) -> None:
        word = uuid4().hex
        one = await api.made("/templates", template_body(name=f"One {word}", category="alpha", tags=["a", "b"]))
        two = await api.made("/templates", workflow_template_body(name=f"Two {word}", category="beta", tags=["b"]))
        three = await api.made("/templates", template_body(description=f"about {word}", category="beta", isPublic=True))
        expected: list[tuple[dict[str, Any], list[dict[str, Any]]]] = [
            ({}, [one, two, three]),
            ({"category": "alpha"}, [one]),
            ({"category": "alpha,beta"}, [one, two, three]),
            ({"type": "WORKFLOW"}, [two]),
            ({"tags": "b"}, [one, two]),
            ({"tags": "a,b"}, [one]),
            ({"isPublic": True}, [three]),
            ({"isOfficial": True}, []),
        ]
        for filters, wanted in expected:
            assert ids(await api.get("/templates", search=word, **filters)) == {each["id"] for each in wanted}, filters

    async def test_sorts_and_pages(self, api: Api) -> None:
        word = uuid4().hex
        for name in ("b", "a", "c"):
            await api.made("/templates", template_body(name=f"{name} {word}"))
        answer = await api.get("/templates", search=word, sortBy="name", sortOrder="asc", pageSize=2)
        assert [row["name"][0] for row in answer.json()["data"]] == ["a", "b"]
        assert answer.json()["meta"]["pagination"]["totalItems"] == 3
        assert all("definition" not in row for row in answer.json()["data"])

    @pytest.mark.case(19)
    @pytest.mark.parametrize(
        "params",
        [{"type": "SONG"}, {"sortBy": "rating;drop"}, {"isOfficial": "maybe"}, {"owner": "me"}, {"pageSize": 101}],
    )
    async def test_unknown_filters_and_fields_are_refused(self, api: Api, params: dict[str, Any]) -> None:
        assert error_of(await anonymous(api, "/templates", **params), 400, "VALIDATION_ERROR")

    @pytest.mark.case(19)
    async def test_wildcards_mean_themselves(self, api: Api) -> None:
        word = uuid4().hex
        await api.made("/templates", template_body(name=f"100% {word}"))
        assert len(ids(await api.get("/templates", search=f"100% {word}"))) == 1
        assert ids(await api.get("/templates", search=f"1_0% {word}")) == set()


class TestChange:
    async def test_a_template_is_made_changed_and_deleted(self, api: Api) -> None:
        answer = await api.post("/templates", template_body(description="gets a page"))
        made = answer.json()["data"]
        assert (answer.status_code, answer.headers["ETag"], made["version"]) == (201, '"1"', 1)
        assert (made["usageCount"], made["isOfficial"], made["rating"]) == (0, False, None)
        path = f"/templates/{made['id']}"
        changed = await api.patch(path, {"name": "Better", "tags": ["x"]}, **{"If-Match": '"1"'})
        assert (changed.status_code, changed.headers["ETag"]) == (200, '"2"')
        assert changed.json()["data"]["definition"] == made["definition"]
        error_of(await api.patch(path, {"name": "Late"}, **{"If-Match": '"1"'}), 409, "VERSION_CONFLICT")
        error_of(await api.send("DELETE", path, **{"If-Match": '"1"'}), 409, "VERSION_CONFLICT")
        assert (await api.send("DELETE", path)).status_code == 204
        error_of(await api.get(path), 404, "NOT_FOUND")
        error_of(await api.post(f"{path}/instantiate"), 404, "NOT_FOUND")

    async def test_is_in_the_audit_log(self, api: Api) -> None:
        made = await api.made("/templates", template_body())
        await api.patch(f"/templates/{made['id']}", {"category": "other"})
        await api.send("DELETE", f"/templates/{made['id']}")
        entries = (await api.get("/audit-logs", resourceId=made["id"], sortOrder="asc")).json()["data"]
        assert [entry["action"] for entry in entries] == ["template.create", "template.update", "template.delete"]
        assert (entries[1]["before"]["category"], entries[1]["after"]["category"]) == ("api", "other")

    async def test_the_type_stays(self, api: Api) -> None:
        made = await api.made("/templates", template_body())
        answer = await api.patch(f"/templates/{made['id']}", {"type": "STEP"})
        assert [each["path"] for each in error_of(answer, 400, "VALIDATION_ERROR")["details"]] == ["type"]

    @pytest.mark.case(12)
    @pytest.mark.parametrize(
        "extra",
        [{"usageCount": 7}, {"rating": 5}, {"tenantId": str(uuid4())}, {"userId": str(uuid4())}, {"id": str(uuid4())}],
    )
    async def test_nothing_else_is_the_callers_to_set(self, api: Api, extra: dict[str, Any]) -> None:
        assert error_of(await api.post("/templates", template_body(**extra)), 400, "VALIDATION_ERROR")
        made = await api.made("/templates", template_body())
        assert error_of(await api.patch(f"/templates/{made['id']}", extra), 400, "VALIDATION_ERROR")


class TestOfficial:
    @pytest.mark.case(12)
    async def test_is_the_admins_to_say(self, api: Api) -> None:
        assert error_of(await api.post("/templates", template_body(isOfficial=True)), 403, "FORBIDDEN")
        made = await api.made("/templates", template_body())
        assert error_of(await api.patch(f"/templates/{made['id']}", {"isOfficial": True}), 403, "FORBIDDEN")

    async def test_official_ones_are_the_admins_to_change(
        self, api: Api, sessions: Sessions, settings: Settings
    ) -> None:
        manager = await colleague(api, sessions, settings, TenantRole.ADMIN)
        admin = await as_admin(api, sessions)
        made = await admin.made("/templates", template_body(isOfficial=True, isPublic=True))
        path = f"/templates/{made['id']}"
        error_of(await manager.patch(path, {"name": "mine"}), 403, "FORBIDDEN")
        error_of(await manager.send("DELETE", path), 403, "FORBIDDEN")
        assert (await admin.patch(path, {"isOfficial": False})).status_code == 200
        assert (await manager.patch(path, {"name": "ours"})).status_code == 200


class TestDefinition:
    async def problems(self, api: Api, **fields: Any) -> set[tuple[str, str]]:
        error = error_of(await api.post("/templates", template_body(**fields)), 400, "VALIDATION_ERROR")
        return {(each["path"], each["code"]) for each in error["details"]}

    async def test_unknown_parameters_are_told_with_their_places(self, api: Api) -> None:
        definition = {
            "type": "API",
            "config": {"url": "{{ parameters.address }}", "headers": {"A": "{{parameters.b}}"}},
        }
        assert await self.problems(api, definition=definition) == {
            ("definition.config.url", "UNKNOWN_PARAMETER"),
            ("definition.config.headers.A", "UNKNOWN_PARAMETER"),
        }

    async def test_parameters_are_no_expressions(self, api: Api) -> None:
        config = {"url": "{{ parameters.url | upper }}"}
        found = await self.problems(api, definition={"type": "API", "config": config})
        assert found == {("definition.config.url", "BAD_EXPRESSION")}

    async def test_what_can_be_filled_in_is_checked_in_full(self, api: Api) -> None:
        config = {"url": "{{ parameters.url }}", "retry": {"maxAttempts": 0}, "colour": "red"}
        found = await self.problems(api, definition={"type": "API", "config": config})
        assert {path for path, _ in found} == {"definition.config.retry.maxAttempts", "definition.config.colour"}

    async def test_a_default_that_does_not_fit_is_found(self, api: Api) -> None:
        parameters = {"properties": {"url": {"default": "https://example.com"}, "tries": {"default": 0}}}
        found = await self.problems(api, parameters=parameters)
        assert {path for path, _ in found} == {"definition.config.retry.maxAttempts"}

    async def test_parameters_are_a_schema_of_an_object(self, api: Api) -> None:
        assert ("parameters.type", "BAD_SCHEMA") in await self.problems(api, parameters={"type": "array"})
        bomb = {"type": "object", "properties": {"a": {"$ref": "https://example.com/schema"}}}
        assert {code for _, code in await self.problems(api, parameters=bomb)} >= {"BAD_SCHEMA"}

    async def test_a_workflow_is_compiled(self, api: Api) -> None:
        body = workflow_template_body()
        steps = body["definition"]["workflow"]["steps"]
        steps[0]["dependsOn"] = ["second"]
        steps[1]["inputs"] = {"a": "{{ third.output }}"}
        error = error_of(await api.post("/templates", body), 400, "VALIDATION_ERROR")
        found = {(each["path"], each["code"]) for each in error["details"]}
        assert found == {
            ("definition.workflow.steps[0].dependsOn", "CYCLE"),
            ("definition.workflow.steps[1].inputs.a", "UNKNOWN_REFERENCE"),
        }

    @pytest.mark.case(12)
    @pytest.mark.parametrize("key", ["status", "isPublic", "version", "id", "tenantId", "userId"])
    async def test_a_definition_sets_nothing_that_is_not_content(self, api: Api, key: str) -> None:
        workflow = workflow_template_body()
        workflow["definition"]["workflow"][key] = "ACTIVE"
        error = error_of(await api.post("/templates", workflow), 400, "VALIDATION_ERROR")
        assert [each["path"] for each in error["details"]] == [f"definition.workflow.{key}"]
        agent = template_body()
        agent["definition"][key] = "ACTIVE"
        error = error_of(await api.post("/templates", agent), 400, "VALIDATION_ERROR")
        assert [each["path"] for each in error["details"]] == [f"definition.{key}"]

    @pytest.mark.case(14)
    async def test_ids_of_agents_are_refused_whoevers_they_are(self, api: Api, client: httpx.AsyncClient) -> None:
        own, foreign = await api.active_agent(), await (await owner(client)).active_agent(isPublic=True)
        for agent in (own, foreign, {"id": str(uuid4())}):
            body = workflow_template_body()
            body["definition"]["workflow"]["steps"][1]["agentId"] = agent["id"]
            error = error_of(await api.post("/templates", body), 400, "VALIDATION_ERROR")
            found = [(each["path"], each["code"]) for each in error["details"]]
            assert found == [("definition.workflow.steps[1].agentId", "UNKNOWN_AGENT")]

    @pytest.mark.case(14)
    async def test_ids_of_agents_inside_other_steps_are_refused_too(self, api: Api) -> None:
        agent = await api.active_agent()
        for written in ({"agentId": agent["id"]}, {"agent_id": agent["id"]}):
            both = {"branches": {"left": {"steps": [{"stepKey": "a", **written}]}}}
            inner = {"stepKey": "both", "type": "PARALLEL", "config": both}
            body = workflow_template_body()
            body["definition"]["workflow"]["steps"].append(
                {"stepKey": "each", "type": "LOOP", "config": {"items": [1], "steps": [inner]}}
            )
            error = error_of(await api.post("/templates", body), 400, "VALIDATION_ERROR")
            where = "definition.workflow.steps[2].config.steps[0].config.branches.left.steps[0].agentId"
            assert [(each["path"], each["code"]) for each in error["details"]] == [(where, "UNKNOWN_AGENT")]

    async def test_a_step_is_a_template_too(self, api: Api) -> None:
        definition = {
            "agents": {"echo": workflow_template_body()["definition"]["agents"]["echo"]},
            "step": {"stepKey": "echo", "agentId": "echo", "inputs": {"a": 1}},
        }
        made = await api.made("/templates", template_body(type="STEP", definition=definition, parameters=None))
        workflow = await api.made(f"/templates/{made['id']}/instantiate", {})
        assert [each["stepKey"] for each in workflow["steps"]] == ["echo"]
        definition["step"]["agentId"] = "other"
        found = await self.problems(api, type="STEP", definition=definition, parameters=None)
        assert found == {("definition.step.agentId", "UNKNOWN_AGENT")}

    @pytest.mark.parametrize("definition", [{}, {"agents": {}}, {"agents": [], "workflow": {"steps": []}}])
    async def test_what_is_missing_is_told(self, api: Api, definition: dict[str, Any]) -> None:
        body = workflow_template_body(definition=definition, parameters=None)
        error = error_of(await api.post("/templates", body), 400, "VALIDATION_ERROR")
        assert all(each["path"].startswith("definition.") for each in error["details"])
