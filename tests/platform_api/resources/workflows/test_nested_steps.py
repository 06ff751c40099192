"""Workflows whose steps hold steps: stored, shown, checked and given back as they were written."""

from typing import Any
from uuid import UUID

import httpx
import pytest
from sqlalchemy import select
from sqlmodel import col

from platform_api.access.principal import TenantRole
from platform_api.access.scope import tenant_scope
from platform_api.db.engine import Sessions
from platform_api.db.models import WorkflowStep
from platform_api.settings import Settings
from tests.factories.api import Api, colleague, owner, step, workflow_body
from tests.fixtures.http import error_of


@pytest.fixture
async def api(client: httpx.AsyncClient) -> Api:
    return await owner(client)


def nested_steps(agent: dict[str, Any], other: dict[str, Any]) -> list[dict[str, Any]]:
    """load → each(fetch → both(left(a), right(a))) → ask, with what is only written where it is needed."""
    branches = {"left": {"steps": [step("a", other)]}, "right": {"steps": [step("a", agent, name="Ä")]}}
    inner = [
        {"stepKey": "fetch", "agentId": agent["id"], "inputs": {"x": "{{ item.id }}"}},
        {
            "stepKey": "both",
            "type": "PARALLEL",
            "dependsOn": ["fetch"],
            "config": {"branches": branches, "wait": "any"},
        },
    ]
    each = {"items": "load.output", "steps": inner, "collect": "{{ both.output }}", "maxConcurrency": 2}
    return [
        step("load", agent),
        {"stepKey": "each", "type": "LOOP", "dependsOn": ["load"], "onError": "CONTINUE", "config": each},
        {
            "stepKey": "ask",
            "type": "WAIT",
            "dependsOn": ["each"],
            "config": {"kind": "approval", "assignees": ["ADMIN"]},
        },
    ]


def without_agents(value: Any) -> Any:
    """The document without the agents that are shown beside what was written."""
    if isinstance(value, dict):
        return {key: without_agents(each) for key, each in value.items() if key != "agent"}
    return [without_agents(each) for each in value] if isinstance(value, list) else value


def configs(workflow: dict[str, Any]) -> list[Any]:
    return [each["config"] for each in without_agents(workflow["steps"])]


async def test_everything_that_is_done_with_a_workflow_keeps_what_is_inside(api: Api) -> None:
    agent, other = await api.active_agent(), await api.active_agent(name="Other")
    steps = nested_steps(agent, other)
    wanted = [each.get("config", {}) for each in steps]
    made = await api.made("/workflows", workflow_body(steps=steps, status="ACTIVE"))
    path = f"/workflows/{made['id']}"
    assert configs(made) == wanted
    assert configs((await api.get(path)).json()["data"]) == wanted
    patched = await api.patch(path, {"steps": steps[:2]})
    assert configs(patched.json()["data"]) == wanted[:2]
    versions = (await api.get(f"{path}/versions")).json()["data"]
    assert [[each["config"] for each in row["definition"]["steps"]] for row in versions] == [wanted[:2], wanted]
    restored = await api.post(f"{path}/versions/1/restore")
    assert restored.status_code == 200, restored.text
    assert configs(restored.json()["data"]) == wanted
    copied = await api.made(f"{path}/duplicate", {})
    assert configs(copied) == wanted
    put = await api.send("PUT", path, workflow_body(steps=steps, status="ACTIVE"))
    assert configs(put.json()["data"]) == wanted


async def test_each_step_shows_its_agent(api: Api) -> None:
    agent, other = await api.active_agent(), await api.active_agent(name="Other")
    made = await api.made("/workflows", workflow_body(steps=nested_steps(agent, other)))
    load, each, ask = (await api.get(f"/workflows/{made['id']}")).json()["data"]["steps"]
    fetch, both = each["config"]["steps"]
    shown = {"id": other["id"], "name": "Other", "type": "CODE", "status": "ACTIVE", "version": other["version"]}
    assert both["config"]["branches"]["left"]["steps"][0]["agent"] == shown
    assert load["agent"]["id"] == fetch["agent"]["id"] == agent["id"]
    assert both["config"]["branches"]["right"]["steps"][0]["agent"]["id"] == agent["id"]
    assert each["agent"] is ask["agent"] is both["agent"] is None


async def test_each_step_has_a_row_with_its_place(api: Api, sessions: Sessions) -> None:
    agent, other = await api.active_agent(), await api.active_agent()
    made = await api.made("/workflows", workflow_body(steps=nested_steps(agent, other)))
    steps = nested_steps(agent, other)
    steps[1]["config"]["steps"][1]["config"]["branches"].pop("left")
    await api.patch(f"/workflows/{made['id']}", {"steps": [*reversed(steps[1:]), steps[0]]})
    async with tenant_scope(sessions, api.tenant_id) as scope:
        found = select(WorkflowStep).where(col(WorkflowStep.workflow_id) == UUID(made["id"]))
        rows = {(row.parent_step_key, row.step_key): row for row in (await scope.session.execute(found)).scalars()}
    assert {key: row.position for key, row in rows.items()} == {
        (None, "ask"): 0, (None, "each"): 1, (None, "load"): 2,
        ("each", "fetch"): 0, ("each", "both"): 1, ("each.both.right", "a"): 0,
    }  # fmt: skip
    assert rows["each", "both"].config == {"wait": "any"}
    assert str(rows["each.both.right", "a"].agent_id) == agent["id"]


