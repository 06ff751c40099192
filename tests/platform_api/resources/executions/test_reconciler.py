"""What a crash left behind: without a driver, held by Prefect for ever, ended here and not there."""

import asyncio
from datetime import timedelta
from typing import Any
from uuid import UUID

import httpx
import pytest
from psycopg import AsyncConnection

from flows.orchestrator import RunState
from flows.runtime.ports import RunOutcome
from flows.states import ExecutionStatus
from platform_api.access.scope import system_scope
from platform_api.db.engine import Sessions
from platform_api.db.models import Execution
from platform_api.kit import clock
from platform_api.kit.ids import new_id
from platform_api.resources.executions import claims as claims_module
from platform_api.resources.executions import reconciler as reconciler_module
from platform_api.resources.executions.claims import Claims
from platform_api.resources.executions.journal import Journal
from platform_api.resources.executions.reconciler import (
    HANDED_OVER_AFTER,
    LOST_AFTER,
    SETTLING,
    STUCK_AFTER,
    TAKEN_FOR,
    Reconciler,
)
from tests.factories.api import Api, owner
from tests.fakes.orchestrator import FakeOrchestrator

pytestmark = pytest.mark.case(32, 34)


@pytest.fixture
async def api(client: httpx.AsyncClient) -> Api:
    return await owner(client)


async def row(sessions: Sessions, execution_id: UUID) -> Execution:
    async with system_scope(sessions) as scope:
        return await scope.session.get_one(Execution, execution_id)


async def running(api: Api, orchestrator: FakeOrchestrator, sessions: Sessions) -> tuple[UUID, UUID]:
    """An execution that some process has begun, and its flow run."""
    workflow = await api.active_workflow()
    started = await api.made(f"/workflows/{workflow['id']}/execute", {})
    execution_id, flow_run_id = UUID(started["executionId"]), new_id()
    tenant_id = (await row(sessions, execution_id)).tenant_id
    await Journal(sessions, tenant_id).run_started(execution_id, prefect_flow_run_id=flow_run_id, run_count=1)
    return execution_id, flow_run_id


async def looked_twice(reconciler: Reconciler, *, apart: timedelta = LOST_AFTER) -> None:
    with clock.freeze(clock.now() + SETTLING):
        await reconciler.recover()
    with clock.freeze(clock.now() + SETTLING + apart):
        await reconciler.recover()


async def test_a_run_without_a_driver_is_handed_to_another(
    api: Api, orchestrator: FakeOrchestrator, sessions: Sessions
) -> None:
    execution_id, flow_run_id = await running(api, orchestrator, sessions)
    await looked_twice(Reconciler(sessions, orchestrator))
    found = await row(sessions, execution_id)
    assert (found.status, found.losses, found.error) == ("PAUSED", 1, None)
    assert orchestrator.put_back_runs.count(flow_run_id) == 1


async def test_a_driver_that_is_missed_for_a_moment_loses_nothing(
    api: Api, orchestrator: FakeOrchestrator, sessions: Sessions
) -> None:
    execution_id, flow_run_id = await running(api, orchestrator, sessions)
    await looked_twice(Reconciler(sessions, orchestrator), apart=LOST_AFTER / 2)
    assert (await row(sessions, execution_id)).status == "RUNNING"
    assert flow_run_id not in orchestrator.put_back_runs


async def test_a_database_that_has_just_started_is_given_time_for_the_claims_to_come_back(
    api: Api, orchestrator: FakeOrchestrator, sessions: Sessions, monkeypatch: pytest.MonkeyPatch
) -> None:
    execution_id, _ = await running(api, orchestrator, sessions)
    monkeypatch.setattr(reconciler_module, "SETTLING", timedelta(days=365))
    reconciler = Reconciler(sessions, orchestrator)
    await looked_twice(reconciler)
    assert (await row(sessions, execution_id)).status == "RUNNING"
    monkeypatch.undo()
    await looked_twice(reconciler)
    assert (await row(sessions, execution_id)).status == "PAUSED"


