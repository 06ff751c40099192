"""A clock that is set back by an hour, or forward: runs that were accepted before go on at once, and each once.

What the tests do before the jump is done in the future, so that the jump ends at the time that the database knows.
"""

from datetime import timedelta
from uuid import UUID

import httpx
import pytest
from sqlalchemy import text

from flows.orchestrator import RunState
from flows.runtime.ports import RunOutcome, StepAttempt, StepOutcome
from flows.states import ExecutionStatus, StepStatus
from platform_api.access.scope import system_scope
from platform_api.db.engine import Sessions
from platform_api.db.models import Execution, StepRun
from platform_api.kit import clock
from platform_api.kit.ids import new_id
from platform_api.resources.executions.admission import Dispatcher
from platform_api.resources.executions.delivery import AdmissionLimits
from platform_api.resources.executions.journal import Journal
from platform_api.resources.executions.reconciler import LOST_AFTER, SETTLING, Reconciler
from platform_api.resources.executions.timekeeper import Timekeeper
from platform_api.settings import RunSettings
from tests.factories.api import Api, owner
from tests.factories.waits import a_waiting_run
from tests.fakes.orchestrator import FakeOrchestrator

pytestmark = pytest.mark.case(39)

HOUR = timedelta(hours=1)


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


async def row(sessions: Sessions, execution_id: UUID) -> Execution:
    async with system_scope(sessions) as scope:
        return await scope.session.get_one(Execution, execution_id)


async def an_hour_later(sessions: Sessions, *columns: str) -> None:
    """As if the database's clock, too, had been ahead when the rows were written."""
    changes = ", ".join(f"{each} = {each} + interval '1 hour'" for each in columns)
    async with system_scope(sessions) as scope:
        await scope.session.execute(text("set local session_replication_role = replica"))
        await scope.session.execute(text(f"update executions set {changes}"))  # names of columns


async def started(api: Api) -> UUID:
    workflow = await api.active_workflow()
    return UUID((await api.made(f"/workflows/{workflow['id']}/execute", {}))["executionId"])


async def test_what_was_accepted_before_is_submitted_once(
    api: Api, orchestrator: FakeOrchestrator, sessions: Sessions
) -> None:
    orchestrator.available = False
    execution_id = await started(api)
    orchestrator.available = True
    await an_hour_later(sessions, "created_at", "queued_at")
    dispatcher = Dispatcher(sessions, orchestrator, AdmissionLimits.of(RunSettings()))
    for _ in range(3):
        await dispatcher.dispatch()
    (submission,) = orchestrator.submissions
    assert (submission.execution_id, submission.scheduled_at) == (execution_id, None)


async def test_starts_of_before_do_not_use_up_the_minute(
    api: Api, orchestrator: FakeOrchestrator, sessions: Sessions
) -> None:
    await started(api)
    await an_hour_later(sessions, "submitted_at")
    orchestrator.available = False
    execution_id = await started(api)
    orchestrator.available = True
    limits = AdmissionLimits.of(RunSettings(tenant_starts_per_minute=1))
    with clock.freeze(clock.now() + timedelta(seconds=5)):
        assert await Dispatcher(sessions, orchestrator, limits).dispatch() == 1
    assert orchestrator.submissions[-1].execution_id == execution_id


@pytest.mark.parametrize("jump", [-HOUR, HOUR])
async def test_a_lost_run_is_taken_back_within_moments(
    jump: timedelta, api: Api, orchestrator: FakeOrchestrator, sessions: Sessions
) -> None:
    execution_id = await started(api)
    journal = Journal(sessions, api.tenant_id)
    await journal.run_started(execution_id, prefect_flow_run_id=new_id(), run_count=1)
    reconciler, now = Reconciler(sessions, orchestrator), clock.now() + SETTLING
    for instant in (now - jump, now, now + LOST_AFTER):
        with clock.freeze(max(instant, now)):
            await reconciler.recover()
    found = await row(sessions, execution_id)
    assert (found.status, found.losses) == (ExecutionStatus.PAUSED, 1)


async def test_rounds_go_on_after_the_jump(api: Api, orchestrator: FakeOrchestrator, sessions: Sessions) -> None:
    """A run that has ended without a word to Prefect, before; what the reconciler did last lies in the future."""
    execution_id, flow_run_id = await started(api), new_id()
    orchestrator.run_states[flow_run_id] = RunState(type="RUNNING", since=clock.now())
    journal = Journal(sessions, api.tenant_id)
    await journal.run_started(execution_id, prefect_flow_run_id=flow_run_id, run_count=1)
    reconciler = Reconciler(sessions, orchestrator)
    with clock.freeze(clock.now() + HOUR):
        await journal.run_finished(execution_id, RunOutcome(status=ExecutionStatus.COMPLETED))
        await reconciler.sweep()
    assert orchestrator.ends == {}
    await reconciler.sweep()
    assert orchestrator.ends == {flow_run_id: ExecutionStatus.COMPLETED}


async def test_a_due_wait_is_asked_for_again(api: Api, orchestrator: FakeOrchestrator, sessions: Sessions) -> None:
    run = await a_waiting_run(api, sessions, orchestrator)
    await run.opens("pause", "duration", due_at=clock.now())
    await run.suspends()
    timekeeper = Timekeeper(sessions, orchestrator)
    with clock.freeze(clock.now() + HOUR):
        await timekeeper.tick()
    await timekeeper.tick()
    assert orchestrator.resumed == [run.flow_run_id] * 2


async def test_no_duration_is_negative(api: Api, orchestrator: FakeOrchestrator, sessions: Sessions) -> None:
    execution_id = await started(api)
    journal, attempt = Journal(sessions, api.tenant_id), StepAttempt(step_key="load", path="load", attempt=1)
    with clock.freeze(clock.now() + HOUR):
        await journal.run_started(execution_id, prefect_flow_run_id=new_id(), run_count=1)
        await journal.step_started(execution_id, attempt, inputs={})
    await journal.run_suspended(execution_id)
    assert (await row(sessions, execution_id)).active_ms == 0
    await journal.run_started(execution_id, prefect_flow_run_id=new_id(), run_count=1)
    await journal.step_started(execution_id, attempt, inputs={})
    await journal.step_finished(execution_id, attempt, StepOutcome(status=StepStatus.COMPLETED))
    await journal.run_finished(execution_id, RunOutcome(status=ExecutionStatus.COMPLETED))
    assert (await row(sessions, execution_id)).duration_ms == 0
    async with system_scope(sessions) as scope:
        assert (await scope.session.get_one(StepRun, attempt.step_run_id)).duration_ms == 0
