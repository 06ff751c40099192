"""`runtimeState` and `health` of agents, derived from their runs."""

from collections.abc import Iterator
from contextlib import contextmanager
from datetime import timedelta
from typing import Any
from uuid import UUID

import httpx
import pytest
from sqlalchemy import event
from sqlalchemy.engine import Engine

from flows.states import ExecutionStatus, StepStatus
from platform_api.access.scope import tenant_scope
from platform_api.db.engine import Sessions
from platform_api.db.models import Execution, StepRun
from platform_api.kit import clock
from tests.factories.api import Api, agent_body, owner

EMPTY = {"runs": 0, "successRate": None, "lastRunAt": None, "meanDurationMs": None, "consecutiveFailures": 0}
S = StepStatus


@pytest.fixture
async def api(client: httpx.AsyncClient) -> Api:
    return await owner(client)


async def ran(
    sessions: Sessions,
    api: Api,
    agent: dict[str, Any],
    *statuses: StepStatus,
    run: ExecutionStatus = ExecutionStatus.RUNNING,
) -> None:
    """Attempts of steps of the agent, one a second and the last one newest, each of 10 ms more than the one before."""
    start = clock.now() - timedelta(seconds=len(statuses))
    async with tenant_scope(sessions, api.tenant_id) as scope:
        execution = Execution(tenant_id=api.tenant_id, status=run)
        scope.session.add(execution)
        await scope.session.flush()
        scope.session.add_all(
            StepRun(
                tenant_id=api.tenant_id,
                execution_id=execution.id,
                agent_id=UUID(agent["id"]),
                step_key="a",
                path="a",
                attempt=number,
                status=status,
                started_at=start + timedelta(seconds=number),
                duration_ms=10 * number,
            )
            for number, status in enumerate(statuses, 1)
        )


async def shown(api: Api, agent: dict[str, Any]) -> tuple[str, dict[str, Any]]:
    data = (await api.get(f"/agents/{agent['id']}")).json()["data"]
    return data["runtimeState"], data["health"]


@contextmanager
def statements() -> Iterator[list[str]]:
    """What is sent to the database meanwhile; which sandboxes workers have is asked now and then, whoever calls."""
    seen: list[str] = []

    def note(*arguments: Any) -> None:
        if "FROM workers" not in " ".join(arguments[2].split()):
            seen.append(arguments[2])

    event.listen(Engine, "before_cursor_execute", note)
    yield seen
    event.remove(Engine, "before_cursor_execute", note)


async def test_without_runs_there_is_nothing_to_tell(api: Api) -> None:
    draft = await api.made("/agents", agent_body())
    assert (draft["runtimeState"], draft["health"]) == ("stopped", EMPTY)
    active = await api.active_agent()
    assert (active["runtimeState"], active["health"]) == ("idle", EMPTY)


async def test_figures_are_those_of_the_attempts_that_ended(api: Api, sessions: Sessions) -> None:
    agent = await api.active_agent()
    await ran(sessions, api, agent, S.COMPLETED, S.FAILED, S.COMPLETED, S.CANCELLED, S.TIMEOUT, S.FAILED)
    state, health = await shown(api, agent)
    assert state == "idle"
    assert (health["runs"], health["successRate"], health["consecutiveFailures"]) == (5, 0.4, 2)
    assert health["meanDurationMs"] == round((10 + 20 + 30 + 50 + 60) / 5)
    assert health["lastRunAt"] is not None


async def test_failures_alone_all_count(api: Api, sessions: Sessions) -> None:
    agent = await api.active_agent()
    await ran(sessions, api, agent, S.FAILED, S.TIMEOUT)
    assert (await shown(api, agent))[1]["consecutiveFailures"] == 2


async def test_only_the_newest_hundred_count(api: Api, sessions: Sessions) -> None:
    agent = await api.active_agent()
    await ran(sessions, api, agent, *[S.FAILED] * 30, *[S.COMPLETED] * 100)
    assert (await shown(api, agent))[1] | {"lastRunAt": None, "meanDurationMs": None} == {
        **EMPTY,
        "runs": 100,
        "successRate": 1.0,
    }


@pytest.mark.parametrize(
    ("steps", "run", "expected"),
    [
        ([S.RUNNING], ExecutionStatus.RUNNING, "running"),
        ([S.PAUSED], ExecutionStatus.PAUSED, "paused"),
        ([S.COMPLETED], ExecutionStatus.PAUSED, "paused"),
        ([S.PAUSED, S.RUNNING], ExecutionStatus.RUNNING, "running"),
        ([S.COMPLETED], ExecutionStatus.COMPLETED, "idle"),
    ],
)
async def test_states(
    api: Api, sessions: Sessions, steps: list[StepStatus], run: ExecutionStatus, expected: str
) -> None:
    agent = await api.active_agent()
    await ran(sessions, api, agent, *steps, run=run)
    assert (await shown(api, agent))[0] == expected


async def test_a_list_costs_as_many_statements_as_one(api: Api, sessions: Sessions) -> None:
    for _ in range(2):
        await ran(sessions, api, await api.active_agent(), S.COMPLETED)
    with statements() as of_two:
        await api.get("/agents")
    for _ in range(10):
        await ran(sessions, api, await api.active_agent(), S.FAILED)
    with statements() as of_twelve:
        rows = (await api.get("/agents")).json()["data"]
    assert len(of_two) == len(of_twelve)
    assert sorted(row["health"]["successRate"] for row in rows) == [0.0] * 10 + [1.0] * 2


async def test_each_tenant_sees_its_own_runs(api: Api, sessions: Sessions, client: httpx.AsyncClient) -> None:
    agent = await api.active_agent()
    await ran(sessions, await owner(client), agent, S.FAILED)
    assert await shown(api, agent) == ("idle", EMPTY)
