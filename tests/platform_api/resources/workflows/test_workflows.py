"""`/workflows` by HTTP, with what Prefect hears of it."""

import asyncio
from typing import Any
from uuid import UUID, uuid4

import httpx
import pytest
from sqlmodel import col, select

from flows.runtime.ports import RunOutcome
from flows.states import Environment, ExecutionStatus
from platform_api.access.principal import TenantRole
from platform_api.access.scope import tenant_scope
from platform_api.db.engine import Sessions
from platform_api.db.models import Workflow, WorkflowStep
from platform_api.resources.workflows.departures import Departures
from platform_api.settings import Settings
from tests.factories.api import Api, agent_body, colleague, owner, step, workflow_body
from tests.factories.waits import a_waiting_run
from tests.fakes.orchestrator import FakeOrchestrator
from tests.fixtures.http import error_of


@pytest.fixture
async def api(client: httpx.AsyncClient) -> Api:
    return await owner(client)


def names(answer: httpx.Response) -> list[str]:
    assert answer.status_code == 200, answer.text
    return [row["name"] for row in answer.json()["data"]]


def problems(answer: httpx.Response) -> set[tuple[str, str]]:
    error = error_of(answer, 400, "VALIDATION_ERROR")
    return {(detail["path"], detail["code"]) for detail in error["details"]}


async def row_of(sessions: Sessions, api: Api, workflow: dict[str, Any]) -> Workflow:
    async with tenant_scope(sessions, api.tenant_id) as scope:
        return await scope.session.get_one(Workflow, UUID(workflow["id"]))


