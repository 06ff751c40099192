"""`POST /executions/{id}/retry` and `POST /executions/retry`: what goes on, what is refused, what is taken over."""

import asyncio
from collections.abc import Mapping
from decimal import Decimal
from typing import Any
from uuid import UUID, uuid4

import httpx
import pytest
from sqlalchemy import select
from sqlmodel import col

from agents.result import Usage
from flows.plan import Plan
from flows.runtime.ports import RunOutcome, StepAttempt, StepOutcome
from flows.states import ExecutionStatus, StepStatus
from platform_api.access.scope import tenant_scope
from platform_api.db.engine import Sessions
from platform_api.db.models import AuditLog, Execution, ExecutionEvent
from platform_api.resources.executions.journal import Journal
from platform_api.resources.executions.past import load_past
from tests.factories.api import Api, owner, step
from tests.fakes.orchestrator import FakeOrchestrator
from tests.fixtures.http import error_of

DONE, FAILED = StepStatus.COMPLETED, StepStatus.FAILED
SCHEMA = {"type": "object", "properties": {"n": {"type": "integer", "default": 1}}}


class Runs:
    """Runs of one workflow, each recorded by hand as the statuses say."""

    def __init__(self, api: Api, sessions: Sessions, workflow: dict[str, Any], written: list[dict[str, Any]]) -> None:
        self.api = api
        self.written = written
        self.sessions = sessions
        self.workflow = workflow
        self.journal = Journal(sessions, api.tenant_id)

    async def ended(self, status: str, steps: Mapping[str, StepStatus]) -> str:
        started = await self.api.made(f"/workflows/{self.workflow['id']}/execute", {})
        await self.end(started["executionId"], status, steps)
        return str(started["executionId"])

    async def end(self, execution_id: str, status: str, steps: Mapping[str, StepStatus]) -> None:
        run_id = UUID(execution_id)
        await self.journal.run_started(run_id, prefect_flow_run_id=uuid4(), run_count=1)
        for path, ended in steps.items():
            await self.step(run_id, path, ended)
        await self.journal.run_finished(run_id, RunOutcome(status=ExecutionStatus(status)))

    async def step(self, run_id: UUID, path: str, status: StepStatus) -> None:
        attempt = StepAttempt(step_key=path.rpartition(".")[2], path=path, attempt=1)
        await self.journal.step_started(run_id, attempt, inputs={"in": path})
        usage = Usage(prompt_tokens=3, completion_tokens=4, cost=Decimal("0.5"))
        error = {"code": "CODE_ERROR", "message": "no"} if status is FAILED else None
        outcome = StepOutcome(status=status, output={"of": path}, error=error, usage=usage)
        await self.journal.step_finished(run_id, attempt, outcome)

    async def retry(self, execution_id: str, **body: Any) -> httpx.Response:
        return await self.api.post(f"/executions/{execution_id}/retry", body)

    async def retried(self, execution_id: str, **body: Any) -> dict[str, Any]:
        answer = await self.retry(execution_id, **body)
        assert answer.status_code == 201, answer.text
        data: dict[str, Any] = answer.json()["data"]
        return data

    async def steps(self, execution_id: str) -> dict[str, dict[str, Any]]:
        answer = await self.api.get(f"/executions/{execution_id}/steps", pageSize=100)
        return {each["path"]: each for each in answer.json()["data"]}

    async def row(self, execution_id: str) -> Execution:
        async with tenant_scope(self.sessions, self.api.tenant_id) as scope:
            return await scope.session.get_one(Execution, UUID(execution_id))


@pytest.fixture
async def runs(client: httpx.AsyncClient, sessions: Sessions) -> Runs:
    """A chain of three with a loop in it: a → each(x → y) → last."""
    api = await owner(client)
    agent = await api.active_agent()
    body = [step("x", agent), step("y", agent, dependsOn=["x"])]
    loop = {"stepKey": "each", "type": "LOOP", "dependsOn": ["a"], "config": {"items": [1, 2], "steps": body}}
    steps = [step("a", agent), loop, step("last", agent, dependsOn=["each"])]
    return Runs(api, sessions, await api.active_workflow(inputSchema=SCHEMA, steps=steps), steps)


