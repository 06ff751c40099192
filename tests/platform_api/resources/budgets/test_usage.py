"""`GET /projects/{id}/usage`, and runs that may not begin because the budget is used up."""

from datetime import UTC, datetime
from decimal import Decimal
from typing import Any
from uuid import UUID

import httpx
import pytest

from flows.states import Environment, TriggerType
from platform_api.access.principal import TenantRole
from platform_api.access.scope import system_scope
from platform_api.db.engine import Sessions
from platform_api.db.models import Tenant
from platform_api.errors import BudgetExceeded
from platform_api.kit import clock
from platform_api.resources.executions.adoption import Adoption, adopt
from platform_api.settings import Settings
from tests.factories.api import Api, colleague, owner, step
from tests.factories.budgets import a_budget, tokens
from tests.fixtures.http import error_of

ASKING = {"type": "LLM", "config": {"model": "m", "prompt": "Was it late?"}}


@pytest.fixture
async def api(client: httpx.AsyncClient) -> Api:
    return await owner(client)


async def project_of(api: Api, **budget: Any) -> str:
    body = {"name": f"Project {budget}", "budget": budget or None}
    return str((await api.made("/projects", body))["project"]["id"])


async def spend(sessions: Sessions, api: Api, project: str, *used: Any) -> None:
    async with system_scope(sessions) as scope:
        tenant = await scope.session.get_one(Tenant, api.tenant_id)
    budget = await a_budget(sessions, tenant, UUID(project))
    await budget.ask(tokens(), tokens())
    for each in used:
        budget.tell(each)
    await budget.close()


async def usage(api: Api, project: str, **params: str) -> dict[str, Any]:
    answer = await api.get(f"/projects/{project}/usage", **params)
    assert answer.status_code == 200, answer.text
    data: dict[str, Any] = answer.json()["data"]
    return data


async def test_what_is_used_and_how_much_of_the_budget(api: Api, sessions: Sessions) -> None:
    project = await project_of(api, maxTokens=200, maxCost=4, period="MONTH")
    await spend(sessions, api, project, tokens(30, 20, Decimal("1")))
    shown = await usage(api, project)
    assert shown.pop("since").endswith("-01T00:00:00.000Z")
    assert shown == {
        "projectId": project,
        "period": "MONTH",
        "promptTokens": 30,
        "completionTokens": 20,
        "totalCost": 1.0,
        "knownCost": 1.0,
        "unpricedTokens": 0,
        "reservedTokens": 0,
        "reservedCost": 0.0,
        "budget": {"maxTokens": 200, "maxCost": 4.0, "period": "MONTH"},
        "percentOfTokenLimit": 25.0,
        "percentOfCostLimit": 25.0,
        "exceeded": None,
    }


async def test_a_cost_that_is_not_known_is_null_and_what_is_known_is_said(api: Api, sessions: Sessions) -> None:
    project = await project_of(api)
    await spend(sessions, api, project, tokens(30, cost=None), tokens(10, cost=Decimal("0.5")))
    shown = await usage(api, project)
    assert (shown["totalCost"], shown["knownCost"], shown["unpricedTokens"]) == (None, 0.5, 30)
    assert (shown["period"], shown["since"], shown["budget"], shown["percentOfCostLimit"]) == (
        "TOTAL",
        None,
        None,
        None,
    )


async def test_each_period_can_be_asked_for(api: Api, sessions: Sessions, monkeypatch: pytest.MonkeyPatch) -> None:
    project = await project_of(api, maxTokens=100, period="DAY")
    now = clock.now()
    monkeypatch.setattr(clock, "now", lambda: datetime(2020, 1, 1, tzinfo=UTC))
    await spend(sessions, api, project, tokens(60))
    monkeypatch.setattr(clock, "now", lambda: now)
    await spend(sessions, api, project, tokens(20))
    assert (await usage(api, project))["percentOfTokenLimit"] == 20.0
    total = await usage(api, project, period="TOTAL")
    assert (total["promptTokens"], total["percentOfTokenLimit"]) == (80, None)
    error_of(await api.get(f"/projects/{project}/usage", period="YEAR"), 400, "VALIDATION_ERROR")


