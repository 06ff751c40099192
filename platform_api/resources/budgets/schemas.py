"""What clients get about what a project uses."""

from typing import Literal
from uuid import UUID

from pydantic import Field

from platform_api.kit.filters import Filters
from platform_api.kit.schemas import UtcTime, View
from platform_api.resources.projects.schemas import Budget, BudgetPeriod


class UsagePeriod(Filters):
    """Which time the figures are of."""

    period: BudgetPeriod | None = Field(default=None, description="the budget's own when left out, else TOTAL")


class ProjectUsageView(View):
    """What a project's runs have used of models in the period that runs now, and how much of its budget that is."""

    project_id: UUID
    period: BudgetPeriod
    since: UtcTime | None = Field(description="when the period began; null for TOTAL")
    prompt_tokens: int
    completion_tokens: int
    total_cost: float | None = Field(description="USD; null when the price of some tokens is not known")
    known_cost: float = Field(description="USD, of the tokens whose price is known")
    unpriced_tokens: int = Field(description="tokens whose price is not known")
    reserved_tokens: int = Field(description="set aside for calls that runs are making now; not among those used")
    reserved_cost: float
    budget: Budget | None = Field(description="what the percentages are of; null when the project has none")
    percent_of_token_limit: float | None = Field(description="null unless the figures are of the budget's own period")
    percent_of_cost_limit: float | None
    exceeded: Literal["tokens", "cost"] | None = Field(description="which limit is used up: new runs are refused")
