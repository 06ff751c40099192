"""The budgets of projects as runs meet them: between a run's own limits and nothing, shared with what is nested in it.

A call sets aside what it may use at most before it begins, as far as there is so much left, and is told how much that
is; where others have set aside what is left, it waits for what they give back. What it uses is counted here at once and
written a moment later.
"""

import asyncio
import contextlib
import time
from collections.abc import Iterator, Sequence
from uuid import UUID

import structlog

from agents.errors import BudgetExceeded
from agents.providers.budget import BoundedBudget, Budget, Share
from agents.providers.holds import Amount, Holds, Left
from agents.result import Usage
from flows.runtime.ports import Run
from platform_api.db.engine import Sessions
from platform_api.resources.budgets.amounts import OF, Bounds, Used
from platform_api.resources.budgets.ledger import NOTHING, Ledger, Persist, Standing, Wish

SETTLE_SECONDS = 0.2
"""How long what was used may go unwritten while nobody asks."""
PATIENCE_SECONDS = 300.0
"""How long a call waits for what others have set aside."""
_FIRST_PAUSE, _LONGEST_PAUSE = 0.05, 1.0

log = structlog.get_logger(__name__)


class ProjectBudget:
    """Of one run in one process. Everything that it counts is written by the time that `close` returns."""

    def __init__(self, ledger: Ledger, outer: Budget) -> None:
        self.outer = outer
        self.project_id = ledger.project_id
        self._ledger = ledger
        self._unsettled = NOTHING
        self._holds = Holds()
        self._standing = Standing(bounds=Bounds())
        self._turn = asyncio.Lock()
        self._over = asyncio.Event()
        self._settler: asyncio.Task[None] | None = None
        self._was_asked = False

    async def ask(self, least: Usage, most: Usage) -> Left:
        """Sets aside what the call may use at most; what it is told is also what it may not go beyond."""
        around = await self.outer.ask(least, most)
        wish = Wish(least=Amount.of(least), most=Amount.of(most).at_least(Amount.of(least)))
        deadline, pause = time.monotonic() + PATIENCE_SECONDS, _FIRST_PAUSE
        while (left := await self._set_aside(wish)) is None:
            unused = self._standing.bounds.left(self._standing.spent + self._unsettled.amount)
            if not wish.least.fits(unused) or time.monotonic() > deadline:
                raise self._exceeded("would be", wish.least, unused)
            await asyncio.sleep(pause)
            pause = min(pause * 1.5, _LONGEST_PAUSE)
        return left.tightened(around)

    async def _set_aside(self, wish: Wish) -> Left | None:
        """What the call may use; None when others have set aside more than it could do with."""
        async with self._turn:
            held = self._holds.of_all()
            await self._settle(held, wish)
            left = self._standing.left_beside(self._holds.of_all() + self._unsettled.amount)
            granted = wish.granted(left)
            if granted is None:
                return None
            self._holds.take(granted)
            return left

    def over(self) -> None:
        """Gives back what the call has not used, with the next writing."""
        if self._holds.give_back():
            self._settle_soon()
        self.outer.over()

    def tell(self, more: Usage) -> None:
        """Counts here and in what is around it before it complains."""
        self._unsettled = self._unsettled.plus(Used.of(more))
        is_beyond = self._holds.use(Amount.of(more))
        self._settle_soon()
        self.outer.tell(more)
        used, left = self._unsettled.amount, self._standing.left
        if not used.fits(left):
            raise self._exceeded("was", used, left)
        if is_beyond and not (with_others := used + self._holds.of_others()).fits(left):
            raise self._exceeded("would be (with other calls)", with_others, left)

    def recall(self, before: Usage) -> None:
        """What was used before is written already."""
        self.outer.recall(before)

    def shares(self) -> Sequence[Share]:
        """The project's after those of the runs around this one."""
        spent = self._standing.spent + self._unsettled.amount
        return (*self.outer.shares(), *self._standing.bounds.shares(spent))

    async def close(self) -> None:
        """Writes what is not written yet and gives back what was set aside."""
        self._over.set()
        if self._settler is not None:
            await self._settler
        if self._was_asked:
            await self._ledger.close(self._unsettled.rounded())
            self._unsettled = NOTHING

    async def _settle(self, held: Amount, wish: Wish | None = None) -> None:
        self._was_asked = True
        taken = self._unsettled.rounded()
        self._standing = await self._ledger.settle(taken, held, wish)
        self._unsettled = self._unsettled.plus(taken, -1)

    def _settle_soon(self) -> None:
        if self._settler is None or self._settler.done():
            self._settler = asyncio.create_task(self._later(), name=f"budget-{self.project_id}")

    async def _later(self) -> None:
        with contextlib.suppress(TimeoutError):  # which is the pause having passed without an end
            async with asyncio.timeout(SETTLE_SECONDS):
                await self._over.wait()
        try:
            async with self._turn:
                await self._settle(self._holds.of_all())
        except Exception:
            log.exception("budget_not_written", project_id=str(self.project_id))

    def _exceeded(self, verb: str, wanted: Amount, left: Left) -> BudgetExceeded:
        bounds = self._standing.bounds
        if left.tokens is not None and wanted.tokens > left.tokens:
            limit, amount = "maxTokens", f"{(bounds.max_tokens or 0) - left.tokens + wanted.tokens:,} tokens"
        else:
            cost = (bounds.max_cost or 0) - (left.cost or 0) + wanted.cost
            limit, amount = "maxCost", f"{cost.normalize():f} USD"
        return BudgetExceeded(
            f"The {OF} of {bounds.in_words(limit)} {verb} exceeded: {amount}",
            hint="raise the project's `budget`, wait for its next period, or ask for less",
            details={"of": OF, "limit": limit, "limits": [share.shown() for share in self.shares()]},
        )


class Budgets:
    """The budgets of projects around one run and those nested in it."""

    def __init__(self, sessions: Sessions, tenant_id: UUID, persist: Persist) -> None:
        self._sessions = sessions
        self._tenant_id = tenant_id
        self._persist = persist
        self._open: dict[UUID, ProjectBudget] = {}

    def around(self, run: Run, outer: Budget) -> Budget:
        """Puts the budget of the run's project around it, unless that is around it already."""
        project_id = run.plan.workflow.project_id
        if project_id is None or UUID(project_id) in _projects(outer):
            return outer
        ledger = Ledger(
            sessions=self._sessions,
            tenant_id=self._tenant_id,
            project_id=UUID(project_id),
            execution_id=run.execution_id,
            persist=self._persist,
        )
        budget = self._open[run.execution_id] = ProjectBudget(ledger, outer)
        return budget

    async def close(self, execution_id: UUID) -> None:
        """The run is over, or is left to wait. What cannot be written is in the log: no run fails of it afterwards."""
        budget = self._open.pop(execution_id, None)
        try:
            if budget is not None:
                await budget.close()
        except Exception:
            log.exception("budget_not_written", execution_id=str(execution_id))


def _projects(budget: Budget) -> Iterator[UUID]:
    around: Budget | None = budget
    while isinstance(around, BoundedBudget | ProjectBudget):
        if isinstance(around, ProjectBudget):
            yield around.project_id
        around = around.outer
