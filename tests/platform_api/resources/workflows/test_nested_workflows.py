"""Workflows that run workflows: found, checked when saved and when started, and planned to the innermost."""

from typing import Any
from uuid import UUID, uuid4

import httpx
import pytest

from flows.plan import Plan
from platform_api.access.principal import TenantRole
from platform_api.access.scope import tenant_scope
from platform_api.db.engine import Sessions
from platform_api.db.models import Execution
from platform_api.resources.executions.adoption import workflow_plan
from platform_api.settings import Settings
from tests.factories.api import Api, agent_body, colleague, owner, step, workflow_body
from tests.factories.world import unhurried
from tests.fixtures.http import error_of


@pytest.fixture
def settings(settings: Settings, monkeypatch: pytest.MonkeyPatch) -> Settings:
    return unhurried(settings, monkeypatch)


@pytest.fixture
async def api(client: httpx.AsyncClient) -> Api:
    return await owner(client)


def runs(workflow: dict[str, Any] | str, **config: Any) -> dict[str, Any]:
    """The body of an agent that runs the workflow."""
    workflow_id = workflow if isinstance(workflow, str) else workflow["id"]
    return {"type": "WORKFLOW", "config": {"workflowId": workflow_id, **config}}


async def plan_of(api: Api, sessions: Sessions, workflow: dict[str, Any]) -> Plan:
    started = await api.made(f"/workflows/{workflow['id']}/execute", {})
    async with tenant_scope(sessions, api.tenant_id) as scope:
        row = await scope.session.get_one(Execution, UUID(started["executionId"]))
        return Plan.model_validate(row.plan)


def problems(answer: httpx.Response) -> list[tuple[str, str]]:
    return [(each["path"], each["code"]) for each in error_of(answer, 400, "VALIDATION_ERROR")["details"]]


async def test_the_plan_of_a_run_holds_what_its_workflow_agents_run(api: Api, sessions: Sessions) -> None:
    leaf = await api.active_workflow(name="Leaf")
    middle_agent = await api.active_agent(**runs(leaf))
    middle = await api.active_workflow(name="Middle", steps=[step("leaf", middle_agent)])
    agent = await api.active_agent(**runs(middle))
    each = {"stepKey": "each", "type": "LOOP", "config": {"items": [1, 2], "steps": [step("middle", agent)]}}
    root = await api.active_workflow(name="Root", steps=[each])

    plan = await plan_of(api, sessions, root)

    child = plan.children[agent["id"]]
    assert (child.workflow.name, child.workflow.id, child.workflow.version) == ("Middle", middle["id"], 1)
    grandchild = child.children[middle_agent["id"]]
    assert (grandchild.workflow.name, grandchild.steps[0].step_key) == ("Leaf", "load")


async def test_a_pinned_version_stays_and_the_newest_moves_on(api: Api, sessions: Sessions) -> None:
    leaf = await api.active_workflow()
    pinned, newest = await api.active_agent(**runs(leaf, version=1)), await api.active_agent(**runs(leaf))
    root = await api.active_workflow(steps=[step("pinned", pinned), step("newest", newest)])
    other = step("other", await api.active_agent())
    await api.patch(f"/workflows/{leaf['id']}", {"steps": [other]})

    children = (await plan_of(api, sessions, root)).children

    assert (children[pinned["id"]].workflow.version, children[pinned["id"]].steps[0].step_key) == (1, "load")
    assert (children[newest["id"]].workflow.version, children[newest["id"]].steps[0].step_key) == (2, "other")


async def test_inputs_go_to_the_workflow_as_they_are_or_as_the_config_says(api: Api, sessions: Sessions) -> None:
    schema = {"type": "object", "required": ["day"], "additionalProperties": False,
              "properties": {"day": {"type": "string"}, "n": {"default": 3}}}  # fmt: skip
    leaf = await api.active_workflow(inputSchema=schema)
    plain = await api.active_agent(**runs(leaf))
    written = await api.active_agent(**runs(leaf, inputs={"day": "{{ inputs.date }}"}))
    wrong = await api.active_agent(name="Wrong", **runs(leaf, inputs={"dya": 1}))

    steps = [step("a", plain), step("b", plain, inputs={"day": "x", "dya": 1}), step("c", written), step("d", wrong)]
    assert problems(await api.post("/workflows", workflow_body(steps=steps))) == [
        ("steps[0].inputs.day", "MISSING_INPUT"),
        ("steps[1].inputs.dya", "UNKNOWN_INPUT"),
        ("steps[2].inputs.date", "MISSING_INPUT"),
        ("steps[3].agentId", "UNKNOWN_INPUT"),
        ("steps[3].agentId", "MISSING_INPUT"),
    ]
    root = await api.active_workflow(steps=[step("a", plain, inputs={"day": "x"})])
    assert (await plan_of(api, sessions, root)).agents[plain["id"]].input_schema == schema


