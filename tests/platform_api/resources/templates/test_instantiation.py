"""`POST /templates/{id}/instantiate`: what is made, for whom, and what is refused."""

import asyncio
from typing import Any
from uuid import UUID, uuid4

import httpx
import pytest
from sqlalchemy import func, select, update
from sqlmodel import col

from platform_api.access.scope import system_scope, tenant_scope
from platform_api.db.engine import Sessions
from platform_api.db.models import Agent, Template, Workflow
from tests.factories.api import Api, by_key, owner
from tests.factories.templates import template_body, workflow_template_body
from tests.fakes.orchestrator import FakeOrchestrator
from tests.fixtures.http import error_of

URL = "https://example.com/list"


@pytest.fixture
async def api(client: httpx.AsyncClient) -> Api:
    return await owner(client)


@pytest.fixture
async def maker(client: httpx.AsyncClient) -> Api:
    """Somebody of another tenant, who makes the public templates."""
    return await owner(client)


async def counted(sessions: Sessions, api: Api, model: Any) -> int:
    async with tenant_scope(sessions, api.tenant_id) as scope:
        return int((await scope.session.execute(select(func.count()).select_from(model))).scalar_one())


class TestMakes:
    async def test_an_agent_of_ones_own(self, api: Api, maker: Api) -> None:
        template = await maker.made("/templates", template_body(name="Pages", isPublic=True))
        answer = await api.post(
            f"/templates/{template['id']}/instantiate", {"customizations": {"url": URL, "tries": 5}}
        )
        agent = answer.json()["data"]
        assert (answer.status_code, answer.headers["ETag"]) == (201, '"1"')
        assert (agent["name"], agent["status"], agent["type"]) == ("Pages", "DRAFT", "API")
        assert (agent["userId"], agent["isPublic"], agent["tags"]) == (str(api.user_id), False, ["http"])
        assert agent["config"] == {
            "method": "GET",
            "url": f"{URL}?page={{{{ inputs.page }}}}",
            "headers": {"X-Tries": "at most 5"},
            "retry": {"maxAttempts": 5},
        }
        assert (await api.get(f"/agents/{agent['id']}")).status_code == 200
        assert (await maker.get(f"/agents/{agent['id']}")).status_code == 404

    async def test_defaults_and_a_name(self, api: Api) -> None:
        template = await api.made("/templates", template_body())
        body = {"name": "Mine", "customizations": {"url": URL}}
        agent = await api.made(f"/templates/{template['id']}/instantiate", body)
        assert (agent["name"], agent["config"]["retry"]) == ("Mine", {"maxAttempts": 3})

    @pytest.mark.case(14)
    async def test_a_workflow_with_its_agents(
        self, api: Api, maker: Api, sessions: Sessions, orchestrator: FakeOrchestrator
    ) -> None:
        """Case 14: what is made runs nothing by itself."""
        template = await maker.made("/templates", workflow_template_body(isPublic=True))
        body = {"name": "Twice", "customizations": {"greeting": "hi"}}
        workflow = await api.made(f"/templates/{template['id']}/instantiate", body)
        assert (workflow["name"], workflow["status"], workflow["tags"]) == ("Twice", "DRAFT", ["shape"])
        assert [step["inputs"] for step in workflow["steps"]] == [{"greeting": "hi"}, {"a": "{{ first.output }}"}]
        agents = {step["agent"]["id"]: step["agent"] for step in workflow["steps"]}
        assert [(agent["name"], agent["status"]) for agent in agents.values()] == [("Echo", "ACTIVE")]
        assert await counted(sessions, api, Agent) == await counted(sessions, api, Workflow) == 1
        assert (orchestrator.deployments, orchestrator.submissions) == ({}, [])
        assert (await api.patch(f"/workflows/{workflow['id']}", {"status": "ACTIVE"})).status_code == 200

    async def test_steps_inside_others_get_their_agents_too(self, api: Api) -> None:
        body = workflow_template_body()
        inner = {"stepKey": "inner", "agentId": "echo", "inputs": {"a": "{{ item }}"}}
        each = {"stepKey": "each", "type": "LOOP", "config": {"items": [1, 2], "steps": [inner]}}
        body["definition"]["workflow"]["steps"].append(each)
        template = await api.made("/templates", body)
        workflow = await api.made(f"/templates/{template['id']}/instantiate", {})
        (shown,) = workflow["steps"][2]["config"]["steps"]
        assert (shown["agent"]["name"], shown["inputs"]) == ("Echo", {"a": "{{ item }}"})
        assert shown["agentId"] == workflow["steps"][0]["agentId"]

    async def test_a_workflow_that_cannot_be_made_leaves_no_agents(
        self, api: Api, sessions: Sessions, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        template = await api.made("/templates", workflow_template_body())

        async def broken(*_: Any) -> None:
            raise RuntimeError("the disk is full")

        monkeypatch.setattr("platform_api.resources.workflows.service.WorkflowService.create", broken)
        error_of(await api.post(f"/templates/{template['id']}/instantiate"), 500, "INTERNAL_ERROR")
        assert await counted(sessions, api, Agent) == 0

    @pytest.mark.case(18)
    async def test_what_is_filled_in_is_not_looked_at_again(self, api: Api) -> None:
        template = await api.made("/templates", template_body())
        odd = "https://example.com/{{ parameters.tries }}${process.env}/{0.__class__}"
        agent = await api.made(f"/templates/{template['id']}/instantiate", {"customizations": {"url": URL}})
        assert agent["config"]["url"].startswith(URL)
        answer = await api.post(f"/templates/{template['id']}/instantiate", {"customizations": {"url": odd}})
        details = error_of(answer, 400, "VALIDATION_ERROR")["details"]
        assert [(each["path"], each["code"]) for each in details] == [("definition.config.url", "UNKNOWN_REFERENCE")]

    async def test_is_in_the_audit_log_of_who_made_it(self, api: Api, maker: Api) -> None:
        template = await maker.made("/templates", workflow_template_body(isPublic=True))
        workflow = await api.made(f"/templates/{template['id']}/instantiate", {})
        entries = (await api.get("/audit-logs", action="template.instantiate")).json()["data"]
        assert [(each["resourceId"], each["after"]) for each in entries] == [
            (template["id"], {"workflowId": workflow["id"]})
        ]
        assert (await maker.get("/audit-logs", action="template.instantiate")).json()["data"] == []


class TestCount:
    async def test_twenty_at_once_count_twenty(self, api: Api, maker: Api, client: httpx.AsyncClient) -> None:
        template = await maker.made("/templates", template_body(isPublic=True))
        makers = [api, *[await owner(client) for _ in range(3)]]
        body = {"customizations": {"url": URL}}
        path = f"/templates/{template['id']}/instantiate"
        answers = await asyncio.gather(*(makers[turn % 4].post(path, body) for turn in range(20)))
        assert {answer.status_code for answer in answers} == {201}
        shown = (await maker.get(f"/templates/{template['id']}")).json()["data"]
        assert (shown["usageCount"], shown["version"]) == (20, 1)

    async def test_what_is_refused_is_not_counted(self, api: Api) -> None:
        template = await api.made("/templates", template_body())
        await api.post(f"/templates/{template['id']}/instantiate")
        assert (await api.get(f"/templates/{template['id']}")).json()["data"]["usageCount"] == 0

    async def test_nobody_counts_what_they_do_not_see(self, api: Api, maker: Api, sessions: Sessions) -> None:
        private = await maker.made("/templates", template_body())
        async with tenant_scope(sessions, api.tenant_id) as scope:
            await scope.session.execute(select(func.count_template_use(UUID(private["id"]))))
            seen = await scope.session.execute(
                select(func.count()).select_from(func.readable_template(UUID(private["id"])))
            )
            assert seen.scalar_one() == 0
        assert (await maker.get(f"/templates/{private['id']}")).json()["data"]["usageCount"] == 0


class TestRefusals:
    async def test_customizations_are_told_each(self, api: Api) -> None:
        template = await api.made("/templates", template_body())
        body = {"customizations": {"tries": 0, "tenantId": str(uuid4())}}
        error = error_of(await api.post(f"/templates/{template['id']}/instantiate", body), 400, "VALIDATION_ERROR")
        assert {(each["path"], each["code"]) for each in error["details"]} == {
            ("customizations.url", "MISSING_FIELD"),
            ("customizations.tries", "BAD_VALUE"),
            ("customizations.tenantId", "UNKNOWN_FIELD"),
        }

    async def test_a_parameter_without_value_is_missed(self, api: Api) -> None:
        parameters = {"properties": {"url": {"type": "string"}, "tries": {"default": 1}}}
        template = await api.made("/templates", template_body(parameters=parameters))
        error = error_of(await api.post(f"/templates/{template['id']}/instantiate"), 400, "VALIDATION_ERROR")
        assert [each["path"] for each in error["details"]] == ["customizations.url"]

    async def test_values_are_bounded_however_often_they_stand(self, api: Api) -> None:
        parameters = {"properties": {"text": {"type": "string", "default": "x"}}}
        headers = {f"X-{number}": "{{ parameters.text }}" for number in range(1000)}
        definition = {"type": "API", "config": {"url": URL, "headers": headers}}
        template = await api.made("/templates", template_body(parameters=parameters, definition=definition))
        body = {"customizations": {"text": "y" * 10_000}}
        error = error_of(await api.post(f"/templates/{template['id']}/instantiate", body), 400, "VALIDATION_ERROR")
        assert [each["code"] for each in error["details"]] == ["TOO_LARGE"]

    @pytest.mark.case(14)
    async def test_foreign_ids_in_a_stored_template_reach_nothing(
        self, api: Api, maker: Api, sessions: Sessions
    ) -> None:
        """As if the row had been written past the checks."""
        foreign, own = await maker.active_agent(isPublic=True), await api.active_agent()
        template = await maker.made("/templates", workflow_template_body(isPublic=True))
        for agent in (foreign, own):
            definition = template["definition"]
            definition["workflow"]["steps"][1]["agentId"] = agent["id"]
            async with system_scope(sessions) as scope:
                row = update(Template).where(col(Template.id) == UUID(template["id"]))
                await scope.session.execute(row.values(definition=definition))
            answer = await api.post(f"/templates/{template['id']}/instantiate")
            details = error_of(answer, 400, "VALIDATION_ERROR")["details"]
            assert ("definition.workflow.steps[1].agentId", "UNKNOWN_AGENT") in {
                (each["path"], each["code"]) for each in details
            }
        assert await counted(sessions, api, Workflow) == 0

    @pytest.mark.case(13)
    async def test_a_key_that_makes_no_agents_makes_none_by_a_template(self, api: Api, sessions: Sessions) -> None:
        template = await api.made("/templates", workflow_template_body(isPublic=True))
        path = f"/templates/{template['id']}/instantiate"
        for scopes in (["templates:execute"], ["templates:execute", "agents:create"], ["templates:read"]):
            error_of(await (await by_key(api, sessions, *scopes)).post(path), 403, "FORBIDDEN")
        whole = await by_key(api, sessions, "templates:execute", "agents:create", "workflows:create")
        assert (await whole.post(path)).status_code == 201

    async def test_somebody_unknown_makes_nothing(self, api: Api) -> None:
        template = await api.made("/templates", template_body(isPublic=True))
        assert error_of(
            await api.client.post(f"/api/v1/templates/{template['id']}/instantiate"), 401, "UNAUTHENTICATED"
        )
