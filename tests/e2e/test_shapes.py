"""Loops, branches and nested runs on the real stack: what their record says and what Prefect shows."""

from typing import Any

import pytest

from tests.factories.api import step
from tests.fixtures.live import Live

pytestmark = [pytest.mark.e2e]


async def labels(live: Live, flow_run_id: str) -> dict[str, set[str]]:
    """The graph that the Prefect UI draws: what each node comes after."""
    graph = (await live.prefect.get(f"flow_runs/{flow_run_id}/graph-v2")).json()
    names = {node_id: node["label"] for node_id, node in graph["nodes"]}
    return {node["label"]: {names[edge["id"]] for edge in node["parents"]} for _, node in graph["nodes"]}


async def test_a_loop_is_a_record_for_each_item_and_a_task_for_each_chunk(live: Live) -> None:
    double = await live.code("return {'n': 2 * input['n']}")
    condition = {"expression": "inputs.items | length > 2", "then": ["each"], "else": ["few"]}
    loop = {"items": "inputs.items", "steps": [step("double", double, inputs={"n": "{{ item }}"})]}
    steps: list[dict[str, Any]] = [
        {"stepKey": "many", "type": "CONDITION", "config": condition},
        {"stepKey": "each", "type": "LOOP", "config": {**loop, "collect": "{{ double.output.n }}"}},
        step("few", double, inputs={"n": 0}),
        step("join", double, dependsOn=["each", "few"], inputs={"n": "{{ each.output.count }}"}),
    ]
    workflow = await live.api.active_workflow(name="Doubles", steps=steps, output="{{ each.output.items }}")
    execution = await live.run(workflow, inputs={"items": list(range(45))})
    assert execution["outputs"] == [2 * number for number in range(45)], execution
    records = await live.data(f"/executions/{execution['id']}/steps", pageSize=100)
    assert len(records) == 45 + 4
    assert {each["path"] for each in records} >= {"each[0].double", "each[44].double"}

    tasks = await live.task_runs(execution, 4 + 15)
    assert {tasks[name]["state_name"] for name in ("many", "each", "join", "each[0…2]")} == {"Completed"}
    assert tasks["few"]["state_name"] == "Skipped"
    assert (await labels(live, execution["prefectFlowRunId"]))["join"] == {"each", "few"}
    mine = {"artifacts": {"flow_run_id": {"any_": [execution["prefectFlowRunId"]]}, "type": {"any_": ["progress"]}}}
    (artifact,) = (await live.prefect.post("artifacts/filter", json=mine)).json()
    assert artifact["data"] == 100


async def test_a_nested_run_is_a_subflow_that_waits_with_its_parent(live: Live) -> None:
    echo = await live.code("return input")
    nap = {"stepKey": "nap", "type": "WAIT", "dependsOn": ["before"], "config": {"kind": "duration", "seconds": 4}}
    after = step("after", echo, dependsOn=["nap"], inputs={"n": "{{ inputs.n }}"})
    inner = await live.api.active_workflow(name="Inner", steps=[step("before", echo), nap, after])
    agent = await live.agent("WORKFLOW", {"workflowId": inner["id"]})
    outer = await live.api.active_workflow(
        name="Outer", steps=[step("sub", agent, inputs={"n": 7}), step("end", echo, dependsOn=["sub"])]
    )
    execution_id = await live.start(outer)
    await live.until(execution_id, lambda each: each["status"] == "PAUSED")
    execution = await live.ended(execution_id)
    assert execution["status"] == "COMPLETED", execution
    (sub,) = [each for each in await live.steps(execution_id) if each["stepKey"] == "sub"]
    assert sub["output"] == {"after": {"n": 7}}
    await live.task_runs(execution, 2)
    (before,) = (await labels(live, execution["prefectFlowRunId"]))["end"]
    assert "inner" in before