BROKEN = {"a": DONE, "each[0].x": DONE, "each[0].y": DONE, "each[1].x": DONE, "each[1].y": FAILED, "each": FAILED}
WHOLE = {**dict.fromkeys(BROKEN, DONE), "last": DONE}


@pytest.mark.parametrize("status", ["FAILED", "CANCELLED", "TIMEOUT"])
async def test_finished_steps_keep_their_results(runs: Runs, status: str, orchestrator: FakeOrchestrator) -> None:
    before = await runs.ended(status, BROKEN)
    answer = await runs.retried(before)
    assert (answer["retryOf"], answer["status"], answer["reusedSteps"]) == (before, "PENDING", 4)
    steps, old = await runs.steps(answer["executionId"]), await runs.steps(before)
    assert set(steps) == {"a", "each[0].x", "each[0].y", "each[1].x"}
    for path, each in steps.items():
        assert (each["reusedFrom"], each["output"], each["status"]) == (old[path]["id"], {"of": path}, "COMPLETED")
        assert (each["usage"]["promptTokens"], each["usage"]["totalCost"]) == (0, 0)
    row = await runs.row(answer["executionId"])
    assert (row.steps_total, row.steps_completed, row.prompt_tokens, row.cost) == (3, 1, 0, 0)
    assert orchestrator.submissions[-1].execution_id == row.id


async def test_the_runtime_finds_what_was_taken_over(runs: Runs) -> None:
    answer = await runs.retried(await runs.ended("FAILED", BROKEN))
    row = await runs.row(answer["executionId"])
    async with tenant_scope(runs.sessions, runs.api.tenant_id) as scope:
        past = await load_past(scope.session, row.id, Plan.model_validate(row.plan))
    assert past.finished["each[1].x"].output == {"of": "each[1].x"}
    assert set(past.finished) == {"a", "each[0].x", "each[0].y", "each[1].x"}
    assert past.open == {}


async def test_what_was_taken_over_is_told_to_listeners_under_one_numbering(runs: Runs) -> None:
    answer = await runs.retried(await runs.ended("FAILED", BROKEN))
    execution_id = UUID(answer["executionId"])
    async with tenant_scope(runs.sessions, runs.api.tenant_id) as scope:
        mine = select(ExecutionEvent).where(col(ExecutionEvent.execution_id) == execution_id)
        events = list(await scope.session.scalars(mine.order_by(col(ExecutionEvent.seq))))
    assert [each.seq for each in events] == list(range(1, 6))
    assert {each.payload["path"] for each in events[1:]} == {"a", "each[0].x", "each[0].y", "each[1].x"}
    assert all(each.payload["reusedFrom"] for each in events[1:])


async def test_a_retry_of_a_retry_names_where_a_result_was_made(runs: Runs) -> None:
    first = await runs.ended("FAILED", BROKEN)
    second = (await runs.retried(first))["executionId"]
    await runs.end(second, "FAILED", {"each[1].y": DONE, "each": FAILED})
    third = (await runs.retried(second))["executionId"]
    old, middle, steps = [await runs.steps(each) for each in (first, second, third)]
    assert steps["a"]["reusedFrom"] == old["a"]["id"]
    assert steps["each[1].y"]["reusedFrom"] == middle["each[1].y"]["id"]
    assert (await runs.row(third)).retry_of == UUID(second)


async def test_from_a_step_on_everything_runs_again(runs: Runs) -> None:
    before = await runs.ended("COMPLETED", WHOLE)
    answer = await runs.retried(before, fromStep="each[1].y")
    assert set(await runs.steps(answer["executionId"])) == {"a", "each[0].x", "each[0].y", "each[1].x"}


