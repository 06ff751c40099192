"""WAIT steps on the real stack: time, people, events; over REST and the way that the Prefect UI does it."""

import asyncio
import time
from datetime import UTC, datetime, timedelta
from typing import Any

import psycopg
import pytest

from tests.factories.api import step
from tests.fixtures.live import PATIENCE_SECONDS, Live

pytestmark = [pytest.mark.e2e]

FORM = {
    "type": "object",
    "properties": {"amount": {"type": "integer", "minimum": 1}, "currency": {"type": "string", "default": "EUR"}},
    "required": ["amount"],
    "additionalProperties": False,
}


def wait(key: str = "wait", **config: Any) -> dict[str, Any]:
    """One WAIT step; what belongs to the step itself is put beside."""
    outside = {name: config.pop(name) for name in ("dependsOn", "onError", "default") if name in config}
    return {"stepKey": key, "type": "WAIT", "config": config, **outside}


async def a_run(live: Live, *steps: dict[str, Any], **fields: Any) -> str:
    workflow = await live.api.active_workflow(steps=list(steps), **fields)
    return await live.start(workflow)


async def waiting(live: Live, execution_id: str, count: int = 1) -> dict[str, Any]:
    """The execution, once it is suspended in so many waits."""
    return await live.until(
        execution_id, lambda execution: execution["status"] == "PAUSED" and len(execution["waits"]) == count
    )


async def suspended_run(live: Live, execution: dict[str, Any]) -> dict[str, Any]:
    """The flow run, once Prefect has it as suspended."""
    deadline = time.monotonic() + PATIENCE_SECONDS
    while True:
        run: dict[str, Any] = (await live.prefect.get(f"flow_runs/{execution['prefectFlowRunId']}")).json()
        if run["state_name"] == "Suspended":
            return run
        assert time.monotonic() < deadline, run
        await asyncio.sleep(0.05)


async def answer(live: Live, execution_id: str, status: int = 200, **body: Any) -> dict[str, Any]:
    answered = await live.api.post(f"/executions/{execution_id}/resume", body)
    assert answered.status_code == status, answered.text
    found: dict[str, Any] = answered.json()
    return found


async def test_a_short_wait_stays_in_its_process(live: Live) -> None:
    execution_id = await a_run(live, wait(kind="duration", seconds=0.5))
    execution = await live.ended(execution_id)
    assert execution["status"] == "COMPLETED", execution
    assert 0.5 <= execution["outputs"]["wait"]["waitedSeconds"] < PATIENCE_SECONDS


async def test_a_longer_wait_suspends_and_comes_back_by_itself(live: Live) -> None:
    until = datetime.now(UTC) + timedelta(seconds=5)
    execution_id = await a_run(
        live,
        wait("first", kind="duration", seconds="{{ 2 + 2 }}"),
        wait("second", kind="until", at=until.isoformat(), dependsOn=["first"]),
    )
    paused = await waiting(live, execution_id)
    assert paused["waits"][0]["kind"] == "duration"
    assert (await suspended_run(live, paused))["state"]["state_details"]["run_input_keyset"] is None
    execution = await live.ended(execution_id)
    assert execution["status"] == "COMPLETED", execution
    assert datetime.now(UTC) >= until
    assert execution["waits"] == []
    assert (await live.flow_run(execution))["state_type"] == "COMPLETED"
    first = next(each for each in await live.steps(execution_id) if each["path"] == "first")
    assert 4 <= first["output"]["waitedSeconds"] < PATIENCE_SECONDS


