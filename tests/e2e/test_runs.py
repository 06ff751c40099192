"""Runs from REST to Prefect and back, on the real stack."""

from typing import Any

import pytest

from tests.factories.api import step
from tests.fixtures.live import Live

pytestmark = [pytest.mark.e2e]

SCHEMA = {
    "type": "object",
    "properties": {"a": {"type": "integer", "title": "First"}, "b": {"type": "integer", "default": 2}},
    "required": ["a"],
}


async def a_diamond(live: Live) -> dict[str, Any]:
    """Two steps between a first and a last one."""
    add = await live.code("print('adding')\nreturn {'sum': input['a'] + input['b']}")
    steps = [
        step("first", add, inputs={"a": "{{ inputs.a }}", "b": "{{ inputs.b }}"}),
        step("left", add, dependsOn=["first"], inputs={"a": "{{ first.output.sum }}", "b": 1}),
        step("right", add, dependsOn=["first"], inputs={"a": "{{ first.output.sum }}", "b": 10}),
        step(
            "last",
            add,
            dependsOn=["left", "right"],
            inputs={"a": "{{ left.output.sum }}", "b": "{{ right.output.sum }}"},
        ),
    ]
    return await live.api.active_workflow(
        name="Diamond", inputSchema=SCHEMA, steps=steps, tags=["shape"], output={"total": "{{ last.output.sum }}"}
    )


async def test_a_run_from_rest_is_recorded_and_looks_right_in_prefect(live: Live) -> None:
    workflow = await a_diamond(live)
    execution = await live.run(workflow, inputs={"a": 40}, tags=["mine"], priority="high")
    assert execution["status"] == "COMPLETED", execution
    assert execution["outputs"] == {"total": 95}
    assert execution["inputs"] == {"a": 40, "b": 2}
    assert (execution["stepsTotal"], execution["stepsCompleted"], execution["stepsFailed"]) == (4, 4, 0)
    assert execution["triggerType"] == "MANUAL"
    assert execution["prefectUrl"].startswith(live.stack.prefect_url)

    steps = {each["stepKey"]: each for each in await live.steps(execution["id"])}
    assert {key: each["status"] for key, each in steps.items()} == dict.fromkeys(
        ["first", "left", "right", "last"], "COMPLETED"
    )
    assert steps["last"]["input"] == {"a": 43, "b": 52}
    assert steps["left"]["startedAt"] >= steps["first"]["completedAt"]
    logs = await live.data(f"/executions/{execution['id']}/logs", level="INFO")
    assert [line["message"] for line in logs].count("adding") == 4

    run = await live.flow_run(execution)
    assert run["state_type"] == "COMPLETED"
    assert run["idempotency_key"] == execution["id"]
    assert run["parameters"] == {"a": 40, "b": 2}
    assert run["work_queue_name"] == "high"
    assert {"shape", "mine"} <= set(run["tags"])
    tasks = await live.task_runs(execution, 4)
    names = {task["id"]: name for name, task in tasks.items()}
    edges = {
        name: sorted(names[each["id"]] for group in task["task_inputs"].values() for each in group)
        for name, task in tasks.items()
    }
    lines = {"logs": {"task_run_id": {"any_": [tasks["left"]["id"]]}}}
    assert "adding" in [line["message"] for line in await live.prefect_logs(lines)]
    assert edges == {"first": [], "left": ["first"], "right": ["first"], "last": ["left", "right"]}


async def test_the_prefect_deployment_has_a_typed_form(live: Live) -> None:
    workflow = await a_diamond(live)
    (deployment,) = await deployments_of(live, workflow)
    form = deployment["parameter_openapi_schema"]
    assert form["required"] == ["a"]
    assert form["properties"]["a"] == {"type": "integer", "title": "First", "position": 0}
    assert form["properties"]["b"]["default"] == 2
    assert deployment["work_pool_name"] == "turbocat-development"


async def deployments_of(live: Live, workflow: dict[str, Any]) -> list[dict[str, Any]]:
    """The workflow's deployments in Prefect."""
    path = f"deployments.entrypoint.workflow_{workflow['id'].replace('-', '')}"
    found = (await live.prefect.post("deployments/filter", json={"limit": 200})).json()
    return [each for each in found if each["entrypoint"] == path]


async def adopted(live: Live, workflow: dict[str, Any], flow_run_id: str) -> dict[str, Any]:
    """The execution that a run from elsewhere got, at its end."""
    while True:
        for each in await live.data(f"/workflows/{workflow['id']}/executions"):
            execution = await live.ended(each["id"])
            if execution["prefectFlowRunId"] == flow_run_id:
                return execution


async def test_a_run_from_the_prefect_api_leaves_the_same_record(live: Live) -> None:
    workflow = await a_diamond(live)
    (deployment,) = await deployments_of(live, workflow)
    body = {"parameters": {"a": 1}, "state": {"type": "SCHEDULED"}}
    made = await live.prefect.post(f"deployments/{deployment['id']}/create_flow_run", json=body)
    execution = await adopted(live, workflow, made.json()["id"])
    assert execution["status"] == "COMPLETED"
    assert execution["inputs"] == {"a": 1, "b": 2}
    assert execution["outputs"] == {"total": 17}
    assert execution["triggerType"] == "MANUAL"
    assert len(await live.steps(execution["id"])) == 4


