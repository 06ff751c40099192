"""Charges projects for what runs had used when their process died, as far as that process had not."""

from decimal import Decimal
from uuid import UUID

from agents.providers.holds import Amount
from agents.result import Usage
from platform_api.db.repository import TenantSession
from platform_api.kit.ids import new_id
from platform_api.resources.budgets.amounts import Used, today
from platform_api.resources.budgets.repository import BudgetRepository


async def charge_lost(scope: TenantSession, project_id: UUID, execution_id: UUID, usage: Usage) -> None:
    """`usage` is all that is on record of the run now. Nothing is set aside for it any more."""
    rows = BudgetRepository(scope, project_id)
    await rows.lock()
    account = await rows.account(execution_id)
    if account is None and usage == Usage():
        return
    due = _beyond(usage, account.charged if account is not None else Used())
    if due != Used():
        await rows.charge(today(), due)
    await rows.lease(execution_id, Amount(), new_id(), due)


def _beyond(usage: Usage, charged: Used) -> Used:
    """What was charged is not given back: a process may count in its last moment what it has no time to record."""
    prompt = max(usage.prompt_tokens - charged.prompt_tokens, 0)
    completion = max(usage.completion_tokens - charged.completion_tokens, 0)
    if usage.cost is None:
        return Used(prompt_tokens=prompt, completion_tokens=completion, unpriced_tokens=prompt + completion)
    cost = max(usage.cost - charged.cost, Decimal(0))
    return Used(prompt_tokens=prompt, completion_tokens=completion, cost=cost)
