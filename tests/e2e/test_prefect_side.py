"""What data engineers do in Prefect: start from its command line, serve our pools with their own workers."""

import asyncio
import json
import os
import sys
import time
from datetime import UTC, datetime, timedelta
from typing import Any

import psutil
import pytest

from deployments.local.environment import inherited
from tests.e2e.test_runs import adopted, deployments_of
from tests.factories.api import step
from tests.fixtures.live import PATIENCE_SECONDS, Live

pytestmark = [pytest.mark.e2e, pytest.mark.slow]


async def prefect(live: Live, *arguments: str, **extra: str) -> str:
    """Prefect's own command line against the stack."""
    environment = {
        **inherited(),
        "PREFECT_API_URL": live.stack.prefect_api_url,
        "PREFECT_API_AUTH_STRING": live.stack.prefect_auth,
        "DO_NOT_TRACK": "1",
        **extra,
    }
    process = await asyncio.create_subprocess_exec(
        sys.executable,
        "-m",
        "prefect",
        *arguments,
        env=environment,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.STDOUT,
    )
    async with asyncio.timeout(90):
        output, _ = await process.communicate()
    assert process.returncode == 0, output.decode()
    return output.decode()


async def a_workflow(live: Live, name: str) -> dict[str, Any]:
    agent = await live.code("return {'double': 2 * input['n']}")
    schema = {"type": "object", "properties": {"n": {"type": "integer"}}, "required": ["n"]}
    return await live.api.active_workflow(
        name=name, inputSchema=schema, steps=[step("only", agent, inputs={"n": "{{ inputs.n }}"})]
    )


async def test_prefect_deployment_run_leaves_the_same_record(live: Live) -> None:
    workflow = await a_workflow(live, "From the command line")
    (deployment,) = await deployments_of(live, workflow)
    name = deployment["name"]
    output = await prefect(live, "deployment", "run", f"{name}/{name}", "--param", "n=21")
    (run,) = (
        await live.prefect.post("flow_runs/filter", json={"deployments": {"id": {"any_": [deployment["id"]]}}})
    ).json()
    assert run["name"] in output
    execution = await adopted(live, workflow, run["id"])
    assert execution["status"] == "COMPLETED"
    assert execution["outputs"] == {"only": {"double": 42}}


async def test_a_stock_process_worker_serves_our_deployments(live: Live) -> None:
    workflow = await a_workflow(live, "On a stock worker")
    (deployment,) = await deployments_of(live, workflow)
    await live.prefect.post("work_pools/", json={"name": "stock", "type": "process"})
    await live.prefect.patch(f"deployments/{deployment['id']}", json={"work_pool_name": "stock"})
    execution_id = await live.start(workflow, inputs={"n": 4})
    settings = worker_settings(live)
    await prefect(live, "worker", "start", "--pool", "stock", "--type", "process", "--run-once", **settings)
    execution = await live.ended(execution_id)
    assert execution["status"] == "COMPLETED", execution
    assert execution["outputs"] == {"only": {"double": 8}}
    assert len(await live.task_runs(execution, 1)) == 1


def worker_settings(live: Live) -> dict[str, str]:
    """What the stack gave its own worker."""
    ours = next(each for each in descendants(live) if "deployments.worker" in each.cmdline())
    wanted = ("DATABASE_URL", "JWT_ACCESS_SECRET", "JWT_REFRESH_SECRET", "ENCRYPTION_KEY", "TURBOCAT_DATA_DIR")
    return {name: value for name, value in ours.environ().items() if name in wanted}


def descendants(live: Live) -> list[psutil.Process]:
    """All processes of the stack."""
    return psutil.Process(live.stack.pid).children(recursive=True)