async def test_an_approval_is_answered_over_rest_and_holds_no_process_until_then(live: Live) -> None:
    echo = await live.code("return input")
    execution_id = await a_run(
        live,
        wait("approve", kind="approval", message="Ship {{ inputs.n }} boxes?"),
        step("ship", echo, dependsOn=["approve"], inputs={"by": "{{ approve.output.comment }}"}),
        inputSchema={"type": "object", "properties": {"n": {"type": "integer", "default": 3}}},
    )
    (asked,) = (await waiting(live, execution_id))["waits"]
    assert (asked["path"], asked["kind"], asked["message"]) == ("approve", "approval", "Ship 3 boxes?")
    assert asked["dueAt"] is None
    await suspended_run(live, await live.data(f"/executions/{execution_id}"))
    await nobody_holds(live, execution_id)
    await answer(live, execution_id, path="approve", approved=True, comment="fine")
    execution = await live.ended(execution_id)
    assert execution["status"] == "COMPLETED", execution
    assert execution["outputs"] == {"ship": {"by": "fine"}}
    approved = next(each for each in await live.steps(execution_id) if each["path"] == "approve")
    assert (approved["output"]["approved"], approved["output"]["by"]) == (True, str(live.api.user_id))
    refused = await answer(live, execution_id, 409, path="approve", approved=True)
    assert refused["error"]["code"] == "INVALID_STATE"


async def nobody_holds(live: Live, execution_id: str) -> None:
    """The lock is given back a moment after Prefect has been told."""
    for _ in range(100):
        if await holders(live, execution_id) == 0:
            return
        await asyncio.sleep(0.05)
    raise AssertionError("a process holds the run while it waits")


async def holders(live: Live, execution_id: str) -> int:
    """How many processes hold the run: the locks by which they say so."""
    statement = (
        "select count(*) from pg_locks where locktype = 'advisory' and granted and objsubid = 1 "
        "and (classid::bigint << 32 | objid::bigint) = hashtextextended(%s, 0)"
    )
    async with await psycopg.AsyncConnection.connect(live.stack.database_url) as connection:
        row = await (await connection.execute(statement, [f"turbocat-run:{execution_id}"])).fetchone()
    assert row is not None
    return int(row[0])


async def test_a_refusal_fails_the_step_unless_it_is_to_go_on(live: Live) -> None:
    execution_id = await a_run(live, wait("approve", kind="approval"))
    await waiting(live, execution_id)
    await answer(live, execution_id, path="approve", approved=False, comment="too many")
    execution = await live.ended(execution_id)
    assert (execution["status"], execution["error"]["code"]) == ("FAILED", "REJECTED")
    assert "too many" in execution["error"]["message"]
    execution_id = await a_run(live, wait("approve", kind="approval", onReject="CONTINUE"))
    await waiting(live, execution_id)
    await answer(live, execution_id, path="approve", approved=False)
    assert (await live.ended(execution_id))["outputs"]["approve"]["approved"] is False


async def test_an_approval_is_answered_the_way_that_the_prefect_ui_does_it(live: Live) -> None:
    execution_id = await a_run(live, wait("approve", kind="approval", message="Really?", assignees=["OWNER"]))
    run = await suspended_run(live, await waiting(live, execution_id))
    keys = run["state"]["state_details"]["run_input_keyset"]
    form = (await live.prefect.get(f"flow_runs/{run['id']}/input/{keys['schema']}")).json()
    assert form["properties"]["approved"]["type"] == "boolean"
    assert (await live.prefect.get(f"flow_runs/{run['id']}/input/{keys['description']}")).json() == "Really\\?"
    without = await live.prefect.post(f"flow_runs/{run['id']}/resume", json={})
    assert without.json()["status"] == "REJECT"
    body = {"run_input": {"approved": True, "comment": "by the operator"}}
    assert (await live.prefect.post(f"flow_runs/{run['id']}/resume", json=body)).status_code == 201
    execution = await live.ended(execution_id)
    assert execution["status"] == "COMPLETED", execution
    output = execution["outputs"]["approve"]
    assert (output["approved"], output["by"], output["comment"]) == (True, "operator", "by the operator")
    (entry,) = await live.data("/audit-logs", action="execution.resume")
    assert (entry["actor"], entry["after"]["via"]) == ("system", "PREFECT (operator)")


