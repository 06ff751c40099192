"""`POST /workflows/{id}/execute`: what is admitted, what Prefect hears, what is refused."""

from datetime import timedelta
from typing import Any
from uuid import UUID, uuid4

import httpx
import pytest
from sqlmodel import col, select

from flows.errors import PrefectRefused
from flows.orchestrator import Submission
from flows.plan import Plan
from flows.states import ExecutionStatus
from platform_api.access.principal import TenantRole
from platform_api.access.scope import tenant_scope
from platform_api.db.engine import Sessions
from platform_api.db.models import Execution, ExecutionEvent
from platform_api.kit import clock
from platform_api.resources.executions.delivery import Delivery
from platform_api.settings import Settings
from tests.factories.api import Api, by_key, colleague, owner, step, workflow_body
from tests.fakes.orchestrator import FakeOrchestrator
from tests.fixtures.http import error_of

SCHEMA = {
    "type": "object",
    "properties": {"path": {"type": "string"}, "rows": {"type": "integer", "default": 10}},
    "required": ["path"],
}


@pytest.fixture
async def api(client: httpx.AsyncClient) -> Api:
    return await owner(client)


async def row_of(sessions: Sessions, api: Api, started: dict[str, Any]) -> Execution:
    async with tenant_scope(sessions, api.tenant_id) as scope:
        return await scope.session.get_one(Execution, UUID(started["executionId"]))


def path_of(workflow: dict[str, Any]) -> str:
    return f"/workflows/{workflow['id']}/execute"