async def test_a_workflow_that_would_run_itself_is_refused_with_the_way(api: Api) -> None:
    first = await api.active_workflow(name="First")
    runs_first = await api.active_agent(name="One", **runs(first))
    second = await api.active_workflow(name="Second", steps=[step("a", runs_first)])
    runs_second = await api.active_agent(name="Two", **runs(second))

    answer = await api.patch(f"/workflows/{first['id']}", {"steps": [step("b", runs_second)]})

    (problem,) = error_of(answer, 400, "VALIDATION_ERROR")["details"]
    assert (problem["path"], problem["code"]) == ("steps[0].agentId", "CYCLE")
    assert "First → agent `Two` → Second → agent `One` → First" in problem["message"]
    direct = await api.patch(f"/workflows/{first['id']}", {"steps": [step("b", runs_first)]})
    assert problems(direct) == [("steps[0].agentId", "CYCLE")]
    earlier = await api.active_agent(**runs(first, version=1))
    assert (await api.patch(f"/workflows/{first['id']}", {"steps": [step("b", earlier)]})).status_code == 200


async def test_an_agent_that_was_turned_round_afterwards_is_refused_when_a_run_starts(api: Api) -> None:
    leaf = await api.active_workflow()
    agent = await api.active_agent(**runs(leaf))
    root = await api.active_workflow(name="Root", steps=[step("a", agent)])
    await api.patch(f"/agents/{agent['id']}", {"config": {"workflowId": root["id"]}})

    details = error_of(await api.post(f"/workflows/{root['id']}/execute"), 409, "INVALID_STATE")["details"]

    assert [(each["path"], each["code"]) for each in details] == [("steps[0].agentId", "CYCLE")]


async def test_eight_levels_are_enough(api: Api, sessions: Sessions) -> None:
    workflow = await api.active_workflow(name="Level 8")
    for level in range(7, -1, -1):
        agent = await api.active_agent(**runs(workflow))
        workflow = await api.active_workflow(name=f"Level {level}", steps=[step("a", agent)])
    plan = await plan_of(api, sessions, workflow)
    depth = 0
    while plan.children:
        (plan,) = plan.children.values()
        depth += 1
    assert depth == 8
    deeper = await api.active_agent(**runs(workflow))
    assert problems(await api.post("/workflows", workflow_body(steps=[step("a", deeper)]))) == [
        ("steps[0].agentId", "NESTED_TOO_DEEP")
    ]


async def test_many_of_them_are_refused_before_they_are_all_looked_at(api: Api) -> None:
    workflow = await api.active_workflow()
    for _ in range(3):
        agents = [await api.active_agent(**runs(workflow)) for _ in range(5)]
        body = workflow_body(status="ACTIVE", steps=[step(f"s{n}", agent) for n, agent in enumerate(agents)])
        answer = await api.post("/workflows", body)
        if answer.status_code == 400:
            assert {code for _, code in problems(answer)} == {"TOO_MANY_WORKFLOWS"}
            return
        workflow = answer.json()["data"]
    pytest.fail("155 workflows were nested in one")