async def test_other_inputs_reuse_nothing_unless_a_step_says_from_where(runs: Runs) -> None:
    before = await runs.ended("FAILED", BROKEN)
    same = await runs.retried(before, inputs={})
    assert same["reusedSteps"] == 4
    await runs.end(same["executionId"], "FAILED", {})
    other = await runs.retried(before, inputs={"n": 2})
    assert other["reusedSteps"] == 0
    assert (await runs.row(other["executionId"])).inputs == {"n": 2}
    await runs.end(other["executionId"], "FAILED", {})
    assert (await runs.retried(before, inputs={"n": 2}, fromStep="each"))["reusedSteps"] == 1


async def test_a_later_edit_changes_a_retry_only_when_it_is_asked_for(runs: Runs) -> None:
    before = await runs.ended("FAILED", BROKEN)
    changed = [{**runs.written[0], "inputs": {"n": 5}}, *runs.written[1:]]
    answer = await runs.api.patch(f"/workflows/{runs.workflow['id']}", {"steps": changed})
    assert answer.status_code == 200, answer.text
    same = await runs.retried(before)
    assert (same["workflowVersion"], same["reusedSteps"]) == (1, 4)
    await runs.end(same["executionId"], "FAILED", {})
    for version in ("latest", 2):
        newer = await runs.retried(before, workflowVersion=version)
        assert (newer["workflowVersion"], newer["reusedSteps"]) == (2, 0)
        await runs.end(newer["executionId"], "FAILED", {})
    error_of(await runs.retry(before, workflowVersion=9), 404, "NOT_FOUND")
    without = [changed[0], {**changed[2], "dependsOn": ["a"]}]
    assert (await runs.api.patch(f"/workflows/{runs.workflow['id']}", {"steps": without})).status_code == 200
    refused = await runs.retry(before, workflowVersion="latest", fromStep="each[1].y")
    assert "each[1].y" in error_of(refused, 409, "INVALID_STATE")["message"]


class TestRefusals:
    async def test_a_run_that_is_not_over(self, runs: Runs) -> None:
        started = await runs.api.made(f"/workflows/{runs.workflow['id']}/execute", {})
        assert "PENDING" in error_of(await runs.retry(started["executionId"]), 409, "INVALID_STATE")["message"]

    async def test_a_completed_run_without_a_step(self, runs: Runs) -> None:
        before = await runs.ended("COMPLETED", WHOLE)
        assert "fromStep" in error_of(await runs.retry(before), 409, "INVALID_STATE")["message"]
        error_of(await runs.retry(before, inputs={"n": 2}), 409, "INVALID_STATE")

    async def test_a_run_that_is_being_retried(self, runs: Runs) -> None:
        before = await runs.ended("FAILED", BROKEN)
        retry = (await runs.retried(before))["executionId"]
        assert retry in error_of(await runs.retry(before), 409, "INVALID_STATE")["message"]

    async def test_a_workflow_that_does_not_run_any_more(self, runs: Runs) -> None:
        before = await runs.ended("FAILED", BROKEN)
        await runs.api.patch(f"/workflows/{runs.workflow['id']}", {"status": "INACTIVE"})
        assert "INACTIVE" in error_of(await runs.retry(before), 409, "INVALID_STATE")["message"]
        await runs.api.send("DELETE", f"/workflows/{runs.workflow['id']}")
        error_of(await runs.retry(before), 409, "INVALID_STATE")

    @pytest.mark.parametrize(("path", "code"), [("other", "UNKNOWN_STEP"), ("x", "AMBIGUOUS_PATH")])
    async def test_a_step_that_is_none_or_several(self, runs: Runs, path: str, code: str) -> None:
        before = await runs.ended("FAILED", BROKEN)
        refused = error_of(await runs.retry(before, fromStep=path), 400, "VALIDATION_ERROR")
        assert [(each["path"], each["code"]) for each in refused["details"]] == [("fromStep", code)]

    async def test_inputs_that_do_not_fit(self, runs: Runs) -> None:
        before = await runs.ended("FAILED", BROKEN)
        refused = error_of(await runs.retry(before, inputs={"n": "many"}), 400, "VALIDATION_ERROR")
        assert [each["path"] for each in refused["details"]] == ["inputs.n"]

    async def test_nothing_is_left_of_a_refusal(self, runs: Runs, orchestrator: FakeOrchestrator) -> None:
        before = await runs.ended("FAILED", BROKEN)
        submitted = len(orchestrator.submissions)
        await runs.retry(before, fromStep="other")
        answer = await runs.api.get("/executions", workflowId=runs.workflow["id"])
        assert [each["id"] for each in answer.json()["data"]] == [before]
        assert len(orchestrator.submissions) == submitted

    async def test_a_nested_run_is_retried_with_the_run_around_it(self, runs: Runs) -> None:
        started = await runs.api.made(f"/workflows/{runs.workflow['id']}/execute", {})
        parent = UUID(started["executionId"])
        await runs.journal.run_started(parent, prefect_flow_run_id=uuid4(), run_count=1)
        attempt = StepAttempt(step_key="a", path="a", attempt=1)
        plan = Plan.model_validate((await runs.row(started["executionId"])).plan)
        child = await runs.journal.child_opened(parent, attempt, plan, {})
        await runs.journal.run_started(child.execution_id, prefect_flow_run_id=None, run_count=1)
        await runs.journal.run_finished(child.execution_id, RunOutcome(status=ExecutionStatus.FAILED))
        refused = await runs.retry(str(child.execution_id))
        assert str(parent) in error_of(refused, 409, "INVALID_STATE")["message"]