class TestCreate:
    async def test_stores_the_definition_with_its_steps(self, api: Api) -> None:
        agent = await api.made("/agents", agent_body(name="Loader"))
        body = workflow_body(
            name="Late Flights: Été",
            description="Which were late?",
            tags=["demo"],
            inputSchema={"type": "object", "properties": {"path": {"type": "string", "default": "a.csv"}}},
            limits={"maxConcurrency": 2, "timeoutSeconds": 60},
            schedule={"cron": "0 6 * * MON-FRI", "timezone": "Europe/Berlin"},
            steps=[
                step("load", agent, inputs={"path": "{{ inputs.path }}"}, onError="RETRY", afterRetries="CONTINUE"),
                step(
                    "report",
                    agent,
                    name="Report",
                    dependsOn=["load"],
                    inputs={"x": "{{ load.output }}"},
                    default={"rows": 0},
                ),
            ],
            output={"report": "{{ report.output }}"},
        )
        answer = await api.post("/workflows", body)
        workflow = answer.json()["data"]
        assert answer.status_code == 201
        assert answer.headers["ETag"] == '"1"'
        assert (workflow["status"], workflow["version"], workflow["slug"]) == ("DRAFT", 1, "late-flights-ete")
        assert workflow["schedule"] == {
            "cron": "0 6 * * MON-FRI",
            "intervalSeconds": None,
            "timezone": "Europe/Berlin",
            "enabled": True,
        }
        assert workflow["limits"] == {"maxConcurrency": 2, "timeoutSeconds": 60}
        assert workflow["output"] == body["output"]
        load, report = workflow["steps"]
        assert load["agent"] == {
            "id": agent["id"],
            "name": "Loader",
            "type": "CODE",
            "status": "DRAFT",
            "version": 1,
        }
        assert (load["onError"], load["afterRetries"]) == ("RETRY", "CONTINUE")
        assert (report["name"], report["default"]) == ("Report", {"rows": 0})
        assert (await api.get(f"/workflows/{workflow['id']}")).json()["data"] == workflow

    async def test_slugs_are_free_inside_the_tenant(self, api: Api, client: httpx.AsyncClient) -> None:
        agent = await api.made("/agents", agent_body())
        body = workflow_body(name="Same", steps=[step("a", agent)])
        made = [await api.made("/workflows", body) for _ in range(3)]
        assert [each["slug"] for each in made] == ["same", "same-2", "same-3"]
        await api.send("DELETE", f"/workflows/{made[0]['id']}")
        assert (await api.made("/workflows", body))["slug"] == "same"
        stranger = await owner(client)
        theirs = await stranger.made("/agents", agent_body())
        mine = await stranger.made("/workflows", workflow_body(name="Same", steps=[step("a", theirs)]))
        assert mine["slug"] == "same"

    async def test_slugs_stay_apart_when_many_are_made_at_once(self, api: Api) -> None:
        agent = await api.made("/agents", agent_body())
        body = workflow_body(name="Same", steps=[step("a", agent)])
        made = await asyncio.gather(*(api.made("/workflows", body) for _ in range(5)))
        assert {each["slug"] for each in made} == {"same", "same-2", "same-3", "same-4", "same-5"}

    async def test_reports_every_problem_at_once(self, api: Api) -> None:
        agent = await api.made("/agents", agent_body())
        body = workflow_body(
            name="",
            schedule={"cron": "61 * * * *", "timezone": "Mars/Olympus"},
            steps=[
                step("a", agent, dependsOn=["b"]),
                step("b", agent, dependsOn=["a"]),
                step("c", {"id": str(uuid4())}),
                step("d", {"id": "not-an-id"}),
                step("e", agent, dependsOn=["nowhere"]),
                step("f", agent, inputs={"x": "{{ 1 + }}"}),
                step("a", agent),
            ],
        )
        answer = await api.post("/workflows", body)
        found = problems(answer)
        assert {path for path, _ in found} >= {
            *("name", "schedule.cron", "schedule.timezone", "steps[2].agentId", "steps[3].agentId"),
        }
        assert {code for _, code in found} >= {
            "CYCLE",
            "UNKNOWN_AGENT",
            "UNKNOWN_DEPENDENCY",
            "BAD_EXPRESSION",
            "DUPLICATE_STEP_KEY",
        }
        cycle = next(each for each in answer.json()["error"]["details"] if each["code"] == "CYCLE")
        assert "a → b → a" in cycle["message"]
        assert names(await api.get("/workflows")) == []

    @pytest.mark.parametrize(
        ("schedule", "found"),
        [
            ({"cron": "61 * * * *"}, ("schedule.cron", "BAD_CRON")),
            ({"cron": "* * * *"}, ("schedule.cron", "BAD_CRON")),
            ({"cron": "*/0 * * * *"}, ("schedule.cron", "BAD_CRON")),
            ({"cron": "5-1 * * * *"}, ("schedule.cron", "BAD_CRON")),
            ({"cron": "0 0 ٣ * *"}, ("schedule.cron", "BAD_CRON")),
            ({"cron": "0 0 30 2 *"}, ("schedule.cron", "BAD_CRON")),
            ({"cron": "0 0 31 4,6,9 *"}, ("schedule.cron", "BAD_CRON")),
            ({"cron": "0 6 * * *", "timezone": "Mars/Olympus"}, ("schedule.timezone", "UNKNOWN_TIMEZONE")),
            ({}, ("schedule", "BAD_SCHEDULE")),
            ({"cron": "0 6 * * *", "intervalSeconds": 5}, ("schedule", "BAD_SCHEDULE")),
            ({"intervalSeconds": 0}, ("schedule.intervalSeconds", "BAD_VALUE")),
        ],
    )
    async def test_refuses_bad_schedules(self, api: Api, schedule: dict[str, Any], found: tuple[str, str]) -> None:
        agent = await api.made("/agents", agent_body())
        answer = await api.post("/workflows", workflow_body(schedule=schedule, steps=[step("a", agent)]))
        assert problems(answer) == {found}

    @pytest.mark.parametrize("extra", ["id", "slug", "tenantId", "userId", "prefectDeploymentIds", "deletedAt"])
    async def test_takes_nothing_that_is_not_the_callers_to_set(self, api: Api, extra: str) -> None:
        agent = await api.made("/agents", agent_body())
        answer = await api.post("/workflows", workflow_body(**{extra: "x"}, steps=[step("a", agent)]))
        assert problems(answer) == {(extra, "UNKNOWN_FIELD")}

    async def test_agents_that_the_caller_may_not_use_are_unknown(
        self, api: Api, client: httpx.AsyncClient, sessions: Sessions, settings: Settings
    ) -> None:
        editor = await colleague(api, sessions, settings, TenantRole.EDITOR)
        stranger = await owner(client)
        foreign = await stranger.made("/agents", agent_body(isPublic=True))
        private = await api.made("/agents", agent_body())
        shared = await api.made("/agents", agent_body(isPublic=True))
        deleted = await editor.made("/agents", agent_body())
        await editor.send("DELETE", f"/agents/{deleted['id']}")
        steps = [step("a", foreign), step("b", private), step("c", shared), step("d", deleted)]
        answer = await editor.post("/workflows", workflow_body(steps=steps))
        assert problems(answer) == {(f"steps[{place}].agentId", "UNKNOWN_AGENT") for place in (0, 1, 3)}

    async def test_active_needs_active_agents(self, api: Api) -> None:
        ready, draft = await api.active_agent(), await api.made("/agents", agent_body())
        steps = [step("a", ready), step("b", draft), step("c", draft)]
        answer = await api.post("/workflows", workflow_body(status="ACTIVE", steps=steps))
        assert problems(answer) == {("steps[1].agentId", "INACTIVE_AGENT"), ("steps[2].agentId", "INACTIVE_AGENT")}
        saved = await api.made("/workflows", workflow_body(steps=steps))
        answer = await api.patch(f"/workflows/{saved['id']}", {"status": "ACTIVE"})
        assert ("steps[1].agentId", "INACTIVE_AGENT") in problems(answer)

    @pytest.mark.parametrize("body", [[], "text", None, 7])
    async def test_refuses_what_is_no_object(self, api: Api, body: Any) -> None:
        assert error_of(await api.send("POST", "/workflows", body), 400, "VALIDATION_ERROR")

    async def test_a_viewer_makes_none(self, api: Api, sessions: Sessions, settings: Settings) -> None:
        viewer = await colleague(api, sessions, settings, TenantRole.VIEWER)
        assert error_of(await viewer.post("/workflows", workflow_body(steps=[])), 403, "FORBIDDEN")


