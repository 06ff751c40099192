"""What projects use, and whether more may begin."""

from datetime import UTC, datetime, time
from typing import Literal
from uuid import UUID

from agents.providers.holds import Amount
from agents.spec import AgentType
from flows.plan import Plan
from platform_api.access.scope import TenantScope
from platform_api.db.models import Project
from platform_api.errors import BudgetExceeded
from platform_api.resources.budgets.amounts import Bounds, first_day, today
from platform_api.resources.budgets.repository import BudgetRepository
from platform_api.resources.budgets.schemas import ProjectUsageView
from platform_api.resources.projects.schemas import Budget, BudgetPeriod
from platform_api.resources.projects.service import ProjectLookup, ProjectService


class ProjectUsage:
    """Usage of projects inside one scope."""

    def __init__(self, scope: TenantScope) -> None:
        self._scope = scope

    async def of(self, project_id: UUID, period: BudgetPeriod | None) -> ProjectUsageView:
        """In the period that runs now."""
        project = await ProjectService(self._scope).get(project_id)
        bounds = Bounds.read(project.budget)
        wanted = period or bounds.period
        since, rows = first_day(wanted, today()), BudgetRepository(self._scope, project_id)
        used, reserved = await rows.used(since), await rows.leased()
        if wanted is not bounds.period:
            bounds = Bounds()
        return ProjectUsageView(
            project_id=project_id,
            period=wanted,
            since=datetime.combine(since, time(), UTC) if since is not None else None,
            prompt_tokens=used.prompt_tokens,
            completion_tokens=used.completion_tokens,
            total_cost=None if used.unpriced_tokens else float(used.cost),
            known_cost=float(used.cost),
            unpriced_tokens=used.unpriced_tokens,
            reserved_tokens=reserved.tokens,
            reserved_cost=float(reserved.cost),
            budget=_budget(project),
            percent_of_token_limit=_percent(bounds, used.amount, "maxTokens"),
            percent_of_cost_limit=_percent(bounds, used.amount, "maxCost"),
            exceeded=_exceeded(bounds, used.amount),
        )


class BudgetGate:
    """Lets runs begin whose projects have something left; works without a caller too."""

    def __init__(self, scope: TenantScope) -> None:
        self._scope = scope
        self._projects = ProjectLookup(scope)

    async def check(self, plan: Plan) -> None:
        """Raises `BudgetExceeded` when the run asks models and the budget of one of its projects is used up."""
        if not any(map(_asks_models, plan.family())):
            return
        ids = {each.workflow.project_id for each in plan.family() if _asks_models(each) and each.workflow.project_id}
        for project_id in sorted({*ids, *([plan.workflow.project_id] if plan.workflow.project_id else [])}):
            await self._check(UUID(project_id))

    async def _check(self, project_id: UUID) -> None:
        bounds = Bounds.read(await self._projects.budget(project_id))
        if bounds.max_tokens is None and bounds.max_cost is None:
            return
        rows = BudgetRepository(self._scope, project_id)
        spent = (await rows.used(first_day(bounds.period, today()))).amount
        passed = bounds.passed(bounds.left(spent))
        if passed is not None:
            raise BudgetExceeded(
                f"The project's budget of {passed} is used up, so no run that asks models may begin: raise the budget "
                f"of project {project_id}, or wait for its next period"
            )


def _asks_models(plan: Plan) -> bool:
    return any(agent.type is AgentType.LLM for agent in plan.agents.values())


def _budget(project: Project) -> Budget | None:
    return Budget.model_validate(project.budget) if project.budget else None


def _percent(bounds: Bounds, spent: Amount, limit: str) -> float | None:
    return next((share.percent for share in bounds.shares(spent) if share.limit == limit), None)


def _exceeded(bounds: Bounds, spent: Amount) -> Literal["tokens", "cost"] | None:
    left = bounds.left(spent)
    if left.tokens is not None and left.tokens <= 0:
        return "tokens"
    return "cost" if left.cost is not None and left.cost <= 0 else None
