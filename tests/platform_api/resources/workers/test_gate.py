"""Runs that no worker could take are refused before they are admitted, with the reason."""

from datetime import timedelta
from typing import Any

import httpx
import pytest

from platform_api.access.scope import system_scope
from platform_api.db.engine import Sessions
from platform_api.kit import clock
from platform_api.resources.workers.repository import WorkerRows
from tests.factories.api import Api, owner, step
from tests.factories.workers import worker
from tests.fixtures.http import error_of

pytestmark = pytest.mark.case(40)

NONE = "CODE agents are refused: no sandbox works here (namespace: unshare: Operation not permitted)"
NODE = {"language": "node", "code": "module.exports = async (input) => input"}


@pytest.fixture
async def api(client: httpx.AsyncClient) -> Api:
    return await owner(client)


async def execute(api: Api, **workflow: Any) -> httpx.Response:
    made = await api.active_workflow(**workflow)
    return await api.post(f"/workflows/{made['id']}/execute")


def check_refused(answer: httpx.Response, why: str) -> None:
    error = error_of(answer, 503, "SERVICE_UNAVAILABLE")
    assert why in error["message"]
    assert [each["code"] for each in error["details"]] == ["SANDBOX_UNAVAILABLE"]


async def test_a_run_that_the_only_worker_cannot_take(api: Api, sessions: Sessions) -> None:
    async with worker(sessions, None, refusal=NONE):
        check_refused(await execute(api), NONE)
    assert (await api.get("/executions")).json()["meta"]["pagination"]["totalItems"] == 0
    assert "workflow.execute" not in (await api.get("/audit-logs")).text


async def test_one_worker_that_can_is_enough(api: Api, sessions: Sessions) -> None:
    async with worker(sessions, None, refusal=NONE), worker(sessions, "docker"):
        assert (await execute(api)).status_code == 201


async def test_without_any_worker_a_run_waits_for_one(api: Api, sessions: Sessions) -> None:
    assert (await execute(api)).status_code == 201
    async with worker(sessions, None, refusal=NONE, silent=True):
        assert (await execute(api)).status_code == 201


async def test_a_silent_worker_can_take_nothing(api: Api, sessions: Sessions) -> None:
    async with worker(sessions, silent=True), worker(sessions, None, refusal=NONE):
        check_refused(await execute(api), NONE)


async def test_the_language_counts(api: Api, sessions: Sessions) -> None:
    agent = await api.active_agent(config=NODE)
    async with worker(sessions, "docker", languages=frozenset({"python"})):
        assert (await execute(api)).status_code == 201
        check_refused(await execute(api, steps=[step("load", agent)]), "docker does not run node")


async def test_what_is_nested_counts_and_what_has_no_code_does_not(api: Api, sessions: Sessions) -> None:
    inner = await api.active_workflow()
    outer = await api.active_agent(type="WORKFLOW", config={"workflowId": inner["id"]})
    rows = await api.active_agent(type="DATA", config={"source": {"rows": [{"a": 1}]}, "operations": []})
    async with worker(sessions, None, refusal=NONE):
        check_refused(await execute(api, steps=[step("inner", outer)]), NONE)
        assert (await execute(api, steps=[step("rows", rows)])).status_code == 201


async def test_what_is_for_later_may_find_another_worker(api: Api, sessions: Sessions) -> None:
    workflow = await api.active_workflow()
    later = (clock.now() + timedelta(hours=1)).isoformat()
    async with worker(sessions, None, refusal=NONE):
        answer = await api.post(f"/workflows/{workflow['id']}/execute", {"runAt": later})
    assert answer.status_code == 201, answer.text


async def test_retries_and_tests_of_agents_are_refused_as_well(api: Api, sessions: Sessions) -> None:
    agent = await api.active_agent()
    workflow = await api.active_workflow(steps=[step("load", agent)])
    execution = (await api.post(f"/workflows/{workflow['id']}/execute")).json()["data"]["executionId"]
    await api.post(f"/executions/{execution}/cancel")
    async with worker(sessions, None, refusal=NONE):
        check_refused(await api.post(f"/executions/{execution}/retry"), NONE)
        check_refused(await api.post(f"/agents/{agent['id']}/test"), NONE)
        (refused,) = (await api.post(f"/executions/retry?workflowId={workflow['id']}")).json()["data"]["refused"]
    assert refused["code"] == "SERVICE_UNAVAILABLE"


async def test_health_counts_sandboxes_and_gives_no_reasons(client: httpx.AsyncClient, sessions: Sessions) -> None:
    async with worker(sessions), worker(sessions), worker(sessions, None, refusal=NONE):
        answer = await client.get("/health")
    assert answer.json()["checks"]["workers"]["codeSandboxes"] == {"namespace": 2, "none": 1}
    assert "unshare" not in answer.text


async def test_a_worker_that_was_killed_long_ago_is_forgotten(sessions: Sessions) -> None:
    async with worker(sessions, silent=True) as gone, worker(sessions) as there:
        async with system_scope(sessions) as scope:
            raw = await scope.session.connection()
            await raw.exec_driver_sql("alter table workers disable trigger set_updated_at")
            await raw.exec_driver_sql(f"update workers set updated_at = now() - interval '2 days' where id = '{gone}'")
            await raw.exec_driver_sql("alter table workers enable trigger set_updated_at")
            await WorkerRows(scope.session).drop_dead()
            left = (await raw.exec_driver_sql("select id from workers")).scalars().all()
        assert there in left
        assert gone not in left
