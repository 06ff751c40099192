"""What clients send and get about projects."""

from enum import StrEnum
from typing import Any
from uuid import UUID

from pydantic import ConfigDict, Field
from pydantic.alias_generators import to_camel

from agents.spec import Limits
from platform_api.kit.fields import Description, JsonObject, Name, Search, Version
from platform_api.kit.filters import Filters
from platform_api.kit.schemas import Body, UtcTime, View


class BudgetPeriod(StrEnum):
    """Over which time a budget adds up, in UTC."""

    DAY = "DAY"
    MONTH = "MONTH"
    TOTAL = "TOTAL"


class Budget(Body):
    """What all runs of a project may spend together in one period; cost is in USD. What is null has no bound."""

    model_config = ConfigDict(extra="forbid", alias_generator=to_camel, populate_by_name=True, allow_inf_nan=False)

    max_cost: float | None = Field(default=None, ge=0)
    max_tokens: int | None = Field(default=None, ge=1, le=2**63 - 1)
    period: BudgetPeriod = BudgetPeriod.TOTAL


class ProjectFields(Body):
    """What a project is made of."""

    name: Name
    description: Description | None = None
    limits: Limits = Field(default_factory=Limits, description="bounds of each run; the tightest of all wins")
    budget: Budget | None = Field(default=None, description="bound of all runs together; null means none")
    settings: JsonObject = Field(default_factory=dict, description="kept as it is, for the client's own use")


class ProjectUpdate(Body):
    """Changes to a project: what is left out stays. The defaults below are never stored."""

    name: Name = Field(default_factory=str)
    description: Description | None = None
    limits: Limits = Field(default_factory=Limits)
    budget: Budget | None = None
    settings: JsonObject = Field(default_factory=dict)
    version: Version | None = None


class ProjectFilters(Filters):
    """What a list of projects is narrowed to."""

    search: Search | None = None


class ProjectState(View):
    """What an entry of the audit log keeps of a project."""

    name: str
    description: str | None
    limits: dict[str, Any]
    budget: dict[str, Any] | None
    settings: dict[str, Any]


class ProjectView(ProjectState):
    """A project as it stands."""

    id: UUID
    version: int
    created_at: UtcTime
    updated_at: UtcTime
