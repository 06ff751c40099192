"""Whose turn it is: tenants after each other, priorities inside a tenant, and nothing is lost on the way."""

import asyncio
from collections.abc import AsyncIterator
from datetime import timedelta
from typing import Any
from uuid import UUID

import httpx
import pytest
from psycopg import AsyncConnection
from sqlalchemy import delete, text, update
from sqlmodel import col

from flows.errors import PrefectUnavailable
from flows.orchestrator import Submission
from flows.runtime.ports import RunOutcome
from flows.states import ExecutionStatus
from platform_api.access.scope import system_scope
from platform_api.db.engine import Sessions
from platform_api.db.models import Deployment, Execution
from platform_api.kit import clock
from platform_api.kit.ids import new_id
from platform_api.resources.executions.admission import (
    DISPATCH_SECONDS,
    IDLE_SECONDS,
    PATIENCE,
    UNWANTED_AFTER,
    Dispatcher,
)
from platform_api.resources.executions.delivery import AdmissionLimits, Delivery
from platform_api.resources.executions.record_rows import LINE_CHANNEL
from platform_api.resources.workflows.registration import Registration
from tests.factories.api import Api, owner
from tests.factories.waits import a_waiting_run
from tests.fakes.orchestrator import FakeOrchestrator

LIMITS = AdmissionLimits(ahead=3, running=6, per_minute=100)
SOON = PATIENCE + timedelta(seconds=1)


@pytest.fixture
async def api(client: httpx.AsyncClient) -> Api:
    return await owner(client)


@pytest.fixture(autouse=True)
async def nobody_else(sessions: Sessions) -> None:
    """The database is shared with other tests, whose rows would be in the line too."""
    async with system_scope(sessions) as scope:
        await scope.session.execute(delete(Execution).where(col(Execution.status) == ExecutionStatus.PENDING))


async def queued(api: Api, orchestrator: FakeOrchestrator, count: int, **body: Any) -> list[UUID]:
    """Executions that were accepted while Prefect was away, oldest first."""
    workflow = await api.active_workflow()
    orchestrator.available = False
    path = f"/workflows/{workflow['id']}/execute"
    found = [UUID((await api.made(path, body))["executionId"]) for _ in range(count)]
    orchestrator.available = True
    return found


def submitted(orchestrator: FakeOrchestrator) -> list[UUID]:
    return [each.execution_id for each in orchestrator.submissions]


async def row(sessions: Sessions, execution_id: UUID) -> Execution:
    async with system_scope(sessions) as scope:
        return await scope.session.get_one(Execution, execution_id)


async def changed(sessions: Sessions, ids: list[UUID], **values: Any) -> None:
    async with system_scope(sessions) as scope:
        await scope.session.execute(update(Execution).where(col(Execution.id).in_(ids)).values(**values))


def dispatcher(sessions: Sessions, orchestrator: FakeOrchestrator, limits: AdmissionLimits = LIMITS) -> Dispatcher:
    return Dispatcher(sessions, orchestrator, limits)


async def round_of(rounds: Dispatcher, *, after: timedelta = SOON) -> int:
    with clock.freeze(clock.now() + after):
        return await rounds.dispatch()


async def test_tenants_take_turns_whoever_came_first(
    api: Api, client: httpx.AsyncClient, orchestrator: FakeOrchestrator, sessions: Sessions
) -> None:
    greedy = await queued(api, orchestrator, 8)
    modest = await queued(await owner(client), orchestrator, 2)
    assert await round_of(dispatcher(sessions, orchestrator)) == 5
    assert submitted(orchestrator) == [greedy[0], modest[0], greedy[1], modest[1], greedy[2]]


