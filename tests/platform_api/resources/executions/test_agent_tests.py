"""`POST /agents/{id}/test`: what is admitted and refused, the wait, and who sees what it left. A worker is played."""

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from decimal import Decimal
from typing import Any
from uuid import UUID, uuid4

import httpx
import pytest
from sqlalchemy import text

from agents.result import Usage
from flows.errors import PrefectRefused
from flows.orchestrator import Submission, entrypoint
from flows.plan import Plan
from flows.runtime.ports import LogLine, RunOutcome, StepAttempt, StepOutcome
from flows.states import ExecutionStatus, StepStatus
from platform_api.access.principal import TenantRole
from platform_api.access.scope import system_scope, tenant_scope
from platform_api.db.engine import Sessions
from platform_api.db.models import Execution
from platform_api.resources.executions.journal import Journal
from platform_api.settings import Settings
from tests.factories.api import Api, agent_body, by_key, colleague, owner
from tests.fakes.orchestrator import FakeOrchestrator
from tests.fixtures.http import error_of

TAKES_A_NUMBER = {
    "type": "object",
    "properties": {"n": {"type": "integer"}, "by": {"type": "integer", "default": 2}},
    "required": ["n"],
    "additionalProperties": False,
}


@pytest.fixture
async def api(client: httpx.AsyncClient) -> Api:
    return await owner(client)


@pytest.fixture
def settings(settings: Settings) -> Settings:
    """A test of an agent that nobody runs is not waited for."""
    runs = settings.runs.model_copy(update={"agent_test_seconds": 5.0})
    return settings.model_copy(update={"runs": runs})


class Played(FakeOrchestrator):
    """A Prefect whose worker runs each submission at once, as `work` says."""

    def __init__(self, sessions: Sessions, work: Callable[[Execution], Any]) -> None:
        super().__init__()
        self._sessions, self._work = sessions, work
        self.at_work: list[asyncio.Task[None]] = []

    async def submit(self, submission: Submission) -> UUID:
        run_id = await super().submit(submission)
        self.at_work.append(asyncio.create_task(self._run(submission.execution_id, run_id)))
        return run_id

    async def _run(self, execution_id: UUID, run_id: UUID) -> None:
        async with system_scope(self._sessions) as scope:
            execution = await scope.session.get_one(Execution, execution_id)
        journal = Journal(self._sessions, execution.tenant_id)
        attempt = StepAttempt(step_key="test", path="test", attempt=1, agent=str(execution.agent_id))
        await journal.run_started(execution_id, prefect_flow_run_id=run_id, run_count=1)
        await journal.step_started(execution_id, attempt, inputs=execution.inputs)
        outcome: StepOutcome = self._work(execution)
        await journal.logged(execution_id, [LogLine(level="INFO", message="at work", step_key="test")])
        await journal.step_finished(execution_id, attempt, outcome)
        status = ExecutionStatus.COMPLETED if outcome.error is None else ExecutionStatus.FAILED
        await journal.run_finished(execution_id, RunOutcome(status=status, outputs=outcome.output, error=outcome.error))


def doubled(execution: Execution) -> StepOutcome:
    usage = Usage(prompt_tokens=3, completion_tokens=4, cost=Decimal("0.5"))
    output = {"sum": execution.inputs["n"] * 2}
    return StepOutcome(status=StepStatus.COMPLETED, output=output, usage=usage, sandbox="landlock")


def broken(_: Execution) -> StepOutcome:
    return StepOutcome(status=StepStatus.FAILED, error={"code": "CODE_ERROR", "message": "ValueError: no"})


def refused(_: Execution) -> StepOutcome:
    error = {"code": "SANDBOX_UNAVAILABLE", "message": "CODE agents are refused: no sandbox works here"}
    return StepOutcome(status=StepStatus.FAILED, error=error)


@asynccontextmanager
async def worker(api: Api, sessions: Sessions, work: Callable[[Execution], Any]) -> AsyncIterator[Played]:
    """The API with such a Prefect behind it."""
    played = Played(sessions, work)
    platform = api.client._transport.app.state.platform  # type: ignore[attr-defined]  # the application under test
    before, platform.orchestrator = platform.orchestrator, played
    yield played
    await asyncio.gather(*played.at_work)
    platform.orchestrator = before


