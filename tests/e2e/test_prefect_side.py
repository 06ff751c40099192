"""What data engineers do in Prefect: start from its command line, serve our pools with their own workers."""

import asyncio
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

pytestmark = [pytest.mark.e2e, pytest.mark.xdist_group("stack"), pytest.mark.slow]


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
async def test_a_killed_process_costs_its_runs_a_truthful_end_and_nothing_else(live: Live) -> None:
    """Case 32, as far as one process goes."""
    slow = await live.code("import time\nprint('begun')\ntime.sleep(60)")
    workflow = await live.api.active_workflow(name="Killed", steps=[step("slow", slow)])
    execution_id = await live.start(workflow)
    deadline = time.monotonic() + PATIENCE_SECONDS
    while not await live.data(f"/executions/{execution_id}/logs"):
        assert time.monotonic() < deadline
    holders = [each for each in descendants(live) if holds_a_guest(each)]
    assert len(holders) == 1
    holders[0].kill()
    execution = await live.ended(execution_id)
    assert execution["status"] == "FAILED"
    assert execution["error"]["code"] == "WORKER_LOST"
    (attempt,) = await live.steps(execution_id)
    assert (attempt["status"], attempt["error"]["code"]) == ("FAILED", "WORKER_LOST")
    assert (await live.flow_run(execution))["state_type"] == "CRASHED"
    good = await a_workflow(live, "After the kill")
    assert (await live.run(good, inputs={"n": 1}))["status"] == "COMPLETED"


def holds_a_guest(process: psutil.Process) -> bool:
    """Whether a warm process has user code running below it."""
    if "forkserver" not in " ".join(process.cmdline()) or process.pid == os.getpid():
        return False
    return any("guest" in " ".join(child.cmdline()) for child in process.children())


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
    assert await deployments_of(live, workflow) == []