async def test_what_is_begun_makes_room_for_the_next(
    api: Api, orchestrator: FakeOrchestrator, sessions: Sessions
) -> None:
    ids = await queued(api, orchestrator, 9)
    rounds = dispatcher(sessions, orchestrator)
    assert [await round_of(rounds), await round_of(rounds)] == [3, 0]
    await changed(sessions, ids[:2], status=ExecutionStatus.RUNNING)
    assert await round_of(rounds) == 2
    await changed(sessions, ids[:5], status=ExecutionStatus.RUNNING)
    assert await round_of(rounds) == 1, "six may run at once"
    await changed(sessions, ids[:6], status=ExecutionStatus.COMPLETED)
    assert await round_of(rounds) == 3
    assert submitted(orchestrator) == ids


async def test_a_tenant_starts_so_many_a_minute(api: Api, orchestrator: FakeOrchestrator, sessions: Sessions) -> None:
    await queued(api, orchestrator, 4)
    rounds = dispatcher(sessions, orchestrator, AdmissionLimits(ahead=9, running=9, per_minute=2))
    assert [await round_of(rounds), await round_of(rounds)] == [2, 0]
    assert await round_of(rounds, after=timedelta(seconds=70)) == 2


async def test_priority_goes_first_and_starves_nobody(
    api: Api, orchestrator: FakeOrchestrator, sessions: Sessions
) -> None:
    (low,) = await queued(api, orchestrator, 1, priority="low")
    (default,) = await queued(api, orchestrator, 1)
    high = await queued(api, orchestrator, 2, priority="high")
    await round_of(dispatcher(sessions, orchestrator))
    assert submitted(orchestrator) == [*high, default]
    orchestrator.submissions.clear()
    await changed(sessions, [*high, default], status=ExecutionStatus.COMPLETED)
    late = await queued(api, orchestrator, 3, priority="high")
    await changed(sessions, [low], queued_at=clock.now() - timedelta(minutes=6))
    await round_of(dispatcher(sessions, orchestrator))
    assert submitted(orchestrator) == [low, *late[:2]]


async def test_what_is_for_later_waits_for_its_time(
    api: Api, orchestrator: FakeOrchestrator, sessions: Sessions
) -> None:
    due = clock.now() + timedelta(hours=1)
    (later,) = await queued(api, orchestrator, 1, runAt=due.isoformat())
    rounds = dispatcher(sessions, orchestrator)
    assert await round_of(rounds) == 0
    with clock.freeze(due + timedelta(seconds=1)):
        assert await rounds.dispatch() == 1
    assert submitted(orchestrator) == [later]


async def test_a_deployment_runs_no_more_at_once_than_it_says(
    api: Api, orchestrator: FakeOrchestrator, sessions: Sessions
) -> None:
    ids = await queued(api, orchestrator, 3)
    deployment = Deployment(
        id=new_id(),
        tenant_id=api.tenant_id,
        user_id=api.user_id,
        workflow_id=(await row(sessions, ids[0])).workflow_id,
        name="one at a time",
        concurrency_limit=1,
    )
    async with system_scope(sessions) as scope:
        scope.session.add(deployment)
    await changed(sessions, ids[:2], deployment_id=deployment.id)
    rounds = dispatcher(sessions, orchestrator)
    assert await round_of(rounds) == 2
    assert submitted(orchestrator) == [ids[0], ids[2]]
    await changed(sessions, ids[:1], status=ExecutionStatus.COMPLETED)
    assert await round_of(rounds) == 1


async def test_the_api_submits_at_once_while_there_is_room(api: Api, orchestrator: FakeOrchestrator) -> None:
    workflow = await api.active_workflow()
    started = await api.made(f"/workflows/{workflow['id']}/execute", {})
    assert submitted(orchestrator) == [UUID(started["executionId"])]