@pytest.mark.case(32)
async def test_a_run_whose_process_is_killed_goes_on_in_another(live: Live) -> None:
    """Case 32, as far as one process goes."""
    slow = await live.code("import time\nprint('begun')\ntime.sleep(4)\nreturn 'done'")
    workflow = await live.api.active_workflow(name="Killed", steps=[step("slow", slow)])
    execution_id = await live.start(workflow)
    deadline = time.monotonic() + PATIENCE_SECONDS
    while not await live.data(f"/executions/{execution_id}/logs"):
        assert time.monotonic() < deadline
    holders = [each for each in descendants(live) if holds_a_guest(each)]
    assert len(holders) == 1
    holders[0].kill()
    execution = await live.ended(execution_id)
    assert (execution["status"], execution["outputs"]) == ("COMPLETED", {"slow": "done"}), execution
    lost, repeated = await live.steps(execution_id)
    assert (lost["attempt"], lost["status"], lost["error"]["code"]) == (1, "FAILED", "WORKER_LOST")
    assert (repeated["attempt"], repeated["status"]) == (2, "COMPLETED")
    assert (await live.flow_run(execution))["state_type"] == "COMPLETED"
    good = await a_workflow(live, "After the kill")
    assert (await live.run(good, inputs={"n": 1}))["status"] == "COMPLETED"


def holds_a_guest(process: psutil.Process) -> bool:
    """Whether a warm process has user code running below it."""
    try:
        return "deployments.worker" in " ".join(process.cmdline()) and bool(guests(process))
    except psutil.NoSuchProcess:  # it has just ended
        return False


def guests(holder: psutil.Process) -> list[psutil.Process]:
    """What runs below the zygotes of a warm process; they stay themselves, and so does what waits for a program."""
    zygotes = [child for child in holder.children() if "agents.code.guest" in " ".join(child.cmdline())]
    runs = [_run_of(watcher) for zygote in zygotes for watcher in zygote.children()]
    return [process for run in runs if run and not _waits(run[-1]) for process in run]


def _run_of(watcher: psutil.Process) -> list[psutil.Process]:
    """Outermost first; empty where it has just ended."""
    try:
        return [watcher, *watcher.children(recursive=True)]
    except psutil.NoSuchProcess:
        return []


def _waits(program: psutil.Process) -> bool:
    """Whether its job is still to come: it reads that from a pipe, and has nothing there to read afterwards."""
    try:
        return os.readlink(f"/proc/{program.pid}/fd/0").startswith("pipe:")
    except OSError:
        return False


@pytest.mark.case(37)
async def test_a_run_that_is_cancelled_in_prefect_stops_and_says_so(live: Live) -> None:
    """Case 37, from Prefect's side."""
    slow = await live.code("import time\nprint('begun')\ntime.sleep(60)")
    workflow = await live.api.active_workflow(name="Stopped", steps=[step("slow", slow)])
    execution_id = await live.start(workflow)
    deadline = time.monotonic() + PATIENCE_SECONDS
    while not await live.data(f"/executions/{execution_id}/logs"):
        assert time.monotonic() < deadline
    flow_run_id = (await live.data(f"/executions/{execution_id}"))["prefectFlowRunId"]
    cancelling = {"state": {"type": "CANCELLING", "name": "Cancelling"}}
    assert (await live.prefect.post(f"flow_runs/{flow_run_id}/set_state", json=cancelling)).is_success
    execution = await live.ended(execution_id)
    assert (execution["status"], execution["error"]["code"]) == ("CANCELLED", "CANCELLED")
    (attempt,) = await live.steps(execution_id)
    assert attempt["status"] == "CANCELLED"
    assert (await live.flow_run(execution))["state_type"] == "CANCELLED"


async def test_a_run_whose_deployment_is_gone_is_taken_out_of_the_queue(live: Live) -> None:
    """Prefect's scheduler leaves such runs when it meets the deletion of a deployment; a state's name does it here."""
    workflow = await a_workflow(live, "Left over")
    (deployment,) = await deployments_of(live, workflow)
    due = (datetime.now(UTC) + timedelta(seconds=2)).isoformat()
    kept = {"type": "SCHEDULED", "name": "AwaitingConcurrencySlot", "state_details": {"scheduled_time": due}}
    made = await live.prefect.post(f"deployments/{deployment['id']}/create_flow_run", json={"state": kept})
    await live.prefect.delete(f"deployments/{deployment['id']}")
    run = await live.flow_run({"prefectFlowRunId": made.json()["id"]})
    assert run["state_type"] == "CANCELLED"


