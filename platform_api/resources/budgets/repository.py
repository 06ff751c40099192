"""What projects have used and set aside, in the database. Whoever changes it holds the project's row."""

from dataclasses import dataclass
from datetime import date
from typing import Any
from uuid import UUID

from sqlalchemy import func, select, text
from sqlmodel import col

from agents.providers.holds import Amount
from platform_api.db.models import Charge, Project
from platform_api.db.repository import TenantSession
from platform_api.kit.ids import new_id
from platform_api.resources.budgets.amounts import Used

KEPT_SECONDS = 60.0
"""How long what is set aside outlives its run: what the run has used is charged a moment after its end is recorded."""

_CHARGE = text("""
    insert into charges (id, tenant_id, project_id, day, prompt_tokens, completion_tokens, unpriced_tokens, cost)
    values (:id, :tenant_id, :project_id, :day, :prompt_tokens, :completion_tokens, :unpriced_tokens, :cost)
    on conflict (project_id, day) do update set
        prompt_tokens = charges.prompt_tokens + excluded.prompt_tokens,
        completion_tokens = charges.completion_tokens + excluded.completion_tokens,
        unpriced_tokens = charges.unpriced_tokens + excluded.unpriced_tokens,
        cost = charges.cost + excluded.cost
""")
_LEASE = text("""
    insert into budget_leases (
        id, tenant_id, project_id, execution_id, settled, tokens, cost,
        charged_prompt_tokens, charged_completion_tokens, charged_cost
    )
    values (
        :id, :tenant_id, :project_id, :execution_id, :settled, :tokens, :cost,
        :prompt_tokens, :completion_tokens, :charge
    )
    on conflict (project_id, execution_id) do update set
        settled = excluded.settled, tokens = excluded.tokens, cost = excluded.cost,
        charged_prompt_tokens = budget_leases.charged_prompt_tokens + excluded.charged_prompt_tokens,
        charged_completion_tokens = budget_leases.charged_completion_tokens + excluded.charged_completion_tokens,
        charged_cost = budget_leases.charged_cost + excluded.charged_cost
""")
_LEASED = text("""
    select coalesce(sum(lease.tokens), 0)::bigint, coalesce(sum(lease.cost), 0)
    from budget_leases lease join executions on executions.id = lease.execution_id
    where lease.project_id = :project_id and lease.tenant_id = :tenant_id and (lease.tokens > 0 or lease.cost > 0)
        and (executions.status = 'RUNNING' or lease.updated_at > now() - make_interval(secs => :kept))
        and (cast(:but as uuid) is null or lease.execution_id <> :but)
""")
_ACCOUNT = text("""
    select settled, charged_prompt_tokens, charged_completion_tokens, charged_cost from budget_leases
    where project_id = :project_id and execution_id = :execution_id and tenant_id = :tenant_id
""")


@dataclass(frozen=True, kw_only=True)
class Account:
    """Of one execution: `settled` names the last writing."""

    settled: UUID
    charged: Used


class BudgetRepository:
    """Of one project."""

    def __init__(self, scope: TenantSession, project_id: UUID) -> None:
        self._session = scope.session
        self._project_id = project_id
        self._mine: dict[str, Any] = {"tenant_id": scope.tenant_id, "project_id": project_id}

    async def lock(self) -> dict[str, Any] | None:
        """The project's budget as it is now; nobody else settles until the transaction ends."""
        living = select(col(Project.budget)).where(
            col(Project.id) == self._project_id,
            col(Project.tenant_id) == self._mine["tenant_id"],
            col(Project.deleted_at).is_(None),
        )
        budget: dict[str, Any] | None = await self._session.scalar(living.with_for_update(key_share=True))
        return budget

    async def charge(self, day: date, used: Used) -> None:
        """Adds to what was used on that day."""
        values = {
            "prompt_tokens": used.prompt_tokens,
            "completion_tokens": used.completion_tokens,
            "unpriced_tokens": used.unpriced_tokens,
            "cost": used.cost,
        }
        await self._session.execute(_CHARGE, {**self._mine, "id": new_id(), "day": day, **values})

    async def used(self, since: date | None) -> Used:
        """What was used from that day on, or ever."""
        sums = (
            func.coalesce(func.sum(column), 0)
            for column in (
                col(Charge.prompt_tokens),
                col(Charge.completion_tokens),
                col(Charge.unpriced_tokens),
                col(Charge.cost),
            )
        )
        statement = select(*sums).where(
            col(Charge.project_id) == self._project_id, col(Charge.tenant_id) == self._mine["tenant_id"]
        )
        if since is not None:
            statement = statement.where(col(Charge.day) >= since)
        prompt, completion, unpriced, cost = (await self._session.execute(statement)).one()
        return Used(
            prompt_tokens=int(prompt), completion_tokens=int(completion), unpriced_tokens=int(unpriced), cost=cost
        )

    async def leased(self, *, but: UUID | None = None) -> Amount:
        """What executions (but for one) have set aside that run, or have just ended without giving it back."""
        tokens, cost = (await self._session.execute(_LEASED, {**self._mine, "but": but, "kept": KEPT_SECONDS})).one()
        return Amount(tokens, cost)

    async def lease(self, execution_id: UUID, amount: Amount, settled: UUID, charged: Used) -> None:
        """Sets so much aside for the execution, in the place of what it had, and notes what was charged for it."""
        keys = {"id": new_id(), "execution_id": execution_id, "settled": settled}
        more = {
            "prompt_tokens": charged.prompt_tokens,
            "completion_tokens": charged.completion_tokens,
            "charge": charged.cost,
        }
        held = {"tokens": amount.tokens, "cost": amount.cost}
        await self._session.execute(_LEASE, {**self._mine, **keys, **held, **more})

    async def account(self, execution_id: UUID) -> Account | None:
        """What was charged for the execution so far; None when nothing was ever set aside for it."""
        found = (await self._session.execute(_ACCOUNT, {**self._mine, "execution_id": execution_id})).one_or_none()
        if found is None:
            return None
        settled, prompt, completion, cost = found
        return Account(settled=settled, charged=Used(prompt_tokens=prompt, completion_tokens=completion, cost=cost))