async def an_agent(api: Api, **fields: Any) -> dict[str, Any]:
    return await api.made("/agents", agent_body(name="Doubler", **fields))


async def row(sessions: Sessions, api: Api, execution_id: str) -> Execution:
    async with tenant_scope(sessions, api.tenant_id) as scope:
        return await scope.session.get_one(Execution, UUID(execution_id))


class TestRun:
    async def test_answers_what_came_of_it(self, api: Api, sessions: Sessions) -> None:
        agent = await an_agent(api, inputSchema=TAKES_A_NUMBER)
        async with worker(api, sessions, doubled) as played:
            answer = await api.post(f"/agents/{agent['id']}/test", {"input": {"n": 21}})
        assert answer.status_code == 200, answer.text
        tested = answer.json()["data"]
        assert set(tested) == {"executionId", "status", "output", "error", "logs", "usage", "sandbox", "durationMs"}
        assert (tested["status"], tested["output"], tested["error"]) == ("COMPLETED", {"sum": 42}, None)
        assert [line["message"] for line in tested["logs"]] == ["at work"]
        assert tested["usage"]["promptTokens"] == 3
        assert tested["sandbox"] == "landlock"
        (step,) = (await api.get(f"/executions/{tested['executionId']}/steps")).json()["data"]
        assert step["usage"]["sandbox"] == "landlock"
        assert tested["durationMs"] >= 0

        execution = await row(sessions, api, tested["executionId"])
        assert (execution.workflow_id, str(execution.agent_id)) == (None, agent["id"])
        plan = Plan.model_validate(execution.plan)
        assert [step.agent for step in plan.steps] == [agent["id"]]
        assert execution.inputs == {"n": 21, "by": 2}
        (submission,) = played.submissions
        assert submission.execution_id == execution.id
        assert submission.run_name.startswith("doubler-")
        spec = played.deployments[submission.deployment_id]
        assert (spec.workflow_id, entrypoint(spec.workflow_id)) == (None, "deployments.entrypoint.agent_runs")

    async def test_a_failure_is_an_answer_too(self, api: Api, sessions: Sessions) -> None:
        agent = await an_agent(api)
        async with worker(api, sessions, broken):
            answer = await api.post(f"/agents/{agent['id']}/test")
        tested = answer.json()["data"]
        assert (answer.status_code, tested["status"], tested["output"]) == (200, "FAILED", None)
        assert tested["error"]["code"] == "CODE_ERROR"

    async def test_a_machine_without_a_sandbox_is_no_mistake_of_the_callers(self, api: Api, sessions: Sessions) -> None:
        agent = await an_agent(api)
        async with worker(api, sessions, refused):
            answer = await api.post(f"/agents/{agent['id']}/test")
        error = error_of(answer, 503, "SERVICE_UNAVAILABLE")
        assert "no sandbox works here" in error["message"]
        assert [each["code"] for each in error["details"]] == ["SANDBOX_UNAVAILABLE"]

    async def test_what_a_model_calls_is_planned_with_it(self, api: Api, sessions: Sessions) -> None:
        tool = await api.active_agent(inputSchema=TAKES_A_NUMBER)
        config = {"model": "m", "prompt": "?", "tools": [{"agentId": tool["id"]}]}
        agent = await an_agent(api, type="LLM", config=config)
        async with worker(api, sessions, broken):
            tested = (await api.post(f"/agents/{agent['id']}/test")).json()["data"]
            plan = Plan.model_validate((await row(sessions, api, tested["executionId"])).plan)
            assert set(plan.agents) == {agent["id"], tool["id"]}
            assert plan.agents[tool["id"]].input_schema == TAKES_A_NUMBER

            await api.patch(f"/agents/{tool['id']}", {"status": "INACTIVE"})
            refused = error_of(await api.post(f"/agents/{agent['id']}/test"), 409, "INVALID_STATE")
        assert "is INACTIVE" in refused["message"]

    async def test_many_tests_ask_prefect_for_one_deployment(self, api: Api, sessions: Sessions) -> None:
        agent = await an_agent(api)
        async with worker(api, sessions, broken) as played:
            for _ in range(3):
                await api.post(f"/agents/{agent['id']}/test")
        assert len(played.deployments) == 1
        assert len(played.submissions) == 3

    async def test_a_deployment_that_prefect_lost_is_made_again(self, api: Api, sessions: Sessions) -> None:
        agent = await an_agent(api)
        async with worker(api, sessions, broken) as played:
            first = await api.post(f"/agents/{agent['id']}/test")
            played.deployments.clear()
            submit = played.submit

            async def once_refused(submission: Submission) -> UUID:
                if submission.deployment_id not in played.deployments:
                    raise PrefectRefused("404")
                return await submit(submission)

            played.submit = once_refused  # type: ignore[method-assign]
            again = await api.post(f"/agents/{agent['id']}/test")
        assert (first.json()["data"]["status"], again.json()["data"]["status"]) == ("FAILED", "FAILED")

    @pytest.mark.case(18)
    async def test_inputs_are_data_and_never_templates(self, api: Api, sessions: Sessions) -> None:
        """Case 18: what looks like an expression, in names and in values, is handed over as it is."""
        agent = await an_agent(api)
        odd = {"{{ 7 * 7 }}": "{{ secrets.x }}", 'a"]b': "${process.env}", "ü\n": [1]}
        async with worker(api, sessions, broken):
            tested = (await api.post(f"/agents/{agent['id']}/test", {"input": odd})).json()["data"]
        assert (await row(sessions, api, tested["executionId"])).inputs == odd

    async def test_the_same_key_runs_it_once(self, api: Api, sessions: Sessions) -> None:
        agent = await an_agent(api)
        path, key = f"/agents/{agent['id']}/test", {"Idempotency-Key": uuid4().hex}
        async with worker(api, sessions, broken) as played:
            answers = [await api.send("POST", path, {}, **key) for _ in range(2)]
        assert answers[0].json()["data"] == answers[1].json()["data"]
        assert len(played.submissions) == 1

    async def test_is_in_the_audit_log(self, api: Api, sessions: Sessions) -> None:
        agent = await an_agent(api)
        async with worker(api, sessions, broken):
            tested = (await api.post(f"/agents/{agent['id']}/test")).json()["data"]
        entries = (await api.get("/audit-logs", action="agent.test", resourceId=agent["id"])).json()["data"]
        assert [entry["after"] for entry in entries] == [{"executionId": tested["executionId"]}]


