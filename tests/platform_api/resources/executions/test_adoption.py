"""Runs that were started elsewhere become executions like any other."""

import asyncio
from dataclasses import replace
from typing import Any
from uuid import UUID, uuid4

import httpx
import pytest

from flows.runtime.ports import RunOutcome
from flows.states import Environment, ExecutionStatus, TriggerType
from platform_api.db.engine import Sessions
from platform_api.errors import InvalidState, NotFound, ValidationFailed
from platform_api.resources.executions.adoption import Adoption, adopt, workflow_plan
from platform_api.resources.executions.journal import Journal
from tests.factories.api import Api, owner

SCHEMA = {"type": "object", "properties": {"n": {"type": "integer", "default": 3}}, "additionalProperties": False}


@pytest.fixture
async def api(client: httpx.AsyncClient) -> Api:
    return await owner(client)


def an_adoption(workflow: dict[str, Any], **changes: Any) -> Adoption:
    base: dict[str, Any] = {
        "workflow_id": UUID(workflow["id"]),
        "environment": Environment.STAGING,
        "prefect_flow_run_id": uuid4(),
        "run_count": 1,
        "inputs": {},
        "trigger": TriggerType.SCHEDULED,
    }
    return Adoption(**(base | changes))


async def test_the_row_has_plan_inputs_and_trigger(api: Api, sessions: Sessions) -> None:
    workflow = await api.active_workflow(inputSchema=SCHEMA)
    adoption = an_adoption(workflow)
    row = await adopt(sessions, adoption)
    assert row.inputs == {"n": 3}
    assert row.trigger_type is TriggerType.SCHEDULED
    assert row.environment is Environment.STAGING
    assert row.tenant_id == api.tenant_id
    assert row.prefect_flow_run_id == adoption.prefect_flow_run_id
    assert row.plan["workflow"]["id"] == workflow["id"]
    shown = (await api.get(f"/executions/{row.id}")).json()["data"]
    assert (shown["status"], shown["triggerType"], shown["stepsTotal"]) == ("PENDING", "SCHEDULED", 1)


@pytest.mark.case(36)
async def test_the_same_run_is_adopted_once(api: Api, sessions: Sessions) -> None:
    adoption = an_adoption(await api.active_workflow())
    first = await adopt(sessions, adoption)
    again = await adopt(sessions, adoption)
    assert first.id == again.id


async def test_a_run_again_is_linked_to_the_one_before(api: Api, sessions: Sessions) -> None:
    workflow = await api.active_workflow(inputSchema=SCHEMA)
    adoption = an_adoption(workflow, inputs={"n": 8})
    first = await adopt(sessions, adoption)
    journal = Journal(sessions, api.tenant_id)
    await journal.run_started(first.id, prefect_flow_run_id=adoption.prefect_flow_run_id, run_count=1)
    await journal.run_finished(first.id, RunOutcome(status=ExecutionStatus.FAILED))
    second = await adopt(sessions, an_adoption(workflow, prefect_flow_run_id=adoption.prefect_flow_run_id, run_count=2))
    assert second.retry_of == first.id
    assert second.inputs == {"n": 8}
    assert second.status is ExecutionStatus.PENDING


@pytest.mark.parametrize("inputs", [{"n": "many"}, {"m": 1}])
async def test_inputs_are_checked_and_nothing_is_written(api: Api, sessions: Sessions, inputs: dict[str, Any]) -> None:
    workflow = await api.active_workflow(inputSchema=SCHEMA)
    with pytest.raises(ValidationFailed, match="inputSchema"):
        await adopt(sessions, an_adoption(workflow, inputs=inputs))
    history = await api.get(f"/workflows/{workflow['id']}/executions")
    assert history.json()["data"] == []


async def test_a_workflow_that_is_not_active_does_not_run(api: Api, sessions: Sessions) -> None:
    workflow = await api.active_workflow()
    await api.patch(f"/workflows/{workflow['id']}", {"status": "INACTIVE"})
    with pytest.raises(InvalidState, match="INACTIVE"):
        await adopt(sessions, an_adoption(workflow))


async def test_a_deployment_that_outlived_its_workflow_says_so(api: Api, sessions: Sessions) -> None:
    workflow = await api.active_workflow()
    await api.send("DELETE", f"/workflows/{workflow['id']}")
    for missing in (workflow, {"id": str(uuid4())}):
        with pytest.raises(NotFound, match="left-over"):
            await adopt(sessions, an_adoption(missing))


async def test_the_header_of_a_workflow_comes_from_its_plan(api: Api, sessions: Sessions) -> None:
    workflow = await api.active_workflow(name="Plain name", inputSchema=SCHEMA)
    plan = await workflow_plan(sessions, UUID(workflow["id"]))
    assert plan.workflow.name == "Plain name"
    assert plan.workflow.flow_name.endswith("--plain-name")


async def test_two_workers_that_adopt_at_once_make_one_row(api: Api, sessions: Sessions) -> None:
    adoption = an_adoption(await api.active_workflow())
    found = await asyncio.gather(*(adopt(sessions, adoption) for _ in range(4)), return_exceptions=True)
    rows = {row.id for row in found if not isinstance(row, BaseException)}
    assert len(rows) == 1
    assert not [each for each in found if isinstance(each, BaseException)]


async def test_its_start_is_audited(api: Api, sessions: Sessions) -> None:
    workflow = await api.active_workflow()
    adoption = an_adoption(workflow)
    first = await adopt(sessions, adoption)
    await adopt(sessions, adoption)
    (entry,) = (await api.get("/audit-logs", action="workflow.execute")).json()["data"]
    assert (entry["actor"], entry["resourceId"]) == ("system", workflow["id"])
    assert (entry["after"]["executionId"], entry["after"]["triggerType"]) == (str(first.id), "SCHEDULED")
    again = await adopt(sessions, replace(adoption, run_count=2))
    (entry,) = (await api.get("/audit-logs", action="execution.retry")).json()["data"]
    assert (entry["resourceId"], entry["after"]["retryOf"]) == (str(again.id), str(first.id))
