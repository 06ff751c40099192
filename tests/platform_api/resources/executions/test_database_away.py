"""A database that is away, full or crowded when something has to be recorded: it is recorded later, and once."""

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import Any
from uuid import UUID, uuid4

import psycopg
import pytest
from sqlalchemy import func, select
from sqlmodel import col

from flows.runtime.ports import LogLine, RunOutcome, StepAttempt, StepOutcome
from flows.states import ExecutionStatus, StepStatus
from platform_api.access.scope import DirectScope, direct_scope, tenant_scope
from platform_api.db.engine import Sessions, create_engine, session_maker
from platform_api.db.models import Execution, StepRun
from platform_api.resources.executions import lanes, persistence
from platform_api.resources.executions.journal import Journal, admit
from platform_api.settings import DatabaseSettings
from tests.factories.tenants import create_tenant

AT_ONCE = 40


async def admitted(sessions: Sessions, tenant_id: UUID) -> UUID:
    async with tenant_scope(sessions, tenant_id) as scope:
        plan = {"steps": [{"stepKey": "only"}]}
        return (await admit(scope, Execution(tenant_id=tenant_id, plan=plan, inputs={}))).id


async def whole_run(journal: Journal, execution_id: UUID) -> None:
    attempt = StepAttempt(step_key="only", path="only", attempt=1)
    await journal.run_started(execution_id, prefect_flow_run_id=uuid4(), run_count=1)
    await journal.step_started(execution_id, attempt, inputs={})
    await journal.logged(execution_id, [LogLine(level="INFO", message="at work")])
    await journal.step_finished(execution_id, attempt, StepOutcome(status=StepStatus.COMPLETED, output=1))
    await journal.run_finished(execution_id, RunOutcome(status=ExecutionStatus.COMPLETED, outputs=1))


WHOLE = (ExecutionStatus.COMPLETED, 1, 1, 6, 1)


async def record(sessions: Sessions, tenant_id: UUID, execution_id: UUID) -> tuple[Any, ...]:
    """Status, outputs, completed steps, last number and rows of steps."""
    async with tenant_scope(sessions, tenant_id) as scope:
        row = await scope.session.get_one(Execution, execution_id)
        steps = await scope.session.scalar(select(func.count()).where(col(StepRun.execution_id) == execution_id))
        return row.status, row.outputs, row.steps_completed, row.last_seq, steps


@pytest.mark.parametrize(
    "absence",
    [
        pytest.param(psycopg.errors.DiskFull, marks=pytest.mark.case(38)),
        pytest.param(psycopg.errors.AdminShutdown, marks=pytest.mark.case(33)),
        pytest.param(psycopg.errors.TooManyConnections, marks=pytest.mark.case(33)),
        pytest.param(psycopg.errors.CannotConnectNow, marks=pytest.mark.case(33)),
    ],
)
async def test_what_cannot_be_recorded_now_is_recorded_later(
    absence: Callable[[str], Exception], sessions: Sessions, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Each write is refused several times in a row, in the middle of its transaction."""
    monkeypatch.setattr(persistence, "FIRST_PAUSE_SECONDS", 0.001)
    calls = 0

    @asynccontextmanager
    async def absent(*arguments: Any) -> AsyncIterator[DirectScope]:
        nonlocal calls
        calls += 1
        async with direct_scope(*arguments) as scope:
            yield scope
            if calls % 4:
                raise absence("not now")

    monkeypatch.setattr(lanes, "direct_scope", absent)
    tenant = await create_tenant(sessions)
    execution_id = await admitted(sessions, tenant.id)
    await whole_run(Journal(sessions, tenant.id), execution_id)
    assert calls >= 4 * 4
    assert await record(sessions, tenant.id, execution_id) == WHOLE


@pytest.mark.case(33)
async def test_a_storm_of_runs_over_few_connections_is_recorded_whole(sessions: Sessions, database_url: str) -> None:
    settings = DatabaseSettings(url=database_url, pool_size=2, pool_overflow=0, connect_timeout_seconds=1)
    engine = create_engine(settings, application_name="tests")
    tenant = await create_tenant(sessions)
    ids = [await admitted(sessions, tenant.id) for _ in range(AT_ONCE)]
    try:
        crowded = session_maker(engine)
        await asyncio.gather(*(whole_run(Journal(crowded, tenant.id), each) for each in ids))
    finally:
        await engine.dispose()
    assert [await record(sessions, tenant.id, each) for each in ids] == [WHOLE] * AT_ONCE