async def test_two_retries_at_once_are_one(runs: Runs) -> None:
    before = await runs.ended("FAILED", BROKEN)
    answers = await asyncio.gather(runs.retry(before), runs.retry(before))
    assert sorted(answer.status_code for answer in answers) == [201, 409]


async def test_a_retry_is_audited(runs: Runs) -> None:
    before = await runs.ended("FAILED", BROKEN)
    retry = await runs.retried(before, fromStep="each[1].y")
    async with tenant_scope(runs.sessions, runs.api.tenant_id) as scope:
        mine = (col(AuditLog.resource_id) == UUID(retry["executionId"]), col(AuditLog.action) == "execution.retry")
        (entry,) = await scope.session.scalars(select(AuditLog).where(*mine))
    assert entry.after == {"retryOf": before, "fromStep": "each[1].y", "workflowVersion": 1}


class TestMany:
    async def test_all_that_the_filters_name_are_retried_once(self, runs: Runs) -> None:
        failed = [await runs.ended("FAILED", {"a": DONE}) for _ in range(3)]
        await runs.ended("TIMEOUT", {})
        await runs.ended("COMPLETED", WHOLE)
        path = f"/executions/retry?workflowId={runs.workflow['id']}&status=FAILED"
        done = (await runs.api.post(path)).json()["data"]
        assert [each["retryOf"] for each in done["started"]] == failed
        assert (done["refused"], done["left"]) == ([], 0)
        again = (await runs.api.post(path)).json()["data"]
        assert again == {"started": [], "refused": [], "left": 0}

    async def test_a_call_is_bounded_and_says_so(self, runs: Runs, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr("platform_api.resources.executions.retrying.AT_ONCE", 2)
        failed = [await runs.ended("FAILED", {}) for _ in range(3)]
        done = (await runs.api.post("/executions/retry")).json()["data"]
        assert [each["retryOf"] for each in done["started"]] == failed[:2]
        assert done["left"] == 1

    async def test_what_cannot_be_retried_is_answered_with_the_reason(self, runs: Runs) -> None:
        failed = await runs.ended("FAILED", {})
        await runs.api.patch(f"/workflows/{runs.workflow['id']}", {"status": "INACTIVE"})
        (refused,) = (await runs.api.post("/executions/retry")).json()["data"]["refused"]
        assert (refused["executionId"], refused["code"]) == (failed, "INVALID_STATE")
        assert "INACTIVE" in refused["message"]

    async def test_others_runs_are_left_alone(self, runs: Runs, client: httpx.AsyncClient) -> None:
        await runs.ended("FAILED", {})
        stranger = await owner(client)
        assert (await stranger.post("/executions/retry")).json()["data"]["started"] == []