class TestValidate:
    async def test_says_in_which_order_steps_run(self, api: Api) -> None:
        agent = await api.made("/agents", agent_body())
        steps = [
            step("join", agent, dependsOn=["left", "right"]),
            step("left", agent, dependsOn=["load"], inputs={"x": "{{ load.output }}"}),
            step("right", agent, dependsOn=["load"]),
            step("load", agent),
        ]
        answer = await api.post("/workflows/validate", workflow_body(steps=steps))
        verdict = answer.json()["data"]
        assert answer.status_code == 200
        assert (verdict["valid"], verdict["problems"]) == (True, [])
        assert [sorted(stage) for stage in verdict["executionPlan"]["stages"]] == [
            ["load"],
            ["left", "right"],
            ["join"],
        ]
        assert verdict["executionPlan"]["steps"][0] == "load"
        assert names(await api.get("/workflows")) == []

    async def test_lists_problems_without_failing(self, api: Api) -> None:
        answer = await api.post("/workflows/validate", {"steps": [], "surprise": 1})
        verdict = answer.json()["data"]
        assert answer.status_code == 200
        assert (verdict["valid"], verdict["executionPlan"]) == (False, None)
        assert {(each["path"], each["code"]) for each in verdict["problems"]} == {
            ("name", "MISSING_FIELD"),
            ("surprise", "UNKNOWN_FIELD"),
            ("steps", "EMPTY_WORKFLOW"),
        }


class TestList:
    async def test_filters_and_shows_no_steps(self, api: Api) -> None:
        agent = await api.active_agent()
        steps = [step("a", agent)]
        await api.made("/workflows", workflow_body(name="Plain", steps=steps))
        await api.made("/workflows", workflow_body(name="Timed", schedule={"intervalSeconds": 60}, steps=steps))
        await api.made("/workflows", workflow_body(name="Live", status="ACTIVE", tags=["x"], steps=steps))
        everything = await api.get("/workflows", sortBy="name", sortOrder="asc")
        assert names(everything) == ["Live", "Plain", "Timed"]
        assert all("steps" not in row for row in everything.json()["data"])
        assert names(await api.get("/workflows", status="ACTIVE")) == ["Live"]
        assert names(await api.get("/workflows", scheduleEnabled="true")) == ["Timed"]
        assert names(await api.get("/workflows", tags="x")) == ["Live"]
        assert names(await api.get("/workflows", search="lai")) == ["Plain"]
        assert names(await api.get("/workflows", projectId=str(uuid4()))) == []

    @pytest.mark.parametrize("query", [{"status": "x"}, {"scheduleEnabled": "x"}, {"sortBy": "slug"}, {"agent": "x"}])
    async def test_refuses_what_it_does_not_know(self, api: Api, query: dict[str, str]) -> None:
        assert error_of(await api.get("/workflows", **query), 400, "VALIDATION_ERROR")


