"""Events reach the waits of their type, in their tenant, whose filter holds."""

from dataclasses import replace

import httpx
import pytest

from platform_api.access.principal import TenantRole
from platform_api.db.engine import Sessions
from platform_api.resources.events import service
from platform_api.settings import Settings
from tests.factories.api import Api, by_key, colleague, owner
from tests.factories.waits import Waiting, a_waiting_run
from tests.fakes.orchestrator import FakeOrchestrator

EVENT = {"type": "order.paid", "data": {"order": 1}}


@pytest.fixture
async def api(client: httpx.AsyncClient) -> Api:
    return await owner(client)


@pytest.fixture
async def run(api: Api, sessions: Sessions, orchestrator: FakeOrchestrator) -> Waiting:
    schema = {"type": "object", "properties": {"order": {"type": "integer"}}}
    workflow = await api.active_workflow(inputSchema=schema)
    return await a_waiting_run(api, sessions, orchestrator, workflow, inputs={"order": 1})


async def delivered(api: Api) -> int:
    answer = await api.post("/events", EVENT)
    assert answer.status_code == 200, answer.text
    count: int = answer.json()["data"]["delivered"]
    return count


async def test_an_event_answers_the_waits_that_fit(api: Api, run: Waiting, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(service, "BATCH", 2)
    filters = {
        "any": None,
        "mine": "event.data.order == inputs.order",
        "here": "workflow.version == 1 and execution.environment == 'DEVELOPMENT'",
        "other": "event.data.order == 2",
        "broken": "event.data.missing.order == 1",
    }
    for path, expression in filters.items():
        await run.opens(path, "event", event_type="order.paid", filter=expression)
    await run.opens("sent", "event", event_type="order.sent")
    await run.suspends()
    assert await delivered(api) == 3
    answers = await run.journal.answers(run.execution_id)
    assert set(answers) == {"any", "mine", "here"}
    assert answers["any"].data == EVENT
    assert run.flow_run_id in run.orchestrator.resumed
    assert await delivered(api) == 0
    (entry, _) = (await api.get("/audit-logs", action="event.deliver")).json()["data"]
    assert entry["after"]["type"] == "order.paid"


async def test_another_tenants_waits_are_not_reached(client: httpx.AsyncClient, run: Waiting) -> None:
    await run.opens("any", "event", event_type="order.paid")
    assert await delivered(await owner(client)) == 0


async def test_a_projects_key_reaches_the_runs_of_its_project_alone(
    api: Api, run: Waiting, sessions: Sessions, orchestrator: FakeOrchestrator
) -> None:
    made = await api.made("/projects", {"name": "own"})
    workflow = await api.active_workflow(name="inside", projectId=made["project"]["id"])
    inside = await a_waiting_run(api, sessions, orchestrator, workflow)
    for each in (run, inside):
        await each.opens("any", "event", event_type="order.paid")
    key = replace(api, headers={"X-API-Key": made["apiKey"]})
    assert await delivered(key) == 1
    assert set(await inside.journal.answers(inside.execution_id)) == {"any"}
    assert await run.journal.answers(run.execution_id) == {}


async def test_who_may_send_events(api: Api, sessions: Sessions, settings: Settings) -> None:
    viewer = await colleague(api, sessions, settings, TenantRole.VIEWER)
    assert (await viewer.post("/events", EVENT)).status_code == 403
    assert (await (await by_key(api, sessions, "executions:read")).post("/events", EVENT)).status_code == 403
    assert await delivered(await by_key(api, sessions, "events:create")) == 0
