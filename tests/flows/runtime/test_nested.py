"""Steps that run a workflow: a run with its own record inside the step."""

import asyncio
from dataclasses import replace
from datetime import UTC, datetime
from decimal import Decimal
from typing import Any

from agents.result import AgentResult, Usage
from flows.plan import Plan, PlanStep
from flows.runtime.nested import MAX_DEPTH
from flows.runtime.ports import Answer
from flows.states import ExecutionStatus, StepStatus
from tests.fakes.runtime import Drive, MemoryJournal, ScriptedExecutor, a_loop, a_run, a_step, a_wait, an_agent

WORKFLOW = an_agent(id="w", name="w", type="WORKFLOW")


def child(*steps: PlanStep, **plan: Any) -> Plan:
    return a_run(*steps, **plan).plan


def parent(plan: Plan, *steps: PlanStep, executor: ScriptedExecutor | None = None) -> Drive:
    """A run whose agent `w` is the workflow `plan`."""
    outer = a_run(*steps).plan
    agents = {**outer.agents, "w": WORKFLOW}
    run = replace(a_run(), plan=outer.model_copy(update={"agents": agents, "children": {"w": plan}}))
    return Drive(run=run, executor=executor)


def only_child(drive: Drive) -> MemoryJournal:
    (book,) = drive.journal.books.values()
    return book


async def test_its_outputs_are_the_steps_and_its_record_is_its_own() -> None:
    plan = child(a_step("x", inputs={"n": "{{ inputs.n }}"}), output="{{ x.output.n }}")
    drive = parent(
        plan, a_step("sub", agent="w", inputs={"n": 5}), a_step("end", "sub", inputs={"n": "{{ sub.output }}"})
    )
    assert (await drive.once()).outputs == {"end": {"n": 5}}
    assert set(drive.statuses) == {"sub", "end"}
    book = only_child(drive)
    assert (book.status, set(book.outcomes)) == (ExecutionStatus.COMPLETED, {("x", 1)})
    assert book.run is not None
    assert book.run.depth == 1


async def test_its_failure_fails_the_step_and_says_where() -> None:
    drive = parent(child(a_step("x", inputs={"fail": "BOOM"})), a_step("sub", agent="w"))
    outcome = await drive.once()
    book = only_child(drive)
    assert book.run is not None
    details = {"executionId": str(book.run.execution_id), "stepKey": "x"}
    assert outcome.error == {"code": "BOOM", "message": "as told", "details": details, "stepKey": "sub"}
    assert drive.statuses["sub"] is StepStatus.FAILED


async def test_what_it_uses_counts_in_its_step() -> None:
    class Costly(ScriptedExecutor):
        async def run(self, *_: Any) -> AgentResult:
            return AgentResult(output=1, usage=Usage(prompt_tokens=3, cost=Decimal("0.5")))

    loop = a_loop("each", steps=(a_step("x"),), loop={"items": [1, 2]})
    drive = parent(child(loop), a_step("sub", agent="w"), executor=Costly())
    await drive.once()
    assert drive.journal.outcomes["sub", 1].usage == Usage(prompt_tokens=6, cost=Decimal("1.0"))


async def test_the_tightest_limits_hold() -> None:
    body = (a_step("x", inputs={"sleep": 0.02}),)
    plan = child(a_loop("each", steps=body, loop={"items": list(range(6))}), limits={"maxConcurrency": 2})
    drive = parent(plan, a_step("one", agent="w"), a_step("two", agent="w"))
    limits = drive.run.plan.limits.model_copy(update={"max_concurrency": 3})
    drive.run = replace(drive.run, plan=drive.run.plan.model_copy(update={"limits": limits}))
    assert (await drive.once()).status is ExecutionStatus.COMPLETED
    assert drive.executor.most_at_once == 3

    slow = parent(child(a_step("x", inputs={"sleep": 30}), limits={"timeoutSeconds": 0.05}), a_step("sub", agent="w"))
    outcome = await slow.once()
    assert outcome.error is not None
    assert outcome.error["code"] == "TIMEOUT"
    assert (slow.statuses["sub"], only_child(slow).status) == (StepStatus.TIMEOUT, ExecutionStatus.TIMEOUT)


async def test_cancel_goes_down() -> None:
    drive = parent(child(a_step("x", inputs={"sleep": 30})), a_step("sub", agent="w"))
    running = asyncio.create_task(drive.once())
    await drive.executor.called.wait()
    running.cancel("Somebody asked")
    assert (await running).status is ExecutionStatus.CANCELLED
    book = only_child(drive)
    assert (book.status, drive.statuses["sub"]) == (ExecutionStatus.CANCELLED, StepStatus.CANCELLED)
    assert book.outcomes["x", 1].status is StepStatus.CANCELLED


async def test_it_waits_with_its_parent_and_is_found_again() -> None:
    steps = (a_step("x", inputs={"n": 1}), a_wait("ask", "x", wait={"kind": "approval"}), a_step("y", "ask"))
    drive = parent(child(*steps), a_loop("each", steps=(a_step("sub", agent="w"),), loop={"items": [1]}))
    assert (await drive.once()).status is ExecutionStatus.PAUSED
    book = only_child(drive)
    assert (book.status, drive.journal.status) == (ExecutionStatus.PAUSED, ExecutionStatus.PAUSED)
    assert drive.statuses == {"each": StepStatus.PAUSED, "each[0].sub": StepStatus.PAUSED}
    book.given["ask"] = Answer(data={"approved": True, "comment": None}, by="me", via="REST", at=datetime.now(UTC))
    assert (await drive.once()).status is ExecutionStatus.COMPLETED
    assert only_child(drive) is book
    assert drive.executor.keys == ["x", "y"]


async def test_a_run_at_the_deepest_level_nests_no_further() -> None:
    drive = parent(child(a_step("x")), a_step("sub", agent="w"))
    drive.run = replace(drive.run, depth=MAX_DEPTH)
    outcome = await drive.once()
    assert outcome.error is not None
    assert outcome.error["code"] == "NESTED_TOO_DEEP"
    assert drive.journal.books == {}


async def test_its_inputs_are_those_of_the_agents_config_with_the_defaults_of_its_schema() -> None:
    schema = {"type": "object", "properties": {"n": {"type": "integer"}, "more": {"default": 2}}}
    plan = child(a_step("x", inputs={"n": "{{ inputs.n }}", "more": "{{ inputs.more }}"}), input_schema=schema)
    mapping = an_agent(id="w", name="w", type="WORKFLOW", config={"inputs": {"n": "{{ inputs.count }}"}})

    def given(inputs: dict[str, Any]) -> Drive:
        drive = parent(plan, a_step("sub", agent="w", inputs=inputs))
        agents = {**drive.run.plan.agents, "w": mapping}
        drive.run = replace(drive.run, plan=drive.run.plan.model_copy(update={"agents": agents}))
        return drive

    assert (await given({"count": 7}).once()).outputs == {"sub": {"x": {"n": 7, "more": 2}}}
    outcome = await given({"count": "seven"}).once()
    assert outcome.error is not None
    assert (outcome.error["code"], outcome.error["stepKey"]) == ("INPUT_INVALID", "sub")