async def test_a_schedule_starts_executions_by_itself(live: Live) -> None:
    agent = await live.code("return 'tick'")
    workflow = await live.api.active_workflow(
        name="Ticking", schedule={"intervalSeconds": 3}, steps=[step("only", agent)]
    )
    deadline = time.monotonic() + PATIENCE_SECONDS
    while not (history := await live.data(f"/workflows/{workflow['id']}/executions")):
        assert time.monotonic() < deadline
    execution = await live.ended(history[-1]["id"])
    assert execution["triggerType"] == "SCHEDULED"
    assert execution["outputs"] == {"only": "tick"}
    assert (await live.api.patch(f"/workflows/{workflow['id']}", {"status": "INACTIVE"})).status_code == 200
    assert [each["schedules"] for each in await deployments_of(live, workflow)] == [[]]


REPORT = {
    "source": {"rows": [{"id": number, "note": "![i](http://example.com/i.png)"} for number in range(50)]},
    "operations": [{"op": "filter", "where": "id > 3"}],
}
SHAPES = [
    {"stepKey": "big", "type": "CONDITION", "dependsOn": ["load"]},
    {"stepKey": "each", "type": "LOOP"},
    {"stepKey": "both", "type": "PARALLEL", "dependsOn": ["each", "note"]},
    {"stepKey": "rest", "type": "WAIT", "dependsOn": ["both"], "config": {"kind": "duration", "seconds": 0.1}},
]


async def a_workflow_of_all_kinds(live: Live) -> dict[str, Any]:
    """DATA, CONDITION with a branch not taken, LOOP, PARALLEL, nested workflow, a failure passed over, WAIT."""
    load = await live.agent("DATA", REPORT)
    echo = await live.code("print('echo')\nreturn input")
    broken = await live.code("raise ValueError('no such customer')")
    inner = await live.api.active_workflow(name="Inner", steps=[step("inside", echo)])
    nested = await live.agent("WORKFLOW", {"workflowId": inner["id"]})
    big, each, both, rest = SHAPES
    choice = {"expression": "load.output.rows > 10", "then": ["each"], "else": ["note"]}
    branches = {name: {"steps": [step(name, echo)]} for name in ("left", "right")}
    return await live.api.active_workflow(
        name="All kinds",
        description="What a data engineer sees",
        tags=["seen"],
        steps=[
            step("load", load, name="Load the orders"),
            {**big, "config": choice},
            step("note", echo),
            {**each, "config": {"items": [1, 2, 3], "steps": [step("add", echo)]}},
            step("flaky", broken, dependsOn=["load"], onError="CONTINUE", default={}),
            step("nested", nested, dependsOn=["load"]),
            {**both, "config": {"branches": branches}},
            rest,
            step("last", echo, dependsOn=["rest", "nested", "flaky"], inputs={"total": 1}),
        ],
    )


async def artifacts_of(live: Live, execution: dict[str, Any], expected: int) -> dict[str, dict[str, Any]]:
    """By type, once there are so many."""
    wanted = {"flow_runs": {"id": {"any_": [execution["prefectFlowRunId"]]}}}
    found: list[dict[str, Any]] = []
    for _ in range(100):
        found = (await live.prefect.post("artifacts/filter", json={"artifacts": {}, **wanted})).json()
        if len(found) >= expected:
            break
        await asyncio.sleep(0.1)
    return {each["type"]: each for each in found}


async def test_a_data_engineer_sees_the_workflow_and_its_data(live: Live) -> None:
    execution = await live.run(await a_workflow_of_all_kinds(live))
    assert execution["status"] == "COMPLETED", execution
    tasks = await live.task_runs(execution, 12)
    chunks = {f"each[{number}…{number}]" for number in range(3)}
    kinds = {
        **dict.fromkeys(["load", "note", "flaky", "nested", "last"], "agent"),
        "big": "condition",
        "each": "loop",
        "both": "parallel",
        "rest": "wait",
    }
    assert set(tasks) == {*kinds, *chunks}
    assert {key: set(tasks[key]["tags"]) for key in kinds} == {key: {"turbocat", kind} for key, kind in kinds.items()}
    states = {key: tasks[key]["state_name"] for key in kinds}
    assert states == {**dict.fromkeys(kinds, "Completed"), "note": "Skipped", "flaky": "Failed"}
    assert "no such customer" in tasks["flaky"]["state"]["message"]
    lines = await live.prefect_logs({"logs": {"task_run_id": {"any_": [tasks["last"]["id"]]}}})
    assert "echo" in [line["message"] for line in lines]
    await assert_graph(live, execution, tasks)
    await assert_artifacts(live, execution, tasks)


