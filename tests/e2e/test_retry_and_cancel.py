"""Retries and cancels on the real stack: what is taken over, what is gone, and what Prefect says of it."""

import asyncio
import time
from typing import Any

import psutil
import pytest

from tests.e2e.test_prefect_side import descendants, guests, holds_a_guest
from tests.factories.api import step
from tests.fixtures.live import PATIENCE_SECONDS, Live

pytestmark = [pytest.mark.e2e]

GONE_SECONDS = 5.0
NONCE = "import os\nreturn {'nonce': os.urandom(8).hex()}"
NOT_YET = "import time\nif time.time() < input['ready']:\n    raise ValueError('not yet')\nreturn {'done': True}"
SLOW = "import time\nprint('begun')\ntime.sleep(60)"


def loop(key: str, items: list[Any], *steps: dict[str, Any], **fields: Any) -> dict[str, Any]:
    """One LOOP step."""
    return {"stepKey": key, "type": "LOOP", "config": {"items": items, "steps": list(steps)}, **fields}


async def retried(live: Live, execution_id: str, **body: Any) -> dict[str, Any]:
    """The retry of a run, at its end."""
    made = await live.api.made(f"/executions/{execution_id}/retry", body)
    assert made["retryOf"] == execution_id
    return await live.ended(made["executionId"])


async def by_path(live: Live, execution_id: str) -> dict[str, dict[str, Any]]:
    return {each["path"]: each for each in await live.steps(execution_id)}


async def cancelled(live: Live, execution_id: str) -> dict[str, Any]:
    """Cancels a run; it must have ended in time."""
    asked = time.monotonic()
    answer = await live.api.post(f"/executions/{execution_id}/cancel")
    assert answer.status_code == 202, answer.text
    execution = await live.ended(execution_id)
    assert execution["status"] == "CANCELLED", execution
    assert time.monotonic() - asked < GONE_SECONDS
    return execution


async def begun(live: Live, execution_id: str) -> psutil.Process:
    """The warm process that holds the run, once its program has said that it runs."""
    deadline = time.monotonic() + PATIENCE_SECONDS
    while not await live.data(f"/executions/{execution_id}/logs"):
        assert time.monotonic() < deadline
        await asyncio.sleep(0.05)
    (holder,) = [each for each in descendants(live) if holds_a_guest(each)]
    return holder


async def gone(programs: list[psutil.Process]) -> bool:
    """Whether nothing of them is left within a moment: a watcher ends just after it has reported the end of its run."""
    deadline = time.monotonic() + PATIENCE_SECONDS
    while any(each.is_running() and each.status() != psutil.STATUS_ZOMBIE for each in programs):
        if time.monotonic() > deadline:
            return False
        await asyncio.sleep(0.05)
    return True


async def test_a_retry_runs_only_what_had_not_finished_also_inside_a_loop(live: Live) -> None:
    nonce, late = await live.code(NONCE), await live.code(NOT_YET)
    schema = {"type": "object", "properties": {"ready": {"type": "number"}}}
    body = (
        step("x", nonce),
        step("y", late, dependsOn=["x"], inputs={"ready": "{{ inputs.ready if item == 2 else 0 }}"}),
    )
    steps = [step("first", nonce), loop("each", [1, 2, 3], *body, dependsOn=["first"])]
    workflow = await live.api.active_workflow(name="Goes on", inputSchema=schema, steps=steps)
    ready = time.time() + 8
    first = await live.run(workflow, inputs={"ready": ready})
    assert (first["status"], first["error"]["stepKey"]) == ("FAILED", "each[1].y")
    before = await by_path(live, first["id"])
    await asyncio.sleep(max(0.0, ready - time.time()))

    second = await retried(live, first["id"])
    assert second["status"] == "COMPLETED", second
    assert second["outputs"]["each"]["count"] == 3
    after = await by_path(live, second["id"])
    for path, each in before.items():
        if each["status"] == "COMPLETED":
            assert (after[path]["reusedFrom"], after[path]["output"]) == (each["id"], each["output"])
    assert after["each[1].y"]["reusedFrom"] is None
    assert (second["stepsCompleted"], second["stepsTotal"]) == (2, 2)

    third = await retried(live, second["id"], fromStep="each[1].x")
    assert third["status"] == "COMPLETED", third
    again = await by_path(live, third["id"])
    assert again["each[1].x"]["output"] != after["each[1].x"]["output"]
    assert again["each[0].x"]["reusedFrom"] == before["each[0].x"]["id"]
    assert again["first"]["output"] == before["first"]["output"]