class TestUpdate:
    async def test_steps_are_created_changed_and_deleted_together(self, api: Api, sessions: Sessions) -> None:
        agent, other = await api.made("/agents", agent_body()), await api.made("/agents", agent_body())
        body = workflow_body(steps=[step("keep", agent), step("drop", agent)], output="{{ keep.output }}")
        workflow = await api.made("/workflows", body)
        steps = [step("new", agent), step("keep", other, timeoutSeconds=5)]
        answer = await api.patch(f"/workflows/{workflow['id']}", {"steps": steps})
        changed = answer.json()["data"]
        assert answer.status_code == 200, answer.text
        assert answer.headers["ETag"] == '"2"'
        assert [(each["stepKey"], each["agent"]["id"]) for each in changed["steps"]] == [
            ("new", agent["id"]),
            ("keep", other["id"]),
        ]
        assert changed["output"] == "{{ keep.output }}"
        async with tenant_scope(sessions, api.tenant_id) as scope:
            statement = select(WorkflowStep).where(col(WorkflowStep.workflow_id) == UUID(workflow["id"]))
            rows = (await scope.session.execute(statement)).scalars()
            stored = {row.step_key: (row.position, row.timeout_seconds) for row in rows}
        assert stored == {"new": (0, None), "keep": (1, 5.0)}

    async def test_versions_freeze_what_was(self, api: Api) -> None:
        agent = await api.made("/agents", agent_body())
        workflow = await api.made("/workflows", workflow_body(name="One", steps=[step("a", agent)]))
        path = f"/workflows/{workflow['id']}"
        await api.patch(path, {"name": "Two"})
        await api.patch(path, {"steps": [step("b", agent)]})
        await api.patch(path, {"name": "Two"})
        rows = (await api.get(f"{path}/versions")).json()["data"]
        assert [
            (row["version"], row["definition"]["name"], row["definition"]["steps"][0]["stepKey"]) for row in rows
        ] == [(3, "Two", "b"), (2, "Two", "a"), (1, "One", "a")]
        assert rows[0]["definition"]["steps"][0]["agentId"] == agent["id"]

    async def test_put_resets_what_is_left_out(self, api: Api) -> None:
        agent = await api.active_agent()
        steps = [step("a", agent)]
        body = workflow_body(status="ACTIVE", tags=["x"], schedule={"intervalSeconds": 60}, steps=steps)
        workflow = await api.made("/workflows", body)
        answer = await api.send("PUT", f"/workflows/{workflow['id']}", workflow_body(name="Whole", steps=steps))
        changed = answer.json()["data"]
        assert (changed["name"], changed["tags"], changed["schedule"]) == ("Whole", [], None)
        assert (changed["status"], changed["slug"]) == ("ACTIVE", workflow["slug"])

    async def test_a_bad_change_changes_nothing(self, api: Api) -> None:
        agent = await api.made("/agents", agent_body())
        workflow = await api.made("/workflows", workflow_body(steps=[step("a", agent)]))
        answer = await api.patch(f"/workflows/{workflow['id']}", {"name": "X", "steps": [], "status": "NONSENSE"})
        assert {path for path, _ in problems(answer)} == {"status", "steps"}
        assert (await api.get(f"/workflows/{workflow['id']}")).json()["data"] == workflow

    async def test_a_stale_version_is_a_conflict(self, api: Api) -> None:
        agent = await api.made("/agents", agent_body())
        workflow = await api.made("/workflows", workflow_body(steps=[step("a", agent)]))
        path = f"/workflows/{workflow['id']}"
        assert (await api.patch(path, {"name": "Two"}, **{"If-Match": '"1"'})).status_code == 200
        error_of(await api.patch(path, {"name": "Three"}, **{"If-Match": '"1"'}), 409, "VERSION_CONFLICT")
        error_of(await api.patch(path, {"name": "Three", "version": 1}), 409, "VERSION_CONFLICT")
        error_of(await api.send("DELETE", path, **{"If-Match": '"1"'}), 409, "VERSION_CONFLICT")

    async def test_follows_the_lifecycle(self, api: Api) -> None:
        workflow = await api.active_workflow()
        path = f"/workflows/{workflow['id']}"
        error_of(await api.patch(path, {"status": "DRAFT"}), 409, "INVALID_STATE")
        assert (await api.patch(path, {"status": "ARCHIVED"})).status_code == 200
        error_of(await api.patch(path, {"status": "ACTIVE"}), 409, "INVALID_STATE")
        error_of(await api.patch(path, {"name": "X"}), 409, "INVALID_STATE")

    async def test_can_be_stopped_whatever_became_of_its_agents(self, api: Api) -> None:
        agent = await api.active_agent()
        workflow = await api.active_workflow(steps=[step("a", agent)])
        await api.patch(f"/agents/{agent['id']}", {"status": "INACTIVE"})
        answer = await api.patch(f"/workflows/{workflow['id']}", {"status": "INACTIVE"})
        assert answer.json()["data"]["status"] == "INACTIVE"