class TestStart:
    async def test_admits_and_submits(self, api: Api, orchestrator: FakeOrchestrator, sessions: Sessions) -> None:
        agent = await api.active_agent()
        workflow = await api.active_workflow(name="Live", inputSchema=SCHEMA, tags=["demo"], steps=[step("a", agent)])
        body = {"inputs": {"path": "a.csv"}, "priority": "high", "tags": ["nightly"]}
        answer = await api.post(path_of(workflow), body)
        started = answer.json()["data"]
        assert answer.status_code == 201
        assert (started["status"], started["triggerType"]) == ("PENDING", "MANUAL")
        assert (started["workflowId"], started["workflowVersion"]) == (workflow["id"], 1)
        assert (started["environment"], started["priority"], started["runAt"]) == ("DEVELOPMENT", "high", None)

        row = await row_of(sessions, api, started)
        plan = Plan.model_validate(row.plan)
        assert row.inputs == {"path": "a.csv", "rows": 10}
        assert row.steps_total == 1
        assert row.user_id == api.user_id
        assert row.request_id == answer.json()["meta"]["requestId"]
        assert row.submitted_at is not None
        assert (plan.workflow.id, plan.workflow.version) == (workflow["id"], 1)
        assert plan.agents[agent["id"]].config == agent["config"]

        (submission,) = orchestrator.submissions
        assert submission.execution_id == row.id
        assert submission.inputs == row.inputs
        assert submission.priority == "high"
        assert set(submission.tags) == {"demo", "nightly"}
        assert submission.scheduled_at is None
        assert orchestrator.deployments[submission.deployment_id].workflow_id == UUID(workflow["id"])

    async def test_an_empty_body_takes_defaults(self, api: Api) -> None:
        workflow = await api.active_workflow()
        assert (await api.client.post(f"/api/v1{path_of(workflow)}", headers=api.headers)).status_code == 201

    async def test_the_plan_outlives_later_changes(self, api: Api, sessions: Sessions) -> None:
        agent = await api.active_agent(name="Before")
        workflow = await api.active_workflow(steps=[step("a", agent)])
        started = await api.made(path_of(workflow), {})
        await api.patch(f"/agents/{agent['id']}", {"name": "After"})
        await api.patch(f"/workflows/{workflow['id']}", {"steps": [step("b", agent)]})
        old = Plan.model_validate((await row_of(sessions, api, started)).plan)
        new = Plan.model_validate((await row_of(sessions, api, await api.made(path_of(workflow), {}))).plan)
        assert (old.steps[0].step_key, old.agents[agent["id"]].name, old.workflow.version) == ("a", "Before", 1)
        assert (new.steps[0].step_key, new.agents[agent["id"]].name, new.workflow.version) == ("b", "After", 2)

    async def test_leaves_its_event_with_the_row(self, api: Api, sessions: Sessions) -> None:
        started = await api.made(path_of(await api.active_workflow()), {})
        async with tenant_scope(sessions, api.tenant_id) as scope:
            statement = select(ExecutionEvent).where(col(ExecutionEvent.execution_id) == UUID(started["executionId"]))
            found = (await scope.session.execute(statement)).scalars()
            assert [(row.seq, row.type, row.payload) for row in found] == [
                (1, "execution.status", {"status": "PENDING"}),
            ]

    async def test_a_key_starts_as_api(self, api: Api, sessions: Sessions) -> None:
        workflow = await api.active_workflow()
        machine = await by_key(api, sessions, "workflows:execute")
        assert (await machine.made(path_of(workflow), {}))["triggerType"] == "API"
        error_of(await machine.get(f"/workflows/{workflow['id']}"), 403, "FORBIDDEN")

    async def test_another_environment_gets_a_deployment_of_its_own(
        self, api: Api, orchestrator: FakeOrchestrator
    ) -> None:
        workflow = await api.active_workflow(schedule={"intervalSeconds": 60})
        started = await api.made(path_of(workflow), {"environment": "PRODUCTION"})
        specs = {spec.environment.value: spec for spec in orchestrator.deployments.values()}
        assert set(specs) == {"DEVELOPMENT", "PRODUCTION"}
        assert specs["PRODUCTION"].schedule is None
        submitted = orchestrator.deployments[orchestrator.submissions[0].deployment_id]
        assert submitted.environment.value == "PRODUCTION"
        await api.send("POST", f"/executions/{started['executionId']}/cancel")
        await api.send("DELETE", f"/workflows/{workflow['id']}")
        assert orchestrator.deployments == {}

    async def test_waits_until_it_is_due(self, api: Api, orchestrator: FakeOrchestrator) -> None:
        workflow = await api.active_workflow()
        due = clock.now().replace(microsecond=0) + timedelta(hours=1)
        started = await api.made(path_of(workflow), {"runAt": due.isoformat()})
        assert orchestrator.submissions[0].scheduled_at == due
        assert started["runAt"] == due.isoformat(timespec="milliseconds").replace("+00:00", "Z")
        past = await api.made(path_of(workflow), {"runAt": "2001-01-01T00:00:00Z"})
        assert past["runAt"] is None
        assert orchestrator.submissions[1].scheduled_at is None


