"""Several workers do the same rounds at the same time, and Prefect's scheduler fires twice: all happens once."""

import asyncio
from datetime import timedelta
from uuid import UUID, uuid4

import httpx
import pytest
from sqlalchemy import func, select
from sqlmodel import col

from flows.orchestrator import RunState
from flows.states import Environment, ExecutionStatus, TriggerType
from platform_api.access.scope import system_scope
from platform_api.db.engine import Sessions
from platform_api.db.models import Execution
from platform_api.kit import clock
from platform_api.kit.ids import new_id
from platform_api.resources.executions.admission import PATIENCE, Dispatcher
from platform_api.resources.executions.adoption import Adoption, adopt
from platform_api.resources.executions.delivery import AdmissionLimits
from platform_api.resources.executions.journal import Journal
from platform_api.resources.executions.reconciler import LOST_AFTER, SETTLING, Reconciler
from platform_api.resources.executions.timekeeper import Timekeeper
from platform_api.settings import RunSettings
from tests.factories.api import Api, owner
from tests.factories.waits import a_waiting_run
from tests.fakes.orchestrator import FakeOrchestrator

WORKERS = 4


@pytest.fixture
def database_url(fresh_database_url: str) -> str:
    """Rounds look after all runs that there are."""
    return fresh_database_url


@pytest.fixture
def sessions(fresh_sessions: Sessions) -> Sessions:
    return fresh_sessions


@pytest.fixture
async def api(client: httpx.AsyncClient) -> Api:
    return await owner(client)


@pytest.mark.case(36)
async def test_a_scheduled_run_that_fires_twice_is_one_execution(api: Api, sessions: Sessions) -> None:
    workflow = await api.active_workflow()
    fired = Adoption(
        workflow_id=UUID(workflow["id"]),
        environment=Environment.DEVELOPMENT,
        prefect_flow_run_id=uuid4(),
        run_count=1,
        inputs={},
        trigger=TriggerType.SCHEDULED,
    )
    rows = await asyncio.gather(*(adopt(sessions, fired) for _ in range(WORKERS)))
    assert len({row.id for row in rows}) == 1
    async with system_scope(sessions) as scope:
        counted = select(func.count()).where(col(Execution.workflow_id) == fired.workflow_id)
        assert await scope.session.scalar(counted) == 1


@pytest.mark.case(36)
async def test_what_waits_in_the_line_is_submitted_by_one(
    api: Api, orchestrator: FakeOrchestrator, sessions: Sessions
) -> None:
    workflow = await api.active_workflow()
    orchestrator.available = False
    for _ in range(5):
        await api.made(f"/workflows/{workflow['id']}/execute", {})
    orchestrator.available = True
    limits = AdmissionLimits.of(RunSettings())
    dispatchers = [Dispatcher(sessions, orchestrator, limits) for _ in range(WORKERS)]
    with clock.freeze(clock.now() + PATIENCE):
        counts = await asyncio.gather(*(each.dispatch() for each in dispatchers))
    assert sum(counts) == 5
    assert len({each.execution_id for each in orchestrator.submissions}) == len(orchestrator.submissions) == 5


@pytest.mark.case(32)
async def test_a_lost_run_is_taken_back_by_one(api: Api, orchestrator: FakeOrchestrator, sessions: Sessions) -> None:
    workflow = await api.active_workflow()
    execution_id = UUID((await api.made(f"/workflows/{workflow['id']}/execute", {}))["executionId"])
    flow_run_id = new_id()
    orchestrator.run_states[flow_run_id] = RunState(type="SCHEDULED", since=clock.now())
    await Journal(sessions, api.tenant_id).run_started(execution_id, prefect_flow_run_id=flow_run_id, run_count=1)
    reconcilers = [Reconciler(sessions, orchestrator) for _ in range(WORKERS)]
    for later in (timedelta(0), LOST_AFTER):
        with clock.freeze(clock.now() + SETTLING + later):
            await asyncio.gather(*(each.recover() for each in reconcilers))
            for each in reconcilers:
                await each.recover()
    assert orchestrator.put_back_runs == [flow_run_id]
    async with system_scope(sessions) as scope:
        row = await scope.session.get_one(Execution, execution_id)
    assert (row.status, row.losses) == (ExecutionStatus.PAUSED, 1)


@pytest.mark.case(32)
async def test_a_due_wait_is_resumed_by_one(api: Api, orchestrator: FakeOrchestrator, sessions: Sessions) -> None:
    run = await a_waiting_run(api, sessions, orchestrator)
    await run.opens("pause", "duration", due_at=clock.now())
    await run.suspends()
    await asyncio.gather(*(Timekeeper(sessions, orchestrator).tick() for _ in range(WORKERS)))
    assert orchestrator.resumed == [run.flow_run_id]