async def test_a_form_is_checked_before_its_step_goes_on(live: Live) -> None:
    execution_id = await a_run(live, wait("ask", kind="input", message="How much?", schema=FORM))
    (asked,) = (await waiting(live, execution_id))["waits"]
    assert asked["schema"] == FORM
    refused = await answer(live, execution_id, 400, path="ask", data={"amount": 0, "more": 1})
    assert {each["path"] for each in refused["error"]["details"]} == {"data.amount", "data.more"}
    assert [each["path"] for each in (await live.data(f"/executions/{execution_id}"))["waits"]] == ["ask"]
    await answer(live, execution_id, path="ask", data={"amount": 7})
    assert (await live.ended(execution_id))["outputs"] == {"ask": {"amount": 7, "currency": "EUR"}}


async def test_a_form_in_prefect_asks_for_the_same(live: Live) -> None:
    execution_id = await a_run(
        live,
        wait("ask", kind="input", schema=FORM),
        wait("count", kind="input", schema={"type": "integer"}, dependsOn=["ask"]),
    )
    run = await suspended_run(live, await waiting(live, execution_id))
    body: dict[str, Any] = {"run_input": {"amount": 2}}
    assert (await live.prefect.post(f"flow_runs/{run['id']}/resume", json=body)).status_code == 201
    await live.until(execution_id, lambda each: [wait["path"] for wait in each["waits"]] == ["count"])
    run = await suspended_run(live, await waiting(live, execution_id))
    body = {"run_input": {"data": 5}}
    assert (await live.prefect.post(f"flow_runs/{run['id']}/resume", json=body)).status_code == 201
    execution = await live.ended(execution_id)
    assert execution["outputs"] == {"count": 5}
    ask = next(each for each in await live.steps(execution_id) if each["path"] == "ask")
    assert ask["output"] == {"amount": 2, "currency": "EUR"}


@pytest.mark.parametrize(
    ("verdict", "status", "seen"),
    [
        ("FAIL", "TIMEOUT", "TIMEOUT"),
        ("CONTINUE", "COMPLETED", None),
        ("APPROVE", "COMPLETED", True),
        ("REJECT", "FAILED", "REJECTED"),
    ],
)
async def test_what_nobody_answers_ends_as_it_was_told_to(live: Live, verdict: str, status: str, seen: object) -> None:
    execution_id = await a_run(live, wait("ask", kind="approval", timeoutSeconds=3, onTimeout=verdict))
    await waiting(live, execution_id)
    execution = await live.ended(execution_id)
    (asked,) = await live.steps(execution_id)
    assert asked["status"] == status, execution
    if status == "COMPLETED":
        assert (asked["output"] and asked["output"]["approved"]) == seen
        assert execution["status"] == "COMPLETED"
    else:
        assert (execution["status"], execution["error"]["code"]) == ("FAILED", seen)


async def test_waits_in_loops_and_branches_are_open_together(live: Live) -> None:
    each = {"items": [1, 2], "steps": [wait("ok", kind="approval", message="{{ item }}?")]}
    both = {
        "branches": {
            "left": {"steps": [wait("ok2", kind="approval")]},
            "right": {"steps": [wait("form", kind="input", schema={"type": "array"})]},
        }
    }
    execution_id = await a_run(
        live,
        {"stepKey": "each", "type": "LOOP", "config": each},
        {"stepKey": "both", "type": "PARALLEL", "config": both},
    )
    execution = await waiting(live, execution_id, 4)
    paths = {found["path"]: found["message"] for found in execution["waits"]}
    assert paths == {"each[0].ok": "1?", "each[1].ok": "2?", "both.left.ok2": None, "both.right.form": None}
    several = await answer(live, execution_id, 400, path="ok", approved=True)
    assert several["error"]["details"][0]["code"] == "AMBIGUOUS_PATH"
    await answer(live, execution_id, path="each[1].ok", approved=True)
    await answer(live, execution_id, path="ok2", approved=True)
    await waiting(live, execution_id, 2)
    await answer(live, execution_id, path="both.right.form", data=[1])
    await answer(live, execution_id, path="ok", approved=True)
    execution = await live.ended(execution_id)
    assert execution["status"] == "COMPLETED", execution
    assert [item["approved"] for item in execution["outputs"]["each"]["items"]] == [True, True]
    assert execution["outputs"]["both"]["right"] == [1]


