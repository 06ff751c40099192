"""Who may do what with runs, by role and by key, and what becomes of a request that is sent twice."""

from typing import Any
from uuid import UUID, uuid4

import httpx
import pytest

from flows.runtime.ports import RunOutcome
from flows.states import Environment, ExecutionStatus, TriggerType
from platform_api.access.principal import PlatformRole, Principal, TenantRole, Via
from platform_api.db.engine import Sessions
from platform_api.db.models import StepWait
from platform_api.errors import Forbidden
from platform_api.resources.executions.adoption import Adoption, adopt
from platform_api.resources.executions.answering import check_may_answer
from platform_api.settings import Settings
from tests.factories.api import Api, by_key, colleague, owner
from tests.factories.waits import Waiting, a_waiting_run
from tests.fakes.orchestrator import FakeOrchestrator

EVENT = {"event_type": "order.paid"}
APPROVE = {"path": "ask", "approved": True}
ENGINE = ("workflows:execute", "executions:cancel", "executions:execute", "executions:resume", "events:create")


@pytest.fixture
async def api(client: httpx.AsyncClient) -> Api:
    return await owner(client)


@pytest.fixture
async def run(api: Api, sessions: Sessions, orchestrator: FakeOrchestrator) -> Waiting:
    run = await a_waiting_run(api, sessions, orchestrator)
    await run.opens("ask")
    await run.opens("event", "event", **EVENT)
    return run


async def calls(caller: Api, run: Waiting) -> dict[str, httpx.Response]:
    """What each permission of the engine lets one do, the cancel last."""
    execution, workflow_id = f"/executions/{run.execution_id}", (await run.row()).workflow_id
    return {
        "events:create": await caller.post("/events", {"type": "order.paid"}),
        "executions:resume": await caller.post(f"{execution}/resume", APPROVE),
        "workflows:execute": await caller.post(f"/workflows/{workflow_id}/execute", {}),
        "executions:cancel": await caller.post(f"{execution}/cancel"),
        "executions:execute": await caller.post("/executions/retry"),
    }


async def test_who_only_reads_runs_nothing(api: Api, run: Waiting, sessions: Sessions, settings: Settings) -> None:
    workflow_id = (await run.row()).workflow_id
    assert (await api.patch(f"/workflows/{workflow_id}", {"isPublic": True})).is_success
    viewer = await colleague(api, sessions, settings, TenantRole.VIEWER)
    assert {answer.status_code for answer in (await calls(viewer, run)).values()} == {403}
    retry = await viewer.post(f"/executions/{run.execution_id}/retry")
    assert retry.status_code == 403
    assert (await run.row()).status is ExecutionStatus.RUNNING
    assert await run.journal.answers(run.execution_id) == {}


@pytest.mark.parametrize("scope", ENGINE)
async def test_a_key_does_what_its_scope_names_and_no_more(
    api: Api, run: Waiting, sessions: Sessions, scope: str
) -> None:
    answers = await calls(await by_key(api, sessions, scope), run)
    assert {name for name, answer in answers.items() if answer.is_success} == {scope}
    assert {answer.status_code for name, answer in answers.items() if name != scope} == {403}


async def test_a_key_for_reading_runs_nothing(api: Api, run: Waiting, sessions: Sessions) -> None:
    reader = await by_key(api, sessions, "executions:read", "workflows:read")
    assert {answer.status_code for answer in (await calls(reader, run)).values()} == {403}
    assert (await reader.get(f"/executions/{run.execution_id}")).status_code == 200


def test_nobody_is_not_called_none() -> None:
    projects_key = Principal(
        tenant_id=uuid4(), user_id=None, platform_role=PlatformRole.AGENT, tenant_role=None, via=Via.PROJECT_KEY
    )
    with pytest.raises(Forbidden):
        check_may_answer(projects_key, StepWait(path="ask", kind="approval", assignees=["None", ""]))


async def twice(api: Api, path: str, body: Any) -> tuple[httpx.Response, httpx.Response]:
    key = uuid4().hex
    first = await api.send("POST", path, body, **{"Idempotency-Key": key})
    return first, await api.send("POST", path, body, **{"Idempotency-Key": key})


