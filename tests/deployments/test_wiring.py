"""How a process finds the execution behind a flow run that Prefect gives it."""

from uuid import UUID, uuid4

import httpx
import pytest
from prefect.client.schemas.objects import FlowRun
from sqlalchemy import func, select
from sqlmodel import col

from agents.code.selection import SandboxChoice
from deployments.wiring import AlreadyOver, AlreadyRunning, Wiring, wired
from flows.runtime.ports import RunOutcome
from flows.states import ExecutionStatus
from platform_api.access.scope import system_scope
from platform_api.db.engine import Sessions
from platform_api.db.models import Execution
from platform_api.settings import Settings
from tests.factories.api import Api, owner
from tests.fakes.orchestrator import FakeOrchestrator

pytestmark = pytest.mark.case(34, 36)


@pytest.fixture
async def api(client: httpx.AsyncClient) -> Api:
    return await owner(client)


async def a_flow_run(api: Api) -> tuple[FlowRun, UUID, UUID]:
    """A flow run that was submitted as an execution; with its execution and its workflow."""
    workflow = await api.active_workflow()
    execution_id = UUID((await api.made(f"/workflows/{workflow['id']}/execute", {}))["executionId"])
    flow_run = FlowRun(id=uuid4(), flow_id=uuid4(), idempotency_key=str(execution_id))
    return flow_run, execution_id, UUID(workflow["id"])


async def executions_of(workflow_id: UUID, sessions: Sessions) -> int:
    async with system_scope(sessions) as scope:
        mine = select(func.count()).select_from(Execution).where(col(Execution.workflow_id) == workflow_id)
        return (await scope.session.execute(mine)).scalar_one()


async def ends(api: Api, wiring: Wiring, flow_run: FlowRun, execution_id: UUID) -> None:
    journal = wiring.journal(api.tenant_id)
    await journal.run_started(execution_id, prefect_flow_run_id=flow_run.id, run_count=1)
    await journal.run_finished(execution_id, RunOutcome(status=ExecutionStatus.COMPLETED))


async def test_a_flow_run_of_ours_is_not_adopted(api: Api, wiring: Wiring, sessions: Sessions) -> None:
    """Prefect may start it before the answer to its submission has come, or when that was lost."""
    flow_run, execution_id, workflow_id = await a_flow_run(api)
    run, _ = await wiring.open_run(flow_run, workflow_id, run_count=1)
    assert run.execution_id == execution_id
    assert await executions_of(workflow_id, sessions) == 1


async def test_a_run_calls_out_as_its_tenant(api: Api, wiring: Wiring) -> None:
    flow_run, _, workflow_id = await a_flow_run(api)
    _, ports = await wiring.open_run(flow_run, workflow_id, run_count=1)
    assert ports.egress.tenant == str(api.tenant_id)


async def test_who_gets_a_run_second_leaves_it(api: Api, wiring: Wiring) -> None:
    flow_run, execution_id, workflow_id = await a_flow_run(api)
    await wiring.journal(api.tenant_id).run_started(execution_id, prefect_flow_run_id=flow_run.id, run_count=1)
    with pytest.raises(AlreadyRunning):
        await wiring.open_run(flow_run, workflow_id, run_count=2)


@pytest.mark.parametrize("run_count", [1, 2])
async def test_what_is_over_is_not_begun_anew_unless_somebody_wants_it(
    api: Api, wiring: Wiring, sessions: Sessions, run_count: int
) -> None:
    flow_run, execution_id, workflow_id = await a_flow_run(api)
    await ends(api, wiring, flow_run, execution_id)
    with pytest.raises(AlreadyOver):
        await wiring.open_run(flow_run, workflow_id, run_count=run_count)
    assert await executions_of(workflow_id, sessions) == 1


async def test_what_somebody_wants_again_in_prefect_is_a_retry(
    api: Api, wiring: Wiring, orchestrator: FakeOrchestrator
) -> None:
    flow_run, execution_id, workflow_id = await a_flow_run(api)
    await ends(api, wiring, flow_run, execution_id)
    orchestrator.wanted_anew.add(flow_run.id)
    run, _ = await wiring.open_run(flow_run, workflow_id, run_count=2)
    shown = (await api.get(f"/executions/{run.execution_id}")).json()["data"]
    assert shown["retryOf"] == str(execution_id)


@pytest.mark.case(40)
@pytest.mark.parametrize(("choice", "told"), [("auto", 0), ("unsafe-local", 1)])
async def test_a_run_whose_code_has_no_sandbox_is_on_record(
    api: Api, settings: Settings, sessions: Sessions, orchestrator: FakeOrchestrator, choice: str, told: int
) -> None:
    runs = settings.runs.model_copy(update={"code_sandbox": SandboxChoice(choice)})
    async with wired(settings.model_copy(update={"runs": runs}), application_name="tests") as made:
        flow_run, execution_id, workflow_id = await a_flow_run(api)
        await made.open_run(flow_run, workflow_id, run_count=1)
    entries = (await api.get("/audit-logs", resourceId=str(execution_id))).json()["data"]
    found = [each for each in entries if each["action"] == "execution.unsafe_sandbox"]
    assert [each["after"] for each in found] == [{"codeSandbox": "unsafe-local"}] * told