async def test_a_question_is_answered_while_other_steps_work(live: Live) -> None:
    slow = await live.code("import time\ntime.sleep(4)\nreturn 1")
    execution_id = await a_run(live, wait("ask", kind="approval"), step("slow", slow), step("after", slow))
    await live.until(execution_id, lambda execution: len(execution["waits"]) == 1)
    await answer(live, execution_id, path="ask", approved=True)
    ended = await live.until(execution_id, lambda execution: execution["stepsCompleted"] == 1)
    assert ended["status"] == "RUNNING"
    assert (await live.ended(execution_id))["status"] == "COMPLETED"


async def test_an_event_reaches_those_whose_filter_holds(live: Live) -> None:
    schema = {"type": "object", "properties": {"order": {"type": "integer"}}, "required": ["order"]}
    paid = wait("paid", kind="event", eventType="order.paid", filter="event.data.order == inputs.order")
    workflow = await live.api.active_workflow(steps=[paid], inputSchema=schema)
    mine, other = [await live.start(workflow, inputs={"order": order}) for order in (1, 2)]
    await asyncio.gather(waiting(live, mine), waiting(live, other))
    event = {"type": "order.paid", "data": {"order": 1}}
    nobody = await live.api.post("/events", {"type": "order.sent", "data": {"order": 1}})
    assert nobody.json()["data"] == {"delivered": 0}
    delivered = await live.api.post("/events", event)
    assert delivered.json()["data"] == {"delivered": 1}
    assert (await live.ended(mine))["outputs"] == {"paid": event}
    assert (await live.data(f"/executions/{other}"))["status"] == "PAUSED"
    assert (await answer(live, other, 409, path="paid", data=1))["error"]["code"] == "INVALID_STATE"


async def test_the_time_of_a_loop_is_over_while_it_waits(live: Live) -> None:
    ask = {"items": [1], "steps": [wait("ask", kind="approval")]}
    loop = {"stepKey": "each", "type": "LOOP", "config": ask, "timeoutSeconds": 6, "onError": "CONTINUE"}
    after = {"stepKey": "after", "type": "CONDITION", "config": {"expression": "1", "then": []}, "dependsOn": ["each"]}
    execution_id = await a_run(live, loop, after)
    await suspended_run(live, await waiting(live, execution_id))
    execution = await live.ended(execution_id)
    assert (execution["status"], execution["waits"]) == ("COMPLETED", [])
    statuses = {each["path"]: each["status"] for each in await live.steps(execution_id)}
    assert statuses == {"each": "TIMEOUT", "each[0].ask": "CANCELLED", "after": "COMPLETED"}


@pytest.mark.parametrize("how", ["INACTIVE", "ARCHIVED", "deleted"])
async def test_a_run_waits_on_whatever_becomes_of_its_workflow(live: Live, how: str) -> None:
    execution_id = await a_run(live, wait("approve", kind="approval", message="Still?"))
    execution = await waiting(live, execution_id)
    await suspended_run(live, execution)
    path = f"/workflows/{execution['workflowId']}"
    gone = await (live.api.send("DELETE", path) if how == "deleted" else live.api.patch(path, {"status": how}))
    assert gone.is_success
    assert (await live.api.post(f"{path}/execute")).status_code in (404, 409)
    await answer(live, execution_id, path="approve", approved=True)
    execution = await live.ended(execution_id)
    assert execution["status"] == "COMPLETED", execution


async def test_a_run_that_is_cancelled_in_prefect_while_it_waits_is_cancelled(live: Live) -> None:
    execution_id = await a_run(live, wait("ask", kind="approval"))
    run = await suspended_run(live, await waiting(live, execution_id))
    cancelling = {"state": {"type": "CANCELLING", "name": "Cancelling"}}
    assert (await live.prefect.post(f"flow_runs/{run['id']}/set_state", json=cancelling)).is_success
    execution = await live.ended(execution_id)
    assert execution["status"] == "CANCELLED"
    assert [each["status"] for each in await live.steps(execution_id)] == ["CANCELLED"]