async def test_a_run_that_is_retried_in_prefect_is_a_new_execution(live: Live) -> None:
    flaky = await live.code("raise ValueError('no')")
    workflow = await live.api.active_workflow(name="Flaky", steps=[step("only", flaky)])
    first = await live.run(workflow)
    assert first["status"] == "FAILED"
    run = await live.flow_run(first)
    state = {"state": {"type": "SCHEDULED", "name": "AwaitingRetry"}, "force": True}
    answer = await live.prefect.post(f"flow_runs/{run['id']}/set_state", json=state)
    assert answer.status_code in (200, 201), answer.text
    while len(history := await live.data(f"/workflows/{workflow['id']}/executions")) < 2:
        assert history[0]["id"] == first["id"]
    second = await live.ended(next(each["id"] for each in history if each["id"] != first["id"]))
    assert second["retryOf"] == first["id"]
    assert second["prefectFlowRunId"] == first["prefectFlowRunId"]
    assert (await live.data(f"/executions/{first['id']}"))["completedAt"] == first["completedAt"]


async def test_wrong_parameters_from_prefect_fail_there_with_the_reason(live: Live) -> None:
    workflow = await a_diamond(live)
    (deployment,) = await deployments_of(live, workflow)
    body = {"parameters": {"a": "many"}, "state": {"type": "SCHEDULED"}, "enforce_parameter_schema": False}
    made = await live.prefect.post(f"deployments/{deployment['id']}/create_flow_run", json=body)
    run = await live.flow_run({"prefectFlowRunId": made.json()["id"]})
    assert run["state_type"] == "FAILED"
    assert "inputSchema" in run["state"]["message"]
    assert await live.data(f"/workflows/{workflow['id']}/executions") == []


async def test_independent_steps_run_at_once(live: Live) -> None:
    wait = await live.code("import time\ntime.sleep(1.5)\nreturn None")
    workflow = await live.api.active_workflow(name="Wide", steps=[step("one", wait), step("two", wait)])
    execution = await live.run(workflow)
    one, two = await live.steps(execution["id"])
    assert two["startedAt"] < one["completedAt"]
    assert one["startedAt"] < two["completedAt"]


async def test_a_later_edit_changes_nothing_of_a_run_that_has_started(live: Live) -> None:
    slow = await live.code("import time\ntime.sleep(1)\nreturn 'old'")
    after = await live.code("return 'old'")
    workflow = await live.api.active_workflow(
        name="Edited", steps=[step("slow", slow), step("after", after, dependsOn=["slow"])]
    )
    execution_id = await live.start(workflow)
    await live.until(execution_id, lambda execution: execution["status"] == "RUNNING")
    config = {"language": "python", "code": "def main(input):\n    return 'new'\n"}
    assert (await live.api.patch(f"/agents/{after['id']}", {"config": config})).status_code == 200
    assert (await live.ended(execution_id))["outputs"] == {"after": "old"}
    assert (await live.run(workflow))["outputs"] == {"after": "new"}


async def test_retries_are_attempts_of_the_record_and_of_prefect(live: Live) -> None:
    flaky = await live.code("raise ValueError('not today')")
    retry = {"maxAttempts": 3, "delaySeconds": 0.1, "backoff": 1}
    steps = [
        step("flaky", flaky, onError="RETRY", retry=retry, afterRetries="CONTINUE", default={"n": 0}),
        step("after", await live.code("return input"), dependsOn=["flaky"], inputs={"got": "{{ flaky.output.n }}"}),
    ]
    execution = await live.run(await live.api.active_workflow(name="Retried", steps=steps))
    assert execution["status"] == "COMPLETED", execution
    assert execution["outputs"] == {"after": {"got": 0}}
    assert execution["stepsFailed"] == 1
    attempts = [each for each in await live.steps(execution["id"]) if each["stepKey"] == "flaky"]
    assert [each["attempt"] for each in attempts] == [1, 2, 3]
    assert {each["error"]["code"] for each in attempts} == {"CODE_ERROR"}
    assert (await live.task_runs(execution, 2))["flaky"]["run_count"] == 3


async def test_a_failing_step_stops_the_others_and_skips_the_rest(live: Live) -> None:
    steps = [
        step("bad", await live.code("import time\ntime.sleep(0.5)\nraise ValueError('stop')")),
        step("slow", await live.code("import time\ntime.sleep(600)")),
        step("after", await live.code("return 1"), dependsOn=["slow"]),
    ]
    execution = await live.run(await live.api.active_workflow(name="Stopped", steps=steps))
    assert execution["status"] == "FAILED"
    assert execution["error"]["stepKey"] == "bad"
    statuses = {each["stepKey"]: each["status"] for each in await live.steps(execution["id"])}
    assert statuses == {"bad": "FAILED", "slow": "CANCELLED", "after": "SKIPPED"}