class TestVisibility:
    async def test_within_and_between_tenants(
        self, api: Api, client: httpx.AsyncClient, sessions: Sessions, settings: Settings
    ) -> None:
        other = await colleague(api, sessions, settings, TenantRole.EDITOR)
        stranger = await owner(client)
        agent = await api.made("/agents", agent_body())
        private = await api.made("/workflows", workflow_body(name="Private", steps=[step("a", agent)]))
        public = await api.made("/workflows", workflow_body(name="Public", isPublic=True, steps=[step("a", agent)]))
        assert names(await other.get("/workflows")) == ["Public"]
        error_of(await other.get(f"/workflows/{private['id']}"), 403, "FORBIDDEN")
        assert (await other.get(f"/workflows/{public['id']}")).status_code == 200
        error_of(await other.patch(f"/workflows/{public['id']}", {"name": "X"}), 403, "FORBIDDEN")
        error_of(await other.send("DELETE", f"/workflows/{public['id']}"), 403, "FORBIDDEN")
        assert names(await stranger.get("/workflows")) == []
        for workflow in (private, public):
            path = f"/workflows/{workflow['id']}"
            error_of(await stranger.get(path), 404, "NOT_FOUND")
            error_of(await stranger.patch(path, {"name": "X"}), 404, "NOT_FOUND")
            error_of(await stranger.send("DELETE", path), 404, "NOT_FOUND")
            error_of(await stranger.get(f"{path}/versions"), 404, "NOT_FOUND")