class TestRefusals:
    async def test_what_is_not_there_or_not_theirs(self, api: Api, sessions: Sessions, settings: Settings) -> None:
        editor = await colleague(api, sessions, settings, TenantRole.EDITOR)
        private = await api.active_workflow()
        deleted = await api.active_workflow()
        agents = [
            await editor.active_agent(**runs(str(uuid4()))),
            await editor.active_agent(**runs(private)),
            await editor.active_agent(**runs(deleted)),
            await editor.active_agent(**runs(await editor.active_workflow(), version=9)),
        ]
        await api.send("DELETE", f"/workflows/{deleted['id']}")
        steps = [step(f"s{n}", agent) for n, agent in enumerate(agents)]
        assert problems(await editor.post("/workflows", workflow_body(steps=steps))) == [
            ("steps[0].agentId", "UNKNOWN_WORKFLOW"),
            ("steps[1].agentId", "UNKNOWN_WORKFLOW"),
            ("steps[2].agentId", "UNKNOWN_WORKFLOW"),
            ("steps[3].agentId", "UNKNOWN_VERSION"),
        ]
        assert (await api.patch(f"/workflows/{private['id']}", {"isPublic": True})).status_code == 200
        assert (await editor.post("/workflows", workflow_body(steps=[steps[1]]))).status_code == 201

    async def test_one_that_is_not_active_can_be_saved_with_but_not_run(self, api: Api) -> None:
        agent = await api.active_agent()
        draft = await api.made("/workflows", workflow_body(steps=[step("a", agent)]))
        runner = await api.active_agent(**runs(draft))
        body = workflow_body(steps=[step("b", runner)])
        assert (await api.post("/workflows", body)).status_code == 201
        assert problems(await api.post("/workflows", {**body, "status": "ACTIVE"})) == [
            ("steps[0].agentId", "INACTIVE_WORKFLOW")
        ]
        await api.patch(f"/workflows/{draft['id']}", {"status": "ACTIVE"})
        root = await api.made("/workflows", {**body, "status": "ACTIVE"})
        await api.patch(f"/workflows/{draft['id']}", {"status": "INACTIVE"})
        answer = await api.post(f"/workflows/{root['id']}/execute")
        details = error_of(answer, 409, "INVALID_STATE")["details"]
        assert [each["code"] for each in details] == ["INACTIVE_WORKFLOW"]

    async def test_what_an_inner_one_cannot_run_is_told_with_its_name(self, api: Api) -> None:
        inner = await api.active_agent()
        leaf = await api.active_workflow(name="Leaf", steps=[step("a", inner)])
        root = await api.active_workflow(steps=[step("b", await api.active_agent(**runs(leaf)))])
        await api.patch(f"/agents/{inner['id']}", {"status": "INACTIVE"})
        error = error_of(await api.post(f"/workflows/{root['id']}/execute"), 409, "INVALID_STATE")
        assert "'Leaf'" in error["message"]
        assert [each["code"] for each in error["details"]] == ["INACTIVE_AGENT"]

    async def test_an_agent_does_not_lead_others_to_what_is_private(
        self, api: Api, sessions: Sessions, settings: Settings
    ) -> None:
        """Case: the agent's maker points it at somebody's private workflow after others have begun to use it."""
        maker = await colleague(api, sessions, settings, TenantRole.EDITOR)
        user = await colleague(api, sessions, settings, TenantRole.EDITOR)
        harmless = await maker.active_workflow(isPublic=True)
        agent = await maker.active_agent(isPublic=True, **runs(harmless))
        used = await user.active_workflow(steps=[step("a", agent)])
        secret = await api.active_workflow()
        await maker.patch(f"/agents/{agent['id']}", {"config": {"workflowId": secret["id"]}})
        answer = await user.post(f"/workflows/{used['id']}/execute")
        assert [each["code"] for each in error_of(answer, 409, "INVALID_STATE")["details"]] == ["UNKNOWN_WORKFLOW"]

    async def test_on_a_schedule_the_owner_counts(self, api: Api, sessions: Sessions, settings: Settings) -> None:
        editor = await colleague(api, sessions, settings, TenantRole.EDITOR)
        theirs = await editor.active_workflow()
        by_owner = await api.active_workflow(steps=[step("a", await api.active_agent(**runs(theirs)))])
        plan = await workflow_plan(sessions, UUID(by_owner["id"]))
        assert [child.workflow.id for child in plan.children.values()] == [theirs["id"]]


async def test_a_workflow_agent_can_be_tried_out(api: Api, sessions: Sessions) -> None:
    schema = {"type": "object", "properties": {"n": {"default": 3}}}
    leaf = await api.active_workflow(inputSchema=schema)
    agent = await api.made("/agents", agent_body(**runs(leaf)))
    tested = await api.post(f"/agents/{agent['id']}/test", {"input": {}})
    assert tested.status_code in (200, 201, 202), tested.text
    async with tenant_scope(sessions, api.tenant_id) as scope:
        row = await scope.session.get_one(Execution, UUID(tested.json()["data"]["executionId"]))
    assert Plan.model_validate(row.plan).children[agent["id"]].workflow.id == leaf["id"]
    assert row.inputs == {"n": 3}