@pytest.mark.parametrize(
    ("state", "seconds", "put_back", "status"),
    [
        ("RUNNING", 0, 0, "PAUSED"),
        ("RUNNING", TAKEN_FOR.seconds + 1, 1, "PAUSED"),
        ("CRASHED", 0, 1, "PAUSED"),
        ("SCHEDULED", 3600, 0, "PAUSED"),
        ("CANCELLING", 0, 0, "CANCELLED"),
        (None, 0, 0, "FAILED"),
    ],
)
async def test_what_was_taken_back_without_a_word_to_prefect_is_handed_over_later(
    state: str | None,
    seconds: int,
    put_back: int,
    status: str,
    api: Api,
    orchestrator: FakeOrchestrator,
    sessions: Sessions,
) -> None:
    execution_id, flow_run_id = await running(api, orchestrator, sessions)
    reconciler = Reconciler(sessions, orchestrator)
    orchestrator.available = False
    await looked_twice(reconciler)
    orchestrator.available = True
    assert flow_run_id not in orchestrator.put_back_runs
    later = clock.now() + HANDED_OVER_AFTER + timedelta(seconds=1)
    if state:
        orchestrator.run_states[flow_run_id] = RunState(type=state, since=later - timedelta(seconds=seconds))
    with clock.freeze(later):
        await reconciler.recover()
    assert orchestrator.put_back_runs.count(flow_run_id) == put_back
    assert (await row(sessions, execution_id)).status == status


async def test_a_run_that_ended_without_a_word_to_prefect_ends_there_too(
    api: Api, orchestrator: FakeOrchestrator, sessions: Sessions
) -> None:
    execution_id, flow_run_id = await running(api, orchestrator, sessions)
    orchestrator.run_states[flow_run_id] = RunState(type="RUNNING", since=clock.now())
    journal = Journal(sessions, (await row(sessions, execution_id)).tenant_id)
    await journal.run_finished(execution_id, RunOutcome(status=ExecutionStatus.COMPLETED))
    await Reconciler(sessions, orchestrator).sweep()
    assert flow_run_id not in orchestrator.ends
    with clock.freeze(clock.now() + TAKEN_FOR + timedelta(seconds=1)):
        await Reconciler(sessions, orchestrator).sweep()
    assert orchestrator.ends[flow_run_id] == "COMPLETED"


async def test_a_run_whose_process_was_stopped_as_it_ended_is_not_crashed_in_prefect(
    api: Api, orchestrator: FakeOrchestrator, sessions: Sessions
) -> None:
    execution_id, flow_run_id = await running(api, orchestrator, sessions)
    journal = Journal(sessions, (await row(sessions, execution_id)).tenant_id)
    await journal.run_finished(execution_id, RunOutcome(status=ExecutionStatus.COMPLETED))
    orchestrator.run_states[flow_run_id] = RunState(type="CRASHED", since=clock.now() + timedelta(seconds=2))
    with clock.freeze(clock.now() + TAKEN_FOR + timedelta(seconds=1)):
        await Reconciler(sessions, orchestrator).sweep()
    assert orchestrator.ends[flow_run_id] == "COMPLETED"


async def test_a_run_that_prefect_runs_anew_is_not_ended_for_its_predecessor(
    api: Api, orchestrator: FakeOrchestrator, sessions: Sessions
) -> None:
    execution_id, flow_run_id = await running(api, orchestrator, sessions)
    journal = Journal(sessions, (await row(sessions, execution_id)).tenant_id)
    await journal.run_finished(execution_id, RunOutcome(status=ExecutionStatus.FAILED))
    orchestrator.run_states[flow_run_id] = RunState(type="PENDING", since=clock.now())
    with clock.freeze(clock.now() + TAKEN_FOR + timedelta(seconds=1)):
        await Reconciler(sessions, orchestrator).sweep()
    assert flow_run_id not in orchestrator.ends


async def test_a_run_with_a_driver_is_left_alone_until_the_driver_is_gone(
    api: Api, orchestrator: FakeOrchestrator, sessions: Sessions, database_url: str
) -> None:
    execution_id, _ = await running(api, orchestrator, sessions)
    claims, reconciler = Claims(database_url), Reconciler(sessions, orchestrator)
    async with claims.holding(execution_id):
        await looked_twice(reconciler)
        assert (await row(sessions, execution_id)).status == "RUNNING"
    await looked_twice(reconciler)
    assert (await row(sessions, execution_id)).status == "PAUSED"
    await claims.aclose()