class TestPrefect:
    async def test_an_active_workflow_is_registered_and_followed(
        self, api: Api, orchestrator: FakeOrchestrator, sessions: Sessions
    ) -> None:
        workflow = await api.active_workflow(name="Live", schedule={"cron": "0 6 * * *"}, tags=["demo"])
        ((deployment_id, spec),) = orchestrator.deployments.items()
        row = await row_of(sessions, api, workflow)
        assert row.prefect_deployment_ids == {"DEVELOPMENT": str(deployment_id)}
        assert row.version == 1
        assert spec.flow_name.endswith("--live")
        assert (spec.workflow_id, spec.environment) == (UUID(workflow["id"]), Environment.DEVELOPMENT)
        assert spec.schedule is not None
        assert (spec.schedule.cron, spec.schedule.active) == ("0 6 * * *", True)
        assert set(spec.tags) == {"Live", "demo"}
        await api.patch(f"/workflows/{workflow['id']}", {"schedule": None})
        assert orchestrator.deployments[deployment_id].schedule is None
        assert orchestrator.deployments[deployment_id].version == 2

    async def test_the_fields_of_a_form_come_as_they_were_written(
        self, api: Api, orchestrator: FakeOrchestrator
    ) -> None:
        written = ["until", "since", "amount", "a"]
        schema = {"type": "object", "properties": {name: {"type": "string"} for name in written}}
        workflow = await api.active_workflow(inputSchema=schema)
        (spec,) = orchestrator.deployments.values()
        assert list((spec.input_schema or {})["properties"]) == written
        await api.patch(f"/workflows/{workflow['id']}", {"name": "Renamed"})
        shown = (await api.get(f"/workflows/{workflow['id']}")).json()["data"]["inputSchema"]
        assert list(shown["properties"]) == written

    async def test_drafts_and_refused_changes_reach_nobody(self, api: Api, orchestrator: FakeOrchestrator) -> None:
        agent = await api.made("/agents", agent_body())
        await api.made("/workflows", workflow_body(steps=[step("a", agent)]))
        await api.post("/workflows", workflow_body(status="ACTIVE", steps=[step("a", agent)]))
        assert orchestrator.deployments == {}

    async def test_what_rests_has_no_schedule_and_keeps_its_place_for_runs_that_wait(
        self, api: Api, orchestrator: FakeOrchestrator, sessions: Sessions
    ) -> None:
        workflow = await api.active_workflow(schedule={"cron": "0 6 * * *"})
        ((deployment_id, spec),) = orchestrator.deployments.items()
        assert spec.schedule is not None
        assert (await api.patch(f"/workflows/{workflow['id']}", {"status": "INACTIVE"})).is_success
        assert orchestrator.deployments[deployment_id].schedule is None
        row = await row_of(sessions, api, workflow)
        assert row.prefect_deployment_ids == {"DEVELOPMENT": str(deployment_id)}

    @pytest.mark.parametrize("how", ["ARCHIVED", "deleted"])
    async def test_what_stops_is_taken_away(
        self, api: Api, orchestrator: FakeOrchestrator, sessions: Sessions, how: str
    ) -> None:
        workflow = await api.active_workflow()
        path = f"/workflows/{workflow['id']}"
        answer = await (api.send("DELETE", path) if how == "deleted" else api.patch(path, {"status": how}))
        assert answer.is_success
        assert orchestrator.deployments == {}
        assert (await row_of(sessions, api, workflow)).prefect_deployment_ids == {}

    @pytest.mark.parametrize("how", ["ARCHIVED", "deleted"])
    async def test_what_stops_keeps_its_place_until_its_last_run_has_ended(
        self, api: Api, orchestrator: FakeOrchestrator, sessions: Sessions, how: str
    ) -> None:
        workflow = await api.active_workflow(schedule={"cron": "0 6 * * *"})
        run = await a_waiting_run(api, sessions, orchestrator, workflow)
        path = f"/workflows/{workflow['id']}"
        answer = await (api.send("DELETE", path) if how == "deleted" else api.patch(path, {"status": how}))
        assert answer.is_success
        ((deployment_id, spec),) = orchestrator.deployments.items()
        assert spec.schedule is None
        await Departures(sessions, orchestrator).sweep()
        assert set(orchestrator.deployments) == {deployment_id}
        await run.journal.run_finished(run.execution_id, RunOutcome(status=ExecutionStatus.COMPLETED))
        orchestrator.available = False
        assert await Departures(sessions, orchestrator).sweep() == 0
        orchestrator.available = True
        assert await Departures(sessions, orchestrator).sweep() >= 1
        assert orchestrator.deployments == {}
        assert (await row_of(sessions, api, workflow)).prefect_deployment_ids == {}

    async def test_is_stored_while_prefect_is_away(
        self, api: Api, orchestrator: FakeOrchestrator, sessions: Sessions
    ) -> None:
        orchestrator.available = False
        workflow = await api.active_workflow()
        assert workflow["status"] == "ACTIVE"
        assert (await row_of(sessions, api, workflow)).prefect_deployment_ids == {}
        orchestrator.available = True
        await api.patch(f"/workflows/{workflow['id']}", {"name": "Again"})
        assert (await row_of(sessions, api, workflow)).prefect_deployment_ids != {}