async def test_a_retry_takes_the_newer_version_when_asked(live: Live) -> None:
    nonce, broken = await live.code(NONCE), await live.code("raise ValueError('no')")
    steps = [step("first", nonce), step("second", broken, dependsOn=["first"])]
    workflow = await live.api.active_workflow(name="Mended", steps=steps)
    first = await live.run(workflow)
    config = {"language": "python", "code": "def main(input):\n    return 'mended'\n"}
    assert (await live.api.patch(f"/agents/{broken['id']}", {"config": config})).status_code == 200
    assert (await retried(live, first["id"]))["status"] == "FAILED"
    mended = await retried(live, first["id"], workflowVersion="latest")
    assert (mended["status"], mended["outputs"]) == ("COMPLETED", {"second": "mended"})
    assert (await by_path(live, mended["id"]))["first"]["reusedFrom"] is not None


async def test_a_retry_in_prefect_takes_over_what_had_finished(live: Live) -> None:
    nonce, broken = await live.code(NONCE), await live.code("raise ValueError('no')")
    steps = [step("first", nonce), step("second", broken, dependsOn=["first"])]
    workflow = await live.api.active_workflow(name="Retried in Prefect", steps=steps)
    first = await live.run(workflow)
    run = await live.flow_run(first)
    state = {"state": {"type": "SCHEDULED", "name": "AwaitingRetry"}, "force": True}
    assert (await live.prefect.post(f"flow_runs/{run['id']}/set_state", json=state)).status_code in (200, 201)
    deadline = time.monotonic() + PATIENCE_SECONDS
    while len(history := await live.data(f"/workflows/{workflow['id']}/executions")) < 2:
        assert time.monotonic() < deadline
        await asyncio.sleep(0.1)
    second = await live.ended(next(each["id"] for each in history if each["id"] != first["id"]))
    assert second["retryOf"] == first["id"]
    before, after = await by_path(live, first["id"]), await by_path(live, second["id"])
    assert after["first"]["reusedFrom"] == before["first"]["id"]
    assert after["second"]["reusedFrom"] is None


async def test_cancel_stops_what_runs_with_its_programs(live: Live) -> None:
    slow = await live.code(SLOW)
    steps = [step("slow", slow), step("after", await live.code("return 1"), dependsOn=["slow"])]
    execution_id = await live.start(await live.api.active_workflow(name="Stopped over REST", steps=steps))
    programs = guests(await begun(live, execution_id))
    assert programs
    execution = await cancelled(live, execution_id)
    assert execution["error"] == {"code": "CANCELLED", "message": "The run was cancelled"}
    statuses = {path: each["status"] for path, each in (await by_path(live, execution_id)).items()}
    assert statuses == {"slow": "CANCELLED", "after": "SKIPPED"}
    assert await gone(programs)
    assert (await live.flow_run(execution))["state_type"] == "CANCELLED"
    assert (await live.api.post(f"/executions/{execution_id}/cancel")).status_code == 409


async def test_cancel_reaches_a_run_that_waits_and_one_that_is_not_due(live: Live) -> None:
    ask = {"stepKey": "ask", "type": "WAIT", "config": {"kind": "approval", "message": "Go on?"}}
    waiting = await live.start(await live.api.active_workflow(name="Asks", steps=[ask]))
    await live.until(waiting, lambda execution: execution["status"] == "PAUSED")
    agent = await live.code("return 1")
    later = await live.start(
        await live.api.active_workflow(name="Later", steps=[step("only", agent)]), runAt="2099-01-01T00:00:00Z"
    )
    for execution_id in (waiting, later):
        execution = await cancelled(live, execution_id)
        assert (await live.flow_run(execution))["state_type"] == "CANCELLED"
    assert (await by_path(live, waiting))["ask"]["status"] == "CANCELLED"
    answer = await live.api.post(f"/executions/{waiting}/resume", {"path": "ask", "approved": True})
    assert answer.status_code == 409


async def test_cancel_reaches_nested_runs(live: Live) -> None:
    inner = await live.api.active_workflow(name="Inner", steps=[step("slow", await live.code(SLOW))])
    agent = await live.agent("WORKFLOW", {"workflowId": inner["id"]})
    execution_id = await live.start(await live.api.active_workflow(name="Outer", steps=[step("sub", agent)]))
    deadline = time.monotonic() + PATIENCE_SECONDS
    while not (children := await live.data(f"/workflows/{inner['id']}/executions")):
        assert time.monotonic() < deadline
        await asyncio.sleep(0.1)
    (child,) = children
    programs = guests(await begun(live, child["id"]))
    await cancelled(live, execution_id)
    nested = await live.ended(child["id"])
    assert (nested["status"], nested["parentExecutionId"]) == ("CANCELLED", execution_id)
    assert await gone(programs)


async def test_a_run_that_does_not_hear_costs_its_process(live: Live) -> None:
    workflow = await live.api.active_workflow(name="Deaf", steps=[step("slow", await live.code(SLOW))])
    execution_id = await live.start(workflow)
    holder = await begun(live, execution_id)
    programs = guests(holder)
    holder.suspend()
    execution = await cancelled(live, execution_id)
    assert execution["error"]["code"] == "CANCELLED"
    assert not holder.is_running() or holder.status() == psutil.STATUS_ZOMBIE
    assert await gone(programs)
    assert (await live.flow_run(execution))["state_type"] == "CANCELLED"