class TestSentTwice:
    async def test_an_answer(self, api: Api, run: Waiting) -> None:
        first, again = await twice(api, f"/executions/{run.execution_id}/resume", APPROVE)
        assert (first.status_code, again.status_code) == (200, 200)
        assert first.json()["data"] == again.json()["data"]
        audited = (await api.get("/audit-logs", action="execution.resume")).json()["data"]
        assert len(audited) == 1
        other = await api.post(f"/executions/{run.execution_id}/resume", APPROVE)
        assert other.status_code == 409, "another request is another answer"

    async def test_an_event_reaches_nobody_who_began_to_wait_in_between(
        self, api: Api, run: Waiting, sessions: Sessions, orchestrator: FakeOrchestrator
    ) -> None:
        key, body = {"Idempotency-Key": uuid4().hex}, {"type": "order.paid", "data": {"id": 7}}
        first = await api.send("POST", "/events", body, **key)
        late = await a_waiting_run(api, sessions, orchestrator)
        await late.opens("event", "event", **EVENT)
        again = await api.send("POST", "/events", body, **key)
        assert first.json()["data"] == again.json()["data"] == {"delivered": 1}
        assert await late.journal.answers(late.execution_id) == {}
        assert (await api.send("POST", "/events", {"type": "other"}, **key)).status_code == 409

    async def test_a_retry(self, api: Api, run: Waiting) -> None:
        failed = RunOutcome(status=ExecutionStatus.FAILED, error={"code": "BOOM", "message": "as told"})
        await run.journal.run_finished(run.execution_id, failed)
        first, again = await twice(api, f"/executions/{run.execution_id}/retry", {})
        assert (first.status_code, again.status_code) == (201, 201)
        assert first.json()["data"]["executionId"] == again.json()["data"]["executionId"]

    async def test_a_start(self, api: Api, run: Waiting) -> None:
        first, again = await twice(api, f"/workflows/{(await run.row()).workflow_id}/execute", {})
        assert first.json()["data"]["executionId"] == again.json()["data"]["executionId"]


async def scheduled(run: Waiting, workflow: dict[str, Any]) -> Waiting:
    """What the schedule starts, come to its wait and suspended."""
    adoption = Adoption(
        workflow_id=UUID(workflow["id"]),
        environment=Environment.DEVELOPMENT,
        prefect_flow_run_id=uuid4(),
        run_count=1,
        inputs={},
        trigger=TriggerType.SCHEDULED,
    )
    row = await adopt(run.sessions, adoption)
    assert row.prefect_flow_run_id is not None
    mine = Waiting(
        sessions=run.sessions,
        orchestrator=run.orchestrator,
        tenant_id=run.tenant_id,
        execution_id=row.id,
        flow_run_id=row.prefect_flow_run_id,
    )
    await mine.journal.run_started(mine.execution_id, prefect_flow_run_id=mine.flow_run_id, run_count=1)
    await mine.opens("ask")
    await mine.suspends()
    return mine


async def test_scheduled_runs_wait_beside_each_other(api: Api, run: Waiting) -> None:
    """The next one begins while the one before still waits; each is answered, and ended, by itself."""
    workflow = await api.active_workflow(schedule={"intervalSeconds": 60})
    first, second = await scheduled(run, workflow), await scheduled(run, workflow)
    assert (await api.post(f"/executions/{first.execution_id}/resume", APPROVE)).status_code == 200
    assert run.orchestrator.resumed == [first.flow_run_id]
    assert (await api.post(f"/executions/{second.execution_id}/cancel")).status_code == 202
    assert (await first.row()).status is ExecutionStatus.PAUSED
    assert (await second.row()).status is ExecutionStatus.CANCELLED
    assert (await api.patch(f"/workflows/{workflow['id']}", {"schedule": None})).is_success
    assert (await first.row()).status is ExecutionStatus.PAUSED, "it goes on without its schedule"
