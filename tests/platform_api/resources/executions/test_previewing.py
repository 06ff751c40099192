"""`POST /executions/{id}/preview`: one run computes what many ask for. A worker is played."""

import asyncio
from typing import Any
from uuid import UUID, uuid4

import httpx
import pytest

from flows.plan import Plan
from flows.runtime.ports import RunOutcome
from flows.states import ExecutionStatus
from platform_api.access.principal import TenantRole
from platform_api.access.scope import tenant_scope
from platform_api.db.engine import Sessions
from platform_api.db.models import Execution
from platform_api.resources.executions import attending
from platform_api.resources.executions.journal import Journal
from platform_api.settings import Settings
from tests.factories.api import Api, by_key, colleague, owner
from tests.factories.previews import LAZY, a_fused_run, ended
from tests.fixtures.http import error_of

ROWS = {"schema": {"n": "Int64"}, "preview": [{"n": 1}, {"n": 2}]}


@pytest.fixture
async def api(client: httpx.AsyncClient) -> Api:
    return await owner(client)


@pytest.fixture
def settings(settings: Settings, monkeypatch: pytest.MonkeyPatch) -> Settings:
    """A preview that nobody computes is not waited for."""
    monkeypatch.setattr(attending, "GRACE_SECONDS", 0.0)
    return settings.model_copy(update={"runs": settings.runs.model_copy(update={"agent_test_seconds": 0.05})})


@pytest.fixture
async def run(api: Api, sessions: Sessions) -> str:
    """The id of an execution whose step `load` was fused into `total`."""
    made = await a_fused_run(api)
    await Journal(sessions, api.tenant_id).run_started(
        UUID(made["executionId"]), prefect_flow_run_id=uuid4(), run_count=1
    )
    await ended(sessions, api, made["executionId"], "load", made["loader"]["id"], LAZY)
    found: str = made["executionId"]
    return found


async def asked(api: Api, run: str, path: str = "load") -> httpx.Response:
    return await api.post(f"/executions/{run}/preview", {"path": path})


async def finish(sessions: Sessions, api: Api, execution_id: str, **outcome: Any) -> None:
    """What a worker writes at the end of a preview's run."""
    journal, run = Journal(sessions, api.tenant_id), UUID(execution_id)
    await journal.run_started(run, prefect_flow_run_id=uuid4(), run_count=1)
    await journal.run_finished(run, RunOutcome(**{"status": ExecutionStatus.COMPLETED, "error": None, **outcome}))


async def test_a_run_of_its_own_computes_it_once(api: Api, sessions: Sessions, run: str) -> None:
    first = await asked(api, run)
    assert first.status_code == 202, first.text
    waiting = first.json()["data"]
    assert (waiting["path"], waiting["status"], waiting["preview"]) == ("load", "PENDING", None)
    assert (await asked(api, run)).json()["data"] == waiting

    async with tenant_scope(sessions, api.tenant_id) as scope:
        execution = await scope.session.get_one(Execution, UUID(waiting["executionId"]))
    plan = Plan.model_validate(execution.plan)
    assert (execution.workflow_id, execution.tags, execution.steps_total) == (None, ["step-preview"], 2)
    assert [step.step_key for step in plan.steps] == ["load", "preview"]
    (copied,) = (await api.get(f"/executions/{execution.id}/steps")).json()["data"]
    assert (copied["path"], copied["output"]) == ("load", LAZY)
    assert copied["reusedFrom"] is not None

    await finish(sessions, api, waiting["executionId"], outputs=ROWS)
    for _ in range(2):
        answer = await asked(api, run)
        shown = answer.json()["data"]
        assert (answer.status_code, shown["executionId"]) == (200, waiting["executionId"])
        assert {"schema": shown["schema"], "preview": shown["preview"]} == ROWS


async def test_those_who_ask_at_once_ask_one_run(api: Api, run: str) -> None:
    answers = await asyncio.gather(*(asked(api, run) for _ in range(5)))
    assert len({answer.json()["data"]["executionId"] for answer in answers}) == 1


async def test_a_failure_says_why_and_the_next_asks_anew(api: Api, sessions: Sessions, run: str) -> None:
    tried = (await asked(api, run)).json()["data"]["executionId"]
    error = {"code": "SOURCE_CHANGED", "message": "the files have changed since the run read them"}
    await finish(sessions, api, tried, status=ExecutionStatus.FAILED, outputs=None, error=error)
    again = (await asked(api, run)).json()["data"]
    assert again["executionId"] != tried
    await finish(sessions, api, again["executionId"], status=ExecutionStatus.FAILED, outputs=None, error=error)
    third = (await asked(api, run)).json()["data"]
    assert third["executionId"] not in (tried, again["executionId"])


async def test_a_retry_that_took_the_step_over_shows_the_same(api: Api, sessions: Sessions, run: str) -> None:
    first = (await asked(api, run)).json()["data"]["executionId"]
    await finish(sessions, api, first, outputs=ROWS)
    journal = Journal(sessions, api.tenant_id)
    error = {"code": "DATA_ERROR", "message": "no"}
    await journal.run_finished(UUID(run), RunOutcome(status=ExecutionStatus.FAILED, outputs=None, error=error))
    retried = await api.made(f"/executions/{run}/retry", {})
    assert retried["reusedSteps"] == 1
    shown = (await asked(api, retried["executionId"])).json()["data"]
    assert (shown["executionId"], shown["preview"]) == (first, ROWS["preview"])


async def test_what_is_on_record_is_read_there(api: Api, sessions: Sessions, run: str) -> None:
    await ended(sessions, api, run, "total", None, {"schema": {"s": "Int64"}, "preview": [{"s": 3}]})
    answer = await asked(api, run, "total")
    shown = answer.json()["data"]
    assert (answer.status_code, shown["executionId"], shown["preview"]) == (200, None, [{"s": 3}])


async def test_what_has_no_table_is_refused(api: Api, sessions: Sessions, run: str) -> None:
    assert "No step" in error_of(await asked(api, run, "total"), 404, "NOT_FOUND")["message"]
    assert "no execution" in error_of(await asked(api, str(uuid4())), 404, "NOT_FOUND")["message"]
    await ended(sessions, api, run, "total", None, {"text": "no table"})
    assert "gave no table" in error_of(await asked(api, run, "total"), 409, "INVALID_STATE")["message"]


async def test_who_reads_the_run_sees_its_tables(api: Api, sessions: Sessions, settings: Settings, run: str) -> None:
    await asked(api, run)
    stranger = await owner(api.client)
    error_of(await asked(stranger, run), 404, "NOT_FOUND")
    member = await colleague(api, sessions, settings, TenantRole.EDITOR)
    error_of(await asked(member, run), 403, "FORBIDDEN")
    error_of(await asked(await by_key(api, sessions, "agents:read"), run), 403, "FORBIDDEN")
    reader = await by_key(api, sessions, "executions:read")
    assert (await asked(reader, run)).status_code == 202