@pytest.mark.case(11)
async def test_who_reads_it(api: Api, sessions: Sessions, settings: Settings, client: httpx.AsyncClient) -> None:
    """Case 11."""
    created = await api.made("/projects", {"name": "P"})
    project, path = created["project"]["id"], f"/projects/{created['project']['id']}/usage"
    viewer = await colleague(api, sessions, settings, TenantRole.VIEWER)
    assert (await viewer.get(path)).status_code == 200
    machine = Api(client=client, headers={"X-API-Key": created["apiKey"]}, tenant_id=api.tenant_id, user_id=api.user_id)
    assert (await machine.get(path)).status_code == 200
    error_of(await machine.get(f"/projects/{await project_of(api)}/usage"), 403, "FORBIDDEN")
    error_of(await (await owner(client)).get(path), 404, "NOT_FOUND")
    await api.send("DELETE", f"/projects/{project}")
    error_of(await api.get(path), 404, "NOT_FOUND")


class TestRunsThatMayNotBegin:
    async def a_workflow(self, api: Api, project: str, **agent: Any) -> dict[str, Any]:
        made = await api.active_agent(**(agent or ASKING), projectId=project)
        return await api.active_workflow(steps=[step("ask", made)], projectId=project)

    async def test_by_any_way(self, api: Api, sessions: Sessions) -> None:
        project = await project_of(api, maxTokens=50)
        workflow = await self.a_workflow(api, project)
        execute = f"/workflows/{workflow['id']}/execute"
        started = await api.made(execute, {})
        assert (await api.post(f"/executions/{started['executionId']}/cancel")).status_code == 202
        await spend(sessions, api, project, tokens(30, 20))
        assert (await usage(api, project))["exceeded"] == "tokens"
        error = error_of(await api.post(execute), 402, "BUDGET_EXCEEDED")
        assert "50 tokens is used up" in error["message"]
        error_of(await api.post(f"/executions/{started['executionId']}/retry"), 402, "BUDGET_EXCEEDED")
        agent = (await api.get("/agents", projectId=project)).json()["data"][0]
        error_of(await api.post(f"/agents/{agent['id']}/test", {"input": {}}), 402, "BUDGET_EXCEEDED")
        adoption = Adoption(
            workflow_id=UUID(workflow["id"]),
            environment=Environment.DEVELOPMENT,
            prefect_flow_run_id=UUID(int=7),
            run_count=1,
            inputs={},
            trigger=TriggerType.SCHEDULED,
        )
        with pytest.raises(BudgetExceeded):
            await adopt(sessions, adoption)

    async def test_a_run_that_asks_no_model_begins(self, api: Api, sessions: Sessions) -> None:
        project = await project_of(api, maxCost=1)
        workflow = await self.a_workflow(api, project, isPublic=True)
        await spend(sessions, api, project, tokens(1, cost=Decimal("1")))
        assert (await api.post(f"/workflows/{workflow['id']}/execute")).status_code == 201

    async def test_a_nested_one_counts(self, api: Api, sessions: Sessions) -> None:
        project = await project_of(api, maxCost=1)
        nested = await self.a_workflow(api, project)
        agent = await api.active_agent(type="WORKFLOW", config={"workflowId": nested["id"]})
        outer = await api.active_workflow(steps=[step("nest", agent)])
        await spend(sessions, api, project, tokens(1, cost=Decimal("1")))
        assert error_of(await api.post(f"/workflows/{outer['id']}/execute"), 402, "BUDGET_EXCEEDED")

    async def test_the_next_period_and_a_higher_budget_let_them(self, api: Api, sessions: Sessions) -> None:
        project = await project_of(api, maxTokens=50)
        workflow = await self.a_workflow(api, project)
        await spend(sessions, api, project, tokens(50))
        assert error_of(await api.post(f"/workflows/{workflow['id']}/execute"), 402, "BUDGET_EXCEEDED")
        await api.patch(f"/projects/{project}", {"budget": {"maxTokens": 51}})
        await api.made(f"/workflows/{workflow['id']}/execute", {})