class TestWait:
    @pytest.fixture
    def settings(self, settings: Settings) -> Settings:
        runs = settings.runs.model_copy(update={"agent_test_seconds": 0.1})
        return settings.model_copy(update={"runs": runs})

    @pytest.fixture(autouse=True)
    def _impatient(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr("platform_api.resources.executions.attending.GRACE_SECONDS", 0.3)

    async def test_a_long_test_goes_on_by_itself(self, api: Api, orchestrator: FakeOrchestrator) -> None:
        agent = await an_agent(api)
        answer = await api.post(f"/agents/{agent['id']}/test")
        tested = answer.json()["data"]
        assert (answer.status_code, tested["status"], tested["durationMs"]) == (202, "PENDING", None)
        assert (await api.get(f"/executions/{tested['executionId']}")).status_code == 200

    async def test_prefect_being_away_loses_nothing(self, api: Api, orchestrator: FakeOrchestrator) -> None:
        orchestrator.available = False
        agent = await an_agent(api)
        answer = await api.post(f"/agents/{agent['id']}/test")
        assert (answer.status_code, answer.json()["data"]["status"]) == (202, "PENDING")

    async def test_the_wait_holds_no_connection(self, api: Api, sessions: Sessions) -> None:
        """More requests wait at once than there are connections (25), and others are answered meanwhile."""
        agent = await an_agent(api)
        path = f"/agents/{agent['id']}/test"
        keys: list[dict[str, str]] = [{"Idempotency-Key": uuid4().hex} if turn % 2 else {} for turn in range(40)]
        waiting = [asyncio.create_task(api.send("POST", path, {}, **key)) for key in keys]
        assert (await api.get(f"/agents/{agent['id']}")).status_code == 200
        answers = await asyncio.gather(*waiting)
        assert {answer.status_code for answer in answers} == {202}
        async with asyncio.timeout(30):
            while await idle_in_transaction(sessions):  # noqa: ASYNC110 - what works in the background comes and goes
                await asyncio.sleep(0.05)


async def idle_in_transaction(sessions: Sessions) -> int:
    """Connections of this test's database that hold a transaction open and do nothing."""
    found = "select count(*) from pg_stat_activity where datname = current_database() and state = 'idle in transaction'"
    async with system_scope(sessions) as scope:
        count: int = (await scope.session.execute(text(found))).scalar_one()
    return count


class TestRefusals:
    async def test_inputs_that_do_not_fit_are_told_each(self, api: Api) -> None:
        agent = await an_agent(api, inputSchema=TAKES_A_NUMBER)
        answer = await api.post(f"/agents/{agent['id']}/test", {"input": {"by": "two", "odd": 1}})
        details = error_of(answer, 400, "VALIDATION_ERROR")["details"]
        assert {detail["path"] for detail in details} == {"input.n", "input.by", "input.odd"}

    async def test_an_input_that_the_config_needs_is_missed_before_the_run(self, api: Api) -> None:
        config = {"method": "GET", "url": "https://example.com/{{ inputs.page }}"}
        agent = await api.made("/agents", agent_body(type="API", config=config))
        answer = await api.post(f"/agents/{agent['id']}/test")
        assert [each["path"] for each in error_of(answer, 400, "VALIDATION_ERROR")["details"]] == ["input.page"]

    async def test_an_archived_agent_is_over(self, api: Api) -> None:
        agent = await an_agent(api)
        await api.patch(f"/agents/{agent['id']}", {"status": "ARCHIVED"})
        assert error_of(await api.post(f"/agents/{agent['id']}/test"), 409, "INVALID_STATE")

    async def test_unknown_fields_are_refused(self, api: Api) -> None:
        agent = await an_agent(api)
        answer = await api.post(f"/agents/{agent['id']}/test", {"input": {}, "tenantId": str(uuid4())})
        assert error_of(answer, 400, "VALIDATION_ERROR")

    @pytest.mark.case(13)
    async def test_a_viewer_runs_no_code(self, api: Api, sessions: Sessions, settings: Settings) -> None:
        agent = await api.active_agent(isPublic=True)
        viewer = await colleague(api, sessions, settings, TenantRole.VIEWER)
        assert error_of(await viewer.post(f"/agents/{agent['id']}/test"), 403, "FORBIDDEN")

    async def test_a_draft_is_for_those_who_may_change_it(
        self, api: Api, sessions: Sessions, settings: Settings
    ) -> None:
        draft = await an_agent(api, isPublic=True)
        active = await api.active_agent(isPublic=True)
        editor = await colleague(api, sessions, settings, TenantRole.EDITOR)
        assert error_of(await editor.post(f"/agents/{draft['id']}/test"), 403, "FORBIDDEN")
        private = await api.active_agent()
        assert error_of(await editor.post(f"/agents/{private['id']}/test"), 403, "FORBIDDEN")
        async with worker(api, sessions, broken):
            assert (await editor.post(f"/agents/{active['id']}/test")).status_code == 200

    @pytest.mark.case(11)
    async def test_another_tenants_agent_is_not_there(self, api: Api, client: httpx.AsyncClient) -> None:
        agent = await api.active_agent(isPublic=True)
        assert error_of(await (await owner(client)).post(f"/agents/{agent['id']}/test"), 404, "NOT_FOUND")

    async def test_a_key_needs_the_scope(self, api: Api, sessions: Sessions) -> None:
        agent = await an_agent(api)
        reader = await by_key(api, sessions, "agents:read")
        assert error_of(await reader.post(f"/agents/{agent['id']}/test"), 403, "FORBIDDEN")


class TestSight:
    async def test_the_record_is_the_testers_and_the_managers(
        self, api: Api, sessions: Sessions, settings: Settings
    ) -> None:
        agent = await api.active_agent(isPublic=True)
        tester = await colleague(api, sessions, settings, TenantRole.EDITOR)
        other = await colleague(api, sessions, settings, TenantRole.EDITOR)
        async with worker(api, sessions, broken):
            key = (await tester.post(f"/agents/{agent['id']}/test")).json()["data"]["executionId"]
        for reader in (tester, api):
            assert (await reader.get(f"/executions/{key}")).status_code == 200
            assert key in {each["id"] for each in (await reader.get("/executions")).json()["data"]}
        assert error_of(await other.get(f"/executions/{key}"), 403, "FORBIDDEN")
        assert (await other.get("/executions")).json()["data"] == []