async def assert_graph(live: Live, execution: dict[str, Any], tasks: dict[str, dict[str, Any]]) -> None:
    """The edges of the picture on the run's page, with the nested run in its step's place."""
    graph = (await live.prefect.get(f"flow_runs/{execution['prefectFlowRunId']}/graph-v2")).json()
    names = {task["id"]: key for key, task in tasks.items()}
    nodes = {node["id"]: node for _, node in graph["nodes"]}
    names |= {node["id"]: "nested" for node in nodes.values() if node["kind"] == "flow-run"}
    parents = {names[each]: {names[parent["id"]] for parent in node["parents"]} for each, node in nodes.items()}
    assert {
        key: parents[key] for key in ("load", "big", "each", "note", "flaky", "nested", "both", "rest", "last")
    } == {
        "load": set(),
        "big": {"load"},
        "each": {"big"},
        "note": {"big"},
        "flaky": {"load"},
        "nested": {"load"},
        "both": {"each", "note"},
        "rest": {"both"},
        "last": {"rest", "nested", "flaky"},
    }
    assert [nodes[tasks[f"each[{number}…{number}]"]["id"]]["kind"] for number in range(3)] == ["task-run"] * 3


async def assert_artifacts(live: Live, execution: dict[str, Any], tasks: dict[str, dict[str, Any]]) -> None:
    """A table on the DATA step, progress on the loop, and a page on the run."""
    artifacts = await artifacts_of(live, execution, 3)
    assert set(artifacts) == {"table", "progress", "markdown"}
    table, progress, page = (artifacts[kind] for kind in ("table", "progress", "markdown"))
    assert (table["task_run_id"], progress["task_run_id"]) == (tasks["load"]["id"], tasks["each"]["id"])
    assert table["description"] == "46 rows, 2 columns; shown: the first 20 rows"
    rows = json.loads(table["data"])
    assert (len(rows), rows[0]) == (20, {"id": 4, "note": r"!\[i\](http://example.com/i.png)"})
    assert progress["data"] == 100.0
    assert "**Steps:** 7 completed, 1 skipped, 1 failed" in page["data"]
    assert execution["id"] in page["data"]
    assert '"total": 1' in page["data"]
    assert page["key"].endswith("--all-kinds")
    assert table["key"] == f"{page['key']}--load"


async def test_a_failed_run_says_on_its_page_where_and_why(live: Live) -> None:
    broken = await live.code("raise ValueError('no such customer')")
    steps = [step("check", broken), step("report", broken, dependsOn=["check"])]
    execution = await live.run(await live.api.active_workflow(name="Broken", steps=steps))
    run = await live.flow_run(execution)
    assert (run["state_name"], run["state"]["message"]) == ("Failed", execution["error"]["message"])
    page = (await artifacts_of(live, execution, 1))["markdown"]["data"]
    assert page.startswith("# Failed")
    assert "no such customer" in page
    assert "**Steps:** 1 failed, 1 not run" in page


async def test_deployment_and_flow_bear_the_workflows_name_and_tags(live: Live) -> None:
    workflow = await a_workflow_of_all_kinds(live)
    (deployment,) = await deployments_of(live, workflow)
    flow = (await live.prefect.get(f"flows/{deployment['flow_id']}")).json()
    assert deployment["name"] == flow["name"]
    assert flow["name"].endswith(f"--{workflow['slug']}")
    assert "seen" in deployment["tags"]
    assert deployment["version"] == str(workflow["version"])
    assert deployment["description"]
    queues = (await live.prefect.post("work_pools/turbocat-development/queues/filter", json={})).json()
    assert {queue["name"]: queue["priority"] for queue in queues} == {"high": 1, "default": 2, "low": 3}