class TestPrefectAway:
    async def test_is_admitted_and_submitted_later(
        self, api: Api, orchestrator: FakeOrchestrator, sessions: Sessions
    ) -> None:
        workflow = await api.active_workflow()
        orchestrator.available = False
        started = await api.made(path_of(workflow), {})
        row = await row_of(sessions, api, started)
        assert (row.status, row.submitted_at) == (ExecutionStatus.PENDING, None)
        orchestrator.available = True
        delivery = Delivery(sessions=sessions, orchestrator=orchestrator, tenant_id=api.tenant_id)
        await delivery.deliver(row.id)
        await delivery.deliver(row.id)
        assert [each.execution_id for each in orchestrator.submissions] == [row.id]
        assert (await row_of(sessions, api, started)).submitted_at is not None

    async def test_a_missing_registration_is_made_good(self, api: Api, orchestrator: FakeOrchestrator) -> None:
        orchestrator.available = False
        workflow = await api.active_workflow()
        orchestrator.available = True
        await api.made(path_of(workflow), {})
        assert len(orchestrator.submissions) == 1

    async def test_a_deployment_that_prefect_lost_is_made_again(
        self, api: Api, orchestrator: FakeOrchestrator, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        workflow = await api.active_workflow()
        orchestrator.deployments.clear()
        accept = orchestrator.submit

        async def submit(submission: Submission) -> UUID:
            if submission.deployment_id not in orchestrator.deployments:
                raise PrefectRefused("no such deployment")
            return await accept(submission)

        monkeypatch.setattr(orchestrator, "submit", submit)
        started = await api.made(path_of(workflow), {})
        assert [str(each.execution_id) for each in orchestrator.submissions] == [started["executionId"]]


class TestRefused:
    @pytest.mark.parametrize("status", ["DRAFT", "INACTIVE", "ARCHIVED"])
    async def test_only_active_workflows_run(self, api: Api, orchestrator: FakeOrchestrator, status: str) -> None:
        agent = await api.active_agent()
        workflow = await api.made("/workflows", workflow_body(steps=[step("a", agent)]))
        for wanted in {"DRAFT": [], "INACTIVE": ["ACTIVE", "INACTIVE"], "ARCHIVED": ["ARCHIVED"]}[status]:
            await api.patch(f"/workflows/{workflow['id']}", {"status": wanted})
        error_of(await api.post(path_of(workflow)), 409, "INVALID_STATE")
        assert orchestrator.submissions == []

    async def test_agents_must_be_active_at_the_start(self, api: Api) -> None:
        agent = await api.active_agent()
        workflow = await api.active_workflow(steps=[step("a", agent)])
        await api.patch(f"/agents/{agent['id']}", {"status": "INACTIVE"})
        error = error_of(await api.post(path_of(workflow)), 409, "INVALID_STATE")
        assert [(each["path"], each["code"]) for each in error["details"]] == [("steps[0].agentId", "INACTIVE_AGENT")]

    @pytest.mark.parametrize(
        ("inputs", "path"),
        [({}, "inputs.path"), ({"path": 7}, "inputs.path"), ({"path": "a", "rows": "x"}, "inputs.rows")],
    )
    async def test_inputs_must_fit_the_schema(
        self, api: Api, orchestrator: FakeOrchestrator, inputs: dict[str, Any], path: str
    ) -> None:
        workflow = await api.active_workflow(inputSchema=SCHEMA)
        error = error_of(await api.post(path_of(workflow), {"inputs": inputs}), 400, "VALIDATION_ERROR")
        assert [each["path"] for each in error["details"]] == [path]
        assert orchestrator.submissions == []
        assert (await api.get("/executions")).json()["data"] == []

    @pytest.mark.parametrize(
        "body",
        [
            {"priority": "urgent"},
            {"environment": "MOON"},
            {"runAt": "tomorrow"},
            {"runAt": "2030-01-01T00:00:00"},
            {"inputs": []},
            {"triggerType": "SCHEDULED"},
            {"status": "COMPLETED"},
            {"plan": {}},
        ],
    )
    async def test_refuses_bad_bodies(self, api: Api, body: dict[str, Any]) -> None:
        workflow = await api.active_workflow()
        error = error_of(await api.post(path_of(workflow), body), 400, "VALIDATION_ERROR")
        assert error["details"][0]["path"] == next(iter(body))

    async def test_others_do_not_start_it(
        self, api: Api, client: httpx.AsyncClient, sessions: Sessions, settings: Settings
    ) -> None:
        agent = await api.active_agent()
        private = await api.active_workflow(steps=[step("a", agent)])
        public = await api.active_workflow(isPublic=True, steps=[step("a", agent)])
        editor = await colleague(api, sessions, settings, TenantRole.EDITOR)
        viewer = await colleague(api, sessions, settings, TenantRole.VIEWER)
        stranger = await owner(client)
        error_of(await editor.post(path_of(private)), 403, "FORBIDDEN")
        error_of(await viewer.post(path_of(public)), 403, "FORBIDDEN")
        error_of(await stranger.post(path_of(public)), 404, "NOT_FOUND")
        error_of(await api.post(f"/workflows/{uuid4()}/execute"), 404, "NOT_FOUND")
        assert (await editor.post(path_of(public))).status_code == 201  # the private agent comes with the workflow