@pytest.mark.parametrize("limit", ["ahead", "running", "per_minute"])
async def test_the_api_leaves_what_has_to_wait(
    limit: str, api: Api, orchestrator: FakeOrchestrator, sessions: Sessions
) -> None:
    ids = await queued(api, orchestrator, 3)
    limits = AdmissionLimits(**{"ahead": 9, "running": 9, "per_minute": 9, limit: 2})
    await changed(sessions, ids, queued_at=clock.now() + timedelta(hours=1))
    delivery = Delivery(sessions=sessions, orchestrator=orchestrator, tenant_id=api.tenant_id, limits=limits)
    for each in ids:
        await changed(sessions, [each], queued_at=clock.now())
        await delivery.attempt(each)
    assert submitted(orchestrator) == ids[:2]


async def test_nobody_jumps_the_line(api: Api, orchestrator: FakeOrchestrator, sessions: Sessions) -> None:
    await queued(api, orchestrator, 1)
    workflow = await api.active_workflow()
    await api.made(f"/workflows/{workflow['id']}/execute", {})
    assert submitted(orchestrator) == []
    assert await round_of(dispatcher(sessions, orchestrator)) == 2


async def test_a_submission_under_way_is_left_alone(
    api: Api, orchestrator: FakeOrchestrator, sessions: Sessions
) -> None:
    await queued(api, orchestrator, 1)
    assert await dispatcher(sessions, orchestrator).dispatch() == 0


@pytest.mark.case(34)
async def test_prefect_that_is_still_away_loses_nothing(
    api: Api, orchestrator: FakeOrchestrator, sessions: Sessions
) -> None:
    ids = await queued(api, orchestrator, 2)
    rounds = dispatcher(sessions, orchestrator)
    orchestrator.available = False
    assert await round_of(rounds) == 0
    orchestrator.available = True
    assert await round_of(rounds) == 2
    assert submitted(orchestrator) == ids


@pytest.mark.case(33)
async def test_a_dispatcher_that_dies_after_the_submission_submits_again_under_the_same_key(
    api: Api, orchestrator: FakeOrchestrator, sessions: Sessions, monkeypatch: pytest.MonkeyPatch
) -> None:
    (execution_id,) = await queued(api, orchestrator, 1)
    submit = orchestrator.submit

    async def submit_and_die(submission: Submission) -> UUID:
        await submit(submission)
        raise PrefectUnavailable("the answer was lost")

    monkeypatch.setattr(orchestrator, "submit", submit_and_die)
    assert await round_of(dispatcher(sessions, orchestrator)) == 0
    assert (await row(sessions, execution_id)).submitted_at is None
    monkeypatch.undo()
    assert await round_of(dispatcher(sessions, orchestrator)) == 1
    assert submitted(orchestrator) == [execution_id, execution_id], "Prefect runs what has the same key once"
    assert (await row(sessions, execution_id)).prefect_flow_run_id is not None


async def test_what_prefect_refuses_for_good_fails_and_blocks_nobody(
    api: Api, orchestrator: FakeOrchestrator, sessions: Sessions
) -> None:
    refused, behind = await queued(api, orchestrator, 2)
    orchestrator.refused.add(refused)
    await round_of(dispatcher(sessions, orchestrator), after=UNWANTED_AFTER + timedelta(seconds=1))
    found = await row(sessions, refused)
    assert (found.status, found.error and found.error["code"]) == ("FAILED", "NOT_SUBMITTED")
    assert submitted(orchestrator) == [behind]


async def test_two_dispatchers_submit_once(api: Api, orchestrator: FakeOrchestrator, sessions: Sessions) -> None:
    await queued(api, orchestrator, 2)
    rounds = [dispatcher(sessions, orchestrator) for _ in range(2)]
    counts = await asyncio.gather(*(round_of(each) for each in rounds))
    assert sum(counts) + sum([await round_of(each) for each in rounds]) == 2
    assert len(submitted(orchestrator)) == 2


