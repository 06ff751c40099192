"""Writes what one run uses of a project's budget, and sets aside what it is about to use. Inside the worker.

The project's row is locked meanwhile: processes that spend at once do it one after the other, so that no update is lost
and what one has set aside is not given to another.
"""

from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from typing import Protocol, TypeVar
from uuid import UUID

from agents.providers.holds import Amount, Left
from platform_api.access.scope import TenantScope, tenant_scope
from platform_api.db.engine import Sessions
from platform_api.kit.ids import new_id
from platform_api.resources.budgets.amounts import Bounds, Used, first_day, today
from platform_api.resources.budgets.repository import BudgetRepository

NOTHING = Used()
Result = TypeVar("Result")


class Persist(Protocol):
    """Makes a write again while the database is away; the flag says that an earlier one may have been committed."""

    def __call__(self, write: Callable[[bool], Awaitable[Result]], /) -> Awaitable[Result]: ...


@dataclass(frozen=True, kw_only=True)
class Wish:
    """What a call uses at least and at most."""

    least: Amount
    most: Amount

    def granted(self, left: Left) -> Amount | None:
        """What is set aside for it where so much is left; None where that is not enough."""
        return self.most.within(left) if self.least.fits(left) else None


@dataclass(frozen=True, kw_only=True)
class Standing:
    """How the budget stood a moment ago: what all runs have used, and what this run has left, its leases among it."""

    bounds: Bounds
    spent: Amount = field(default_factory=Amount)
    left: Left = field(default_factory=Left)

    def left_beside(self, held: Amount) -> Left:
        """What a call may use beside those that hold so much."""
        tokens, cost = self.left.tokens, self.left.cost
        return Left(
            tokens=None if tokens is None else tokens - held.tokens,
            cost=None if cost is None else cost - held.cost,
        )


@dataclass(frozen=True, kw_only=True)
class Ledger:
    """Of one run in one project."""

    sessions: Sessions
    tenant_id: UUID
    project_id: UUID
    execution_id: UUID
    persist: Persist

    async def settle(self, used: Used, held: Amount, wish: Wish | None = None) -> Standing:
        """Charges what was used and sets aside what calls hold, and what one more wishes as far as there is."""
        token = new_id()

        async def write(again: bool) -> Standing:
            async with tenant_scope(self.sessions, self.tenant_id) as scope:
                is_done = again and await self._was(scope, token)
                return await self._settle(scope, token, NOTHING if is_done else used, held, wish)

        return await self.persist(write)

    async def close(self, used: Used) -> None:
        """Charges the rest and sets nothing aside any more."""
        await self.settle(used, Amount())

    async def _was(self, scope: TenantScope, token: UUID) -> bool:
        account = await BudgetRepository(scope, self.project_id).account(self.execution_id)
        return account is not None and account.settled == token

    async def _settle(self, scope: TenantScope, token: UUID, used: Used, held: Amount, wish: Wish | None) -> Standing:
        rows = BudgetRepository(scope, self.project_id)
        bounds = Bounds.read(await rows.lock())
        if used != NOTHING:
            await rows.charge(today(), used)
        spent = (await rows.used(first_day(bounds.period, today()))).amount
        others = await rows.leased(but=self.execution_id)
        standing = Standing(bounds=bounds, spent=spent, left=bounds.left(spent + others))
        await rows.lease(self.execution_id, _lease(standing, held, wish), token, used)
        return standing


def _lease(standing: Standing, held: Amount, wish: Wish | None) -> Amount:
    if wish is None:
        return held
    return held + (wish.granted(standing.left_beside(held)) or Amount())
