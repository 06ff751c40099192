"""Projects with budgets, and runs that use them up."""

from typing import Any
from uuid import UUID

from agents.providers.budget import Budget, Unbounded
from agents.result import Usage
from flows.states import ExecutionStatus
from platform_api.access.scope import system_scope, tenant_scope
from platform_api.db.engine import Sessions
from platform_api.db.models import Project, Tenant
from platform_api.resources.budgets.amounts import Used
from platform_api.resources.budgets.ledger import Ledger
from platform_api.resources.budgets.repository import BudgetRepository
from platform_api.resources.budgets.spending import ProjectBudget
from platform_api.resources.executions.persistence import persistently
from tests.factories.executions import create_execution


async def a_project(sessions: Sessions, tenant: Tenant, **budget: Any) -> UUID:
    """With that budget."""
    row = Project(tenant_id=tenant.id, name=f"Project {budget}", budget=budget)
    async with system_scope(sessions) as scope:
        scope.session.add(row)
    return row.id


async def a_budget(
    sessions: Sessions, tenant: Tenant, project_id: UUID, *, outer: Budget | None = None
) -> ProjectBudget:
    """The project's budget as a run that is running has it."""
    execution = await create_execution(sessions, tenant, status=ExecutionStatus.RUNNING)
    return budget_of(sessions, tenant.id, project_id, execution.id, outer=outer)


def budget_of(
    sessions: Sessions, tenant_id: UUID, project_id: UUID, execution_id: UUID, *, outer: Budget | None = None
) -> ProjectBudget:
    """As the process that drives that execution has it."""
    ledger = Ledger(
        sessions=sessions,
        tenant_id=tenant_id,
        project_id=project_id,
        execution_id=execution_id,
        persist=persistently,
    )
    return ProjectBudget(ledger, outer or Unbounded())


async def charged(sessions: Sessions, tenant_id: UUID, project_id: UUID) -> Used:
    """What is on record of the project, ever."""
    async with tenant_scope(sessions, tenant_id) as scope:
        return await BudgetRepository(scope, project_id).used(None)


def tokens(prompt: int = 0, completion: int = 0, cost: Any = 0) -> Usage:
    return Usage(prompt_tokens=prompt, completion_tokens=completion, cost=cost)