async def test_a_thousand_runs_of_one_tenant_keep_nobody_waiting(
    api: Api, client: httpx.AsyncClient, orchestrator: FakeOrchestrator, sessions: Sessions
) -> None:
    (first,) = await queued(api, orchestrator, 1)
    async with system_scope(sessions) as scope:
        await scope.session.execute(_THOUSANDFOLD, {"id": first})
    others = [await owner(client) for _ in range(3)]
    rounds = dispatcher(sessions, orchestrator, AdmissionLimits(ahead=40, running=100, per_minute=600))
    for number, other in enumerate(others):
        (mine,) = await queued(other, orchestrator, 1)
        orchestrator.submissions.clear()
        await round_of(rounds)
        assert mine in submitted(orchestrator)[:2], f"in the very next round, number {number}"
        await changed(sessions, submitted(orchestrator), status=ExecutionStatus.COMPLETED)
    assert len(submitted(orchestrator)) == 41, "and the thousand go on beside it"


class TestPace:
    """A line that is empty is looked at seldom; whoever comes into it, or makes room, tells of it."""

    async def test_of_an_empty_line_and_of_one_in_which_somebody_stands(
        self, api: Api, orchestrator: FakeOrchestrator, sessions: Sessions
    ) -> None:
        rounds = dispatcher(sessions, orchestrator)
        await rounds.dispatch()
        assert rounds.pause_seconds == IDLE_SECONDS
        await queued(api, orchestrator, 1)
        await rounds.dispatch()
        assert rounds.pause_seconds == DISPATCH_SECONDS, "it is too young to be taken, and soon will not be"

    async def test_what_is_left_to_wait_is_told(
        self, api: Api, orchestrator: FakeOrchestrator, sessions: Sessions, line: AsyncConnection
    ) -> None:
        (waiting,) = await queued(api, orchestrator, 1)
        assert await heard(line), "Prefect was away"
        full = AdmissionLimits(ahead=0, running=9, per_minute=9)
        delivery = Delivery(sessions=sessions, orchestrator=orchestrator, tenant_id=api.tenant_id, limits=full)
        await delivery.attempt(waiting)
        assert await heard(line), "there was no room"

    async def test_the_end_of_a_run_is_told_while_others_of_its_tenant_wait(
        self, api: Api, orchestrator: FakeOrchestrator, sessions: Sessions, line: AsyncConnection
    ) -> None:
        one, two = [await a_waiting_run(api, sessions, orchestrator) for _ in range(2)]
        await one.journal.run_finished(one.execution_id, RunOutcome(status=ExecutionStatus.COMPLETED))
        assert not await heard(line, within=0.5), "nobody waits"
        await queued(api, orchestrator, 1)
        assert await heard(line)
        await two.journal.run_finished(two.execution_id, RunOutcome(status=ExecutionStatus.COMPLETED))
        assert await heard(line)


@pytest.fixture
async def line(database_url: str) -> AsyncIterator[AsyncConnection]:
    async with await AsyncConnection.connect(database_url, autocommit=True) as connection:
        await connection.execute(f"listen {LINE_CHANNEL}")
        yield connection


async def heard(line: AsyncConnection, within: float = 10.0) -> bool:
    """Whether there is news; all there is by now counts once."""
    async for _ in line.notifies(timeout=within, stop_after=1):
        return True
    return False


_THOUSANDFOLD = text("""
    insert into executions (id, tenant_id, workflow_id, workflow_version, user_id, plan, inputs, steps_total, last_seq)
    select gen_random_uuid(), tenant_id, workflow_id, workflow_version, user_id, plan, inputs, steps_total, last_seq
    from executions, generate_series(1, 999) where id = :id
""")


async def test_a_deployment_that_prefect_has_is_not_looked_up_again(
    api: Api, orchestrator: FakeOrchestrator, monkeypatch: pytest.MonkeyPatch
) -> None:
    workflow = await api.active_workflow()
    ((deployment_id, _),) = orchestrator.deployments.items()
    monkeypatch.setattr(Registration, "ensure", None)
    await api.made(f"/workflows/{workflow['id']}/execute", {})
    assert [each.deployment_id for each in orchestrator.submissions] == [deployment_id]
