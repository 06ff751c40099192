"""What projects have used of models, and what their runs may go on to use."""

from datetime import date
from decimal import Decimal
from typing import Any, ClassVar
from uuid import UUID

from sqlalchemy import Date, Index, text
from sqlmodel import Field

from platform_api.db.models.base import TenantRow
from platform_api.db.models.columns import big_count, money, reference


class Charge(TenantRow, table=True):
    """What the runs of a project have used on one day (UTC). `cost` is of the tokens whose price was known; how many
    were without one is counted beside it."""

    __tablename__ = "charges"
    __table_args__: ClassVar[Any] = (Index("uq_charges_project_id_day", "project_id", "day", unique=True),)

    project_id: UUID = reference("projects.id", "CASCADE", index=False)
    day: date = Field(sa_type=Date)
    prompt_tokens: int = big_count()
    completion_tokens: int = big_count()
    unpriced_tokens: int = big_count()
    cost: Decimal = money()


class BudgetLease(TenantRow, table=True):
    """What a run has set aside of a project's budget for the calls that it is making. It counts while the run runs.

    The row outlives that: `charged` is what the project was charged for the run since its beginning, by which the rest
    is found when the process that drives the run dies. `settled` names the last writing of what the run has used: one
    that is made again finds whether it was done.
    """

    __tablename__ = "budget_leases"
    __table_args__: ClassVar[Any] = (
        Index("uq_budget_leases_project_id_execution_id", "project_id", "execution_id", unique=True),
        Index("ix_budget_leases_project_id_held", "project_id", postgresql_where=text("tokens > 0 OR cost > 0")),
    )

    project_id: UUID = reference("projects.id", "CASCADE", index=False)
    execution_id: UUID = reference("executions.id", "CASCADE")
    settled: UUID
    tokens: int = big_count()
    cost: Decimal = money()
    charged_prompt_tokens: int = big_count()
    charged_completion_tokens: int = big_count()
    charged_cost: Decimal = money()