async def test_the_longest_names_at_the_greatest_depth_can_be_stored(api: Api) -> None:
    inner, agent = [], await api.active_agent()
    for level in range(8, -1, -1):
        key = f"k{level}" + "x" * 98
        body = {"b" + "y" * 99: {"steps": inner}}
        inner = [{"stepKey": key, "type": "PARALLEL", "config": {"branches": body}} if inner else step(key, agent)]
    made = await api.made("/workflows", workflow_body(steps=inner))
    assert configs(made) == [inner[0]["config"]]


async def test_an_agent_inside_counts_as_used(api: Api) -> None:
    agent, inner = await api.active_agent(), await api.active_agent()
    steps = nested_steps(agent, inner)
    made = await api.made("/workflows", workflow_body(steps=steps, status="ACTIVE"))
    details = error_of(await api.send("DELETE", f"/agents/{inner['id']}"), 409, "CONFLICT")["details"]
    assert made["id"] in str(details)
    steps[1]["config"]["steps"][1]["config"]["branches"].pop("left")
    await api.patch(f"/workflows/{made['id']}", {"steps": steps})
    assert (await api.send("DELETE", f"/agents/{inner['id']}")).status_code == 204


INSIDE = "steps[1].config.steps[1].config.branches.left.steps[0]"


async def test_agents_inside_are_checked_where_they_stand(api: Api, sessions: Sessions, settings: Settings) -> None:
    agent, inactive = await api.active_agent(), await api.made("/agents", {**BODY, "name": "Draft"})
    made = await api.made("/workflows", workflow_body(steps=nested_steps(agent, inactive)))
    answer = await api.patch(f"/workflows/{made['id']}", {"status": "ACTIVE"})
    details = error_of(answer, 400, "VALIDATION_ERROR")["details"]
    assert [(each["path"], each["code"]) for each in details] == [(f"{INSIDE}.agentId", "INACTIVE_AGENT")]
    editor = await colleague(api, sessions, settings, TenantRole.EDITOR)
    private = await editor.post("/workflows", workflow_body(steps=nested_steps(await editor.active_agent(), agent)))
    details = error_of(private, 400, "VALIDATION_ERROR")["details"]
    assert [(each["path"], each["code"]) for each in details] == [(f"{INSIDE}.agentId", "UNKNOWN_AGENT")]


BODY = {"type": "CODE", "config": {"language": "python", "code": "def main(input):\n    return input\n"}}


async def test_an_agent_inside_that_was_deactivated_keeps_the_workflow_from_running(api: Api) -> None:
    agent, other = await api.active_agent(), await api.active_agent()
    made = await api.active_workflow(steps=nested_steps(agent, other))
    await api.patch(f"/agents/{other['id']}", {"status": "INACTIVE"})
    details = error_of(await api.post(f"/workflows/{made['id']}/execute"), 409, "INVALID_STATE")["details"]
    assert [(each["path"], each["code"]) for each in details] == [(f"{INSIDE}.agentId", "INACTIVE_AGENT")]


async def test_a_run_has_the_plan_of_everything_inside_and_counts_the_outermost_steps(api: Api) -> None:
    made = await api.active_workflow(steps=nested_steps(await api.active_agent(), await api.active_agent()))
    started = await api.made(f"/workflows/{made['id']}/execute", {})
    execution = (await api.get(f"/executions/{started['executionId']}")).json()["data"]
    assert execution["stepsTotal"] == 3


async def test_validate_tells_the_stages_of_every_body(api: Api) -> None:
    steps = nested_steps(await api.active_agent(), await api.active_agent())
    verdict = (await api.post("/workflows/validate", workflow_body(steps=steps))).json()["data"]
    assert verdict["executionPlan"] == {
        "steps": ["load", "each", "ask"],
        "stages": [["load"], ["each"], ["ask"]],
        "nested": {"each": [["fetch"], ["both"]], "each.both.left": [["a"]], "each.both.right": [["a"]]},
    }


async def test_assignees_are_roles_members_or_templates(api: Api, sessions: Sessions, settings: Settings) -> None:
    member = await colleague(api, sessions, settings, TenantRole.EDITOR)
    named = ["ADMIN", "{{ inputs.who }}", str(member.user_id), str(member.user_id).upper(), "BOSS", str(UUID(int=5))]
    asks = {"stepKey": "ask", "type": "WAIT", "config": {"kind": "approval", "assignees": named}}
    loop = {"stepKey": "each", "type": "LOOP", "config": {"items": [1], "steps": [asks]}}
    details = error_of(await api.post("/workflows", workflow_body(steps=[loop])), 400, "VALIDATION_ERROR")["details"]
    where = "steps[0].config.steps[0].config.assignees"
    assert [(each["path"], each["code"]) for each in details] == [
        (f"{where}[4]", "UNKNOWN_ASSIGNEE"), (f"{where}[5]", "UNKNOWN_ASSIGNEE")
    ]  # fmt: skip
