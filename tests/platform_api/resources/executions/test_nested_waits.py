"""What a nested run waits for is shown, and answered, at the run around it too."""

from dataclasses import replace
from typing import Any

import httpx
import pytest

from flows.plan import Plan
from flows.runtime.ports import StepAttempt
from platform_api.access.principal import TenantRole
from platform_api.db.engine import Sessions
from platform_api.kit.ids import new_id
from platform_api.settings import Settings
from tests.factories.api import Api, colleague, owner
from tests.factories.waits import Waiting, a_waiting_run
from tests.fakes.orchestrator import FakeOrchestrator


@pytest.fixture
async def api(client: httpx.AsyncClient) -> Api:
    return await owner(client)


@pytest.fixture
async def run(api: Api, sessions: Sessions, orchestrator: FakeOrchestrator) -> Waiting:
    return await a_waiting_run(api, sessions, orchestrator)


async def nested(run: Waiting, path: str) -> Waiting:
    """A run below the step at `path`."""
    attempt = StepAttempt(step_key=path.rpartition(".")[2], path=path, attempt=1)
    await run.journal.step_started(run.execution_id, attempt, inputs={})
    plan = Plan.model_validate((await run.row()).plan)
    child = await run.journal.child_opened(run.execution_id, attempt, plan, {})
    inner = replace(run, execution_id=child.execution_id, flow_run_id=new_id())
    await run.journal.run_started(inner.execution_id, prefect_flow_run_id=inner.flow_run_id, run_count=1)
    return inner


async def waits(api: Api, run: Waiting) -> list[tuple[str, str]]:
    shown = (await api.get(f"/executions/{run.execution_id}")).json()["data"]["waits"]
    return [(wait["executionId"], wait["path"]) for wait in shown]


async def resume(api: Api, run: Waiting, path: str, **body: Any) -> httpx.Response:
    return await api.post(f"/executions/{run.execution_id}/resume", {"path": path, "approved": True, **body})


async def test_they_are_shown_with_where_to_answer(api: Api, run: Waiting) -> None:
    await run.opens("own")
    inner = await nested(run, "each[2].sub")
    innermost = await nested(inner, "deep")
    await inner.opens("ask")
    await innermost.opens("box.left.ask")
    own, middle, deep = (str(each.execution_id) for each in (run, inner, innermost))
    assert await waits(api, run) == [(own, "own"), (middle, "ask"), (deep, "box.left.ask")]
    assert await waits(api, inner) == [(middle, "ask"), (deep, "box.left.ask")]
    assert await waits(api, innermost) == [(deep, "box.left.ask")]


@pytest.mark.parametrize("path", ["each[2].sub.deep.ask", "deep.ask", "ask"])
async def test_the_outer_run_takes_the_answer(api: Api, run: Waiting, path: str) -> None:
    innermost = await nested(await nested(run, "each[2].sub"), "deep")
    await innermost.opens("ask")
    answer = await resume(api, run, path)
    assert answer.status_code == 200, answer.text
    told = answer.json()["data"]
    assert (told["executionId"], told["path"]) == (str(innermost.execution_id), "ask")
    assert (await innermost.journal.answers(innermost.execution_id))["ask"].data["approved"] is True
    assert await waits(api, run) == []
    assert (await resume(api, run, path)).status_code == 409


async def test_a_path_that_fits_several_is_refused_with_the_full_ones(api: Api, run: Waiting) -> None:
    for path in ("first", "second"):
        await (await nested(run, path)).opens("ask")
    answer = await resume(api, run, "ask")
    assert answer.status_code == 400
    (detail,) = answer.json()["error"]["details"]
    assert (detail["code"], detail["message"]) == ("AMBIGUOUS_PATH", "write one of first.ask, second.ask")
    assert (await resume(api, run, "second.ask")).status_code == 200


async def test_an_own_path_goes_before_one_that_ends_so(api: Api, run: Waiting) -> None:
    await (await nested(run, "sub")).opens("ask")
    await run.opens("ask")
    assert (await resume(api, run, "ask")).json()["data"]["executionId"] == str(run.execution_id)


async def test_who_may_answer_is_asked_of_the_question(
    api: Api, run: Waiting, sessions: Sessions, settings: Settings
) -> None:
    workflow_id = (await run.row()).workflow_id
    assert (await api.patch(f"/workflows/{workflow_id}", {"isPublic": True})).status_code == 200
    inner = await nested(run, "sub")
    await inner.opens("ask", assignees=("VIEWER",))
    assert (await resume(api, run, "sub.ask")).status_code == 403
    viewer = await colleague(api, sessions, settings, TenantRole.VIEWER)
    assert (await resume(viewer, run, "sub.ask")).status_code == 200


async def test_nested_runs_are_listed_by_the_run_around_them(api: Api, run: Waiting) -> None:
    inner = await nested(run, "sub")
    await nested(inner, "deep")
    listed = (await api.get("/executions", parentExecutionId=str(run.execution_id))).json()["data"]
    assert [row["id"] for row in listed] == [str(inner.execution_id)]
    assert (await api.get("/executions", parentExecutionId="mine")).status_code == 400
    assert (await api.get("/executions", parentExecutionId=str(new_id()))).json()["data"] == []