async def test_a_claim_comes_back_when_its_connection_was_cut(
    api: Api, orchestrator: FakeOrchestrator, sessions: Sessions, database_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(claims_module, "LOOK_SECONDS", 0.02)
    execution_id, _ = await running(api, orchestrator, sessions)
    claims, reconciler = Claims(database_url), Reconciler(sessions, orchestrator)
    async with claims.holding(execution_id), await AsyncConnection.connect(database_url, autocommit=True) as other:
        assert await cut(other) == 1
        while not await held(other, execution_id):  # noqa: ASYNC110  # nothing tells when a lock is taken
            await asyncio.sleep(0.01)
        await looked_twice(reconciler)
        assert (await row(sessions, execution_id)).status == "RUNNING"
    await claims.aclose()


async def cut(connection: AsyncConnection[Any]) -> int:
    """Ends the connections of this database's claims, as a restarted server does."""
    name = "application_name = 'turbocat-claims' and datname = current_database()"
    ended = await connection.execute(f"select pg_terminate_backend(pid, 5000) from pg_stat_activity where {name}")
    return len(await ended.fetchall())


async def held(connection: AsyncConnection[Any], execution_id: UUID) -> bool:
    undriven = f"select {claims_module.UNDRIVEN} from executions where id = %s"
    found = await (await connection.execute(undriven, [execution_id])).fetchone()
    return found is not None and not found[0]


async def test_a_broken_round_trip_to_the_database_fails_no_run() -> None:
    claims = Claims("postgresql://nobody@127.0.0.1:1/nothing")
    driven = False
    async with claims.holding(new_id()):
        driven = True
    await claims.aclose()
    assert driven


async def submitted(api: Api, sessions: Sessions) -> tuple[UUID, UUID]:
    """An execution that Prefect has taken, and its flow run."""
    workflow = await api.active_workflow()
    started = await api.made(f"/workflows/{workflow['id']}/execute", {})
    execution_id = UUID(started["executionId"])
    flow_run_id = (await row(sessions, execution_id)).prefect_flow_run_id
    assert flow_run_id is not None
    return execution_id, flow_run_id


@pytest.mark.parametrize(
    ("state", "status", "code"),
    [
        ("CANCELLED", "CANCELLED", "CANCELLED"),
        ("FAILED", "FAILED", "NOT_STARTED"),
        (None, "FAILED", "RUN_DELETED"),
        ("SCHEDULED", "PENDING", None),
    ],
)
async def test_what_prefect_will_never_start_is_ended(
    state: str | None, status: str, code: str | None, api: Api, orchestrator: FakeOrchestrator, sessions: Sessions
) -> None:
    execution_id, flow_run_id = await submitted(api, sessions)
    if state:
        orchestrator.run_states[flow_run_id] = RunState(type=state, since=clock.now())
    with clock.freeze(clock.now() + STUCK_AFTER + timedelta(seconds=1)):
        await Reconciler(sessions, orchestrator).sweep()
    found = await row(sessions, execution_id)
    assert (found.status, found.error and found.error["code"]) == (status, code)


@pytest.mark.parametrize(("state", "seconds"), [("PENDING", 0), ("RUNNING", 0), ("CRASHED", 60)])
async def test_a_run_that_a_dead_worker_had_taken_is_put_back(
    state: str, seconds: int, api: Api, orchestrator: FakeOrchestrator, sessions: Sessions
) -> None:
    execution_id, flow_run_id = await submitted(api, sessions)
    since = clock.now() + timedelta(seconds=seconds)
    orchestrator.run_states[flow_run_id] = RunState(type=state, since=since)
    with clock.freeze(clock.now() + STUCK_AFTER + timedelta(seconds=1)):
        await Reconciler(sessions, orchestrator).sweep()
    assert orchestrator.put_back_runs.count(flow_run_id) == 1
    found = await row(sessions, execution_id)
    assert (found.status, found.losses) == ("PENDING", 1)
