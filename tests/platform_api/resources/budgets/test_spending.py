"""Budgets of projects while runs use them: kept over runs and processes, exact, and given back."""

import asyncio
import sys
from asyncio.subprocess import PIPE
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from uuid import UUID

import pytest
from sqlalchemy import text, update
from sqlmodel import col

from agents.errors import BudgetExceeded
from agents.providers.budget import BoundedBudget
from agents.providers.holds import Amount
from agents.spec import Limits
from flows.states import ExecutionStatus
from platform_api.access.scope import system_scope, tenant_scope
from platform_api.db.engine import Sessions
from platform_api.db.models import Execution, Project, Tenant
from platform_api.kit import clock
from platform_api.resources.budgets import repository, spending
from platform_api.resources.budgets.amounts import Used
from platform_api.resources.budgets.repository import BudgetRepository
from platform_api.resources.executions.persistence import ABSENCES
from tests.factories.budgets import a_budget, a_project, budget_of, charged, tokens
from tests.factories.tenants import create_tenant


@pytest.fixture
async def tenant(sessions: Sessions) -> Tenant:
    return await create_tenant(sessions)


async def leased(sessions: Sessions, tenant: Tenant, project_id: UUID) -> Amount:
    async with tenant_scope(sessions, tenant.id) as scope:
        return await BudgetRepository(scope, project_id).leased()


async def test_what_is_told_is_charged_exactly(sessions: Sessions, tenant: Tenant) -> None:
    """Also amounts below what the database keeps of money."""
    project = await a_project(sessions, tenant)
    budget = await a_budget(sessions, tenant, project)
    for _ in range(10):
        await budget.ask(tokens(1), tokens(1, 10))
        budget.tell(tokens(1, 2, Decimal("0.000000004")))
    budget.tell(tokens(0, -3, Decimal(0)))
    await budget.close()
    used = await charged(sessions, tenant.id, project)
    assert used == Used(prompt_tokens=10, completion_tokens=17, unpriced_tokens=0, cost=Decimal("0.00000004"))


async def test_one_that_goes_over_its_reckoning_leaves_the_others_theirs(sessions: Sessions, tenant: Tenant) -> None:
    """A stream is stopped before it takes what another call of the run has set aside."""
    project = await a_project(sessions, tenant, maxTokens=100)
    budget = await a_budget(sessions, tenant, project)
    asked, done = asyncio.Event(), asyncio.Event()

    async def other() -> None:
        await budget.ask(tokens(10, 1), tokens(10, 50))
        asked.set()
        await done.wait()
        budget.tell(tokens(10, 50))
        budget.over()

    task = asyncio.create_task(other())
    await asked.wait()
    assert (await budget.ask(tokens(5, 1), tokens(5, 10))).tokens == 40
    budget.tell(tokens(5, 35))
    with pytest.raises(BudgetExceeded, match="with other calls"):
        budget.tell(tokens(0, 1))
    budget.over()
    done.set()
    with pytest.raises(BudgetExceeded, match="was exceeded"):
        await task
    await budget.close()
    assert (await charged(sessions, tenant.id, project)).amount.tokens == 101


async def test_tokens_without_a_price_count_and_are_told_apart(sessions: Sessions, tenant: Tenant) -> None:
    project = await a_project(sessions, tenant, maxTokens=100)
    budget = await a_budget(sessions, tenant, project)
    await budget.ask(tokens(1, cost=None), tokens(5, 5, cost=None))
    budget.tell(tokens(30, 30, cost=None))
    budget.tell(tokens(10, cost=Decimal("0.5")))
    await budget.close()
    used = await charged(sessions, tenant.id, project)
    assert (used.amount.tokens, used.unpriced_tokens, used.cost) == (70, 60, Decimal("0.5"))


@pytest.mark.parametrize(
    ("bound", "least", "message"),
    [
        ({"maxTokens": 100}, tokens(41), "100 tokens would be exceeded: 101 tokens"),
        ({"maxCost": 0.25}, tokens(1, cost=Decimal("0.2")), "0.25 USD would be exceeded: 0.3 USD"),
        ({"maxTokens": 100, "period": "DAY"}, tokens(41), "100 tokens a day would be exceeded"),
    ],
)
async def test_a_call_that_does_not_fit_is_not_made(
    sessions: Sessions, tenant: Tenant, bound: dict[str, object], least: object, message: str
) -> None:
    project = await a_project(sessions, tenant, **bound)
    before = await a_budget(sessions, tenant, project)
    await before.ask(tokens(1), tokens(1))
    before.tell(tokens(20, 40, Decimal("0.1")))
    await before.close()
    budget = await a_budget(sessions, tenant, project)
    with pytest.raises(BudgetExceeded, match=message) as caught:
        await budget.ask(least, least)  # type: ignore[arg-type]
    assert caught.value.details["of"] == "project budget"
    assert caught.value.details["limits"][0]["percent"] == (60.0 if "maxTokens" in bound else 40.0)
    await budget.close()
    assert await leased(sessions, tenant, project) == Amount()


async def test_a_call_is_told_what_it_may_use_and_stopped_there(sessions: Sessions, tenant: Tenant) -> None:
    project = await a_project(sessions, tenant, maxTokens=100, maxCost=2)
    budget = await a_budget(sessions, tenant, project)
    left = await budget.ask(tokens(10), tokens(10, 1000))
    assert (left.tokens, left.cost) == (100, Decimal(2))
    budget.tell(tokens(10, 90))
    with pytest.raises(BudgetExceeded, match="was exceeded: 101 tokens"):
        budget.tell(tokens(0, 1))
    await budget.close()
    assert (await charged(sessions, tenant.id, project)).amount.tokens == 101, "what was used was used"


async def test_what_one_run_has_set_aside_is_nobody_elses(sessions: Sessions, tenant: Tenant) -> None:
    """Who finds too little left beside it waits for what is given back."""
    project = await a_project(sessions, tenant, maxTokens=100)
    one, other, third = [await a_budget(sessions, tenant, project) for _ in range(3)]
    await one.ask(tokens(10), tokens(10, 60))
    assert (await other.ask(tokens(10), tokens(10, 60))).tokens == 30
    waiting = asyncio.create_task(third.ask(tokens(1), tokens(1)))
    await asyncio.sleep(0.2)
    assert not waiting.done()
    one.tell(tokens(10, 5))
    one.over()
    async with asyncio.timeout(60):
        assert (await waiting).tokens == 55
    for each in (one, other, third):
        await each.close()


async def test_who_has_waited_long_enough_is_refused(
    sessions: Sessions, tenant: Tenant, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(spending, "PATIENCE_SECONDS", 0.01)
    project = await a_project(sessions, tenant, maxTokens=100)
    one, other = [await a_budget(sessions, tenant, project) for _ in range(2)]
    await one.ask(tokens(10), tokens(10, 90))
    with pytest.raises(BudgetExceeded):
        await other.ask(tokens(10), tokens(10))
    await one.close()
    await other.close()


async def test_calls_of_one_run_at_once_each_have_their_own(sessions: Sessions, tenant: Tenant) -> None:
    """And a call that is over, or whose task has ended, holds nothing any more."""
    project = await a_project(sessions, tenant, maxTokens=100)
    budget = await a_budget(sessions, tenant, project)
    go_on = asyncio.Event()

    async def call() -> int | None:
        left = await budget.ask(tokens(10), tokens(10, 30))
        await go_on.wait()
        return left.tokens

    first = [asyncio.create_task(call()) for _ in range(2)]
    last = asyncio.create_task(budget.ask(tokens(21), tokens(21)))
    await asyncio.sleep(0.2)
    assert not last.done()
    go_on.set()
    assert sorted(await asyncio.gather(*first)) == [60, 100]
    async with asyncio.timeout(60):
        assert (await last).tokens == 100
    assert (await budget.ask(tokens(90), tokens(90))).tokens == 100
    budget.over()
    assert (await budget.ask(tokens(90), tokens(90))).tokens == 100
    await budget.close()


async def test_a_budget_that_changes_holds_from_the_next_call_on(sessions: Sessions, tenant: Tenant) -> None:
    project = await a_project(sessions, tenant)
    budget = await a_budget(sessions, tenant, project)
    assert (await budget.ask(tokens(1), tokens(1))).tokens is None
    budget.tell(tokens(50))
    async with system_scope(sessions) as scope:
        await scope.session.execute(
            update(Project).where(col(Project.id) == project).values(budget={"maxTokens": 40, "period": "MONTH"})
        )
    with pytest.raises(BudgetExceeded, match="40 tokens a month would be exceeded: 51 tokens"):
        await budget.ask(tokens(1), tokens(1))
    await budget.close()


async def test_a_stream_is_stopped_by_what_others_use(
    sessions: Sessions, tenant: Tenant, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A budget that is lowered while a call goes on stops it, without another question."""
    monkeypatch.setattr(spending, "SETTLE_SECONDS", 0.01)
    project = await a_project(sessions, tenant, maxTokens=1000)
    budget = await a_budget(sessions, tenant, project)
    await budget.ask(tokens(1), tokens(1, 900))
    async with system_scope(sessions) as scope:
        lowered = update(Project).where(col(Project.id) == project).values(budget={"maxTokens": 10})
        await scope.session.execute(lowered)

    async def stream() -> None:
        while True:
            budget.tell(tokens(0, 1))
            await asyncio.sleep(0.005)

    async with asyncio.timeout(60):
        with pytest.raises(BudgetExceeded):
            await stream()
    await budget.close()
    assert (await charged(sessions, tenant.id, project)).amount.tokens < 1000


@pytest.mark.parametrize(("period", "left"), [("DAY", 100), ("MONTH", 60), ("TOTAL", 40)])
async def test_a_period_begins_anew(
    sessions: Sessions, tenant: Tenant, monkeypatch: pytest.MonkeyPatch, period: str, left: int
) -> None:
    project = await a_project(sessions, tenant, maxTokens=100, period=period)
    moment = datetime(2026, 3, 31, 23, 59, tzinfo=UTC)
    for day, used in ((moment, 20), (moment + timedelta(days=1), 40)):
        monkeypatch.setattr(clock, "now", lambda day=day: day)
        budget = await a_budget(sessions, tenant, project)
        await budget.ask(tokens(1), tokens(1))
        budget.tell(tokens(used))
        await budget.close()
    monkeypatch.setattr(clock, "now", lambda: datetime(2026, 4, 2, tzinfo=UTC))
    budget = await a_budget(sessions, tenant, project)
    assert (await budget.ask(tokens(1), tokens(1))).tokens == left
    await budget.close()


@pytest.mark.parametrize("status", [ExecutionStatus.FAILED, ExecutionStatus.PAUSED])
async def test_who_died_holds_nothing_after_a_while(
    sessions: Sessions, tenant: Tenant, monkeypatch: pytest.MonkeyPatch, status: ExecutionStatus
) -> None:
    """Its process could not give back what it had set aside; the run is over, or waits.

    Until then it counts: where the process lives, what it has used is charged a moment after the run's end.
    """
    project = await a_project(sessions, tenant, maxTokens=100)
    dead = await a_budget(sessions, tenant, project)
    await dead.ask(tokens(10), tokens(10, 80))
    async with system_scope(sessions) as scope:
        await scope.session.execute(
            update(Execution).where(col(Execution.tenant_id) == tenant.id).values(status=status.value)
        )
    budget = await a_budget(sessions, tenant, project)
    assert (await budget.ask(tokens(10), tokens(10))).tokens == 10
    budget.over()
    monkeypatch.setattr(repository, "KEPT_SECONDS", 0.0)
    assert (await budget.ask(tokens(10), tokens(10))).tokens == 100
    await budget.close()


async def test_who_takes_a_run_up_takes_its_leases_too(sessions: Sessions, tenant: Tenant) -> None:
    project = await a_project(sessions, tenant, maxTokens=100)
    dead = await a_budget(sessions, tenant, project)
    await dead.ask(tokens(10), tokens(10, 90))
    (execution_id,) = await executions(sessions, tenant)
    heir = budget_of(sessions, tenant.id, project, execution_id)
    assert (await heir.ask(tokens(10), tokens(10))).tokens == 100
    await heir.close()
    assert await leased(sessions, tenant, project) == Amount()


async def executions(sessions: Sessions, tenant: Tenant) -> list[UUID]:
    async with system_scope(sessions) as scope:
        found = await scope.session.execute(text("select id from executions where tenant_id = :id"), {"id": tenant.id})
        return list(found.scalars())


async def test_a_write_whose_answer_was_lost_is_charged_once(
    sessions: Sessions, tenant: Tenant, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It was committed, and the connection broke before anybody was told."""
    project = await a_project(sessions, tenant, maxTokens=1000)
    budget = await a_budget(sessions, tenant, project)
    await budget.ask(tokens(1), tokens(1))
    budget.tell(tokens(7))
    ledger = budget._ledger
    kept = ledger.persist

    async def losing(write):  # type: ignore[no-untyped-def]
        failed = False

        async def attempt(again: bool):  # type: ignore[no-untyped-def]
            nonlocal failed
            result = await write(again)
            if not failed:
                failed = True
                raise ABSENCES[0]("lost", {}, Exception())
            return result

        return await kept(attempt)

    object.__setattr__(ledger, "persist", losing)
    await budget.ask(tokens(1), tokens(1))
    budget.tell(tokens(5))
    await budget.close()
    assert (await charged(sessions, tenant.id, project)).amount.tokens == 12


async def test_every_budget_around_a_run_is_told_and_the_tightest_stops_it(sessions: Sessions, tenant: Tenant) -> None:
    wide, narrow = await a_project(sessions, tenant, maxTokens=1000), await a_project(sessions, tenant, maxTokens=50)
    outer = await a_budget(sessions, tenant, wide)
    inner = await a_budget(sessions, tenant, narrow, outer=BoundedBudget(Limits(), "workflow", outer=outer))
    left = await inner.ask(tokens(1), tokens(1, 10))
    assert left.tokens == 50
    with pytest.raises(BudgetExceeded, match="50 tokens was exceeded"):
        inner.tell(tokens(51))
    assert [(share.used, share.bound) for share in inner.shares()] == [(51, 1000), (51, 50)]
    await inner.close()
    await outer.close()
    for project in (wide, narrow):
        assert (await charged(sessions, tenant.id, project)).amount.tokens == 51


SPENDER = """
import asyncio, sys
from decimal import Decimal
from uuid import UUID
from agents.errors import BudgetExceeded
from platform_api.db.engine import create_engine, session_maker
from platform_api.settings import DatabaseSettings
from tests.factories.budgets import budget_of, tokens

async def run(sessions, tenant, project, execution, seed):
    used = 0
    budget = budget_of(sessions, tenant, project, execution)
    try:
        for turn in range(40):
            answer = (seed * 7 + turn * 13) % 90 + 1
            left = await budget.ask(tokens(5, 1, Decimal("0.006")), tokens(5, 100, Decimal("0.105")))
            room = min(answer, left.tokens - 5, int((left.cost - Decimal("0.005")) / Decimal("0.001")))
            for tokens_at_once in (5, *[1] * room):
                used += tokens_at_once
                budget.tell(tokens(tokens_at_once, 0, Decimal("0.001") * tokens_at_once))
                if used % 17 == 0:
                    await asyncio.sleep(0)
            budget.over()
    except BudgetExceeded:
        budget.over()
    await budget.close()
    return used

async def main(url, tenant, project, seed, *executions):
    engine = create_engine(DatabaseSettings(url=url), application_name="spender")
    runs = (run(session_maker(engine), UUID(tenant), UUID(project), UUID(each), int(seed) + number)
            for number, each in enumerate(executions))
    print(sum(await asyncio.gather(*runs)))
    await engine.dispose()

asyncio.run(main(*sys.argv[1:]))
"""


async def test_processes_that_spend_at_once_stay_within_the_budget_and_lose_nothing(
    sessions: Sessions, tenant: Tenant, database_url: str
) -> None:
    """Two processes with four runs each want several times as much as there is; money is tighter than tokens."""
    project, groups = await a_project(sessions, tenant, maxTokens=3100, maxCost=3), []
    for _ in range(8):
        await a_budget(sessions, tenant, project)
    ids = [str(each) for each in await executions(sessions, tenant)]
    for number in range(2):
        arguments = (database_url, str(tenant.id), str(project), str(number), *ids[number::2])
        groups.append(
            await asyncio.create_subprocess_exec(
                sys.executable,
                "-c",
                SPENDER,
                *arguments,
                stdout=PIPE,
                stderr=PIPE,
            )
        )
    ended = await asyncio.gather(*(each.communicate() for each in groups))
    assert not any(errors for _, errors in ended), ended
    used = sum(int(output) for output, _ in ended)
    on_record = await charged(sessions, tenant.id, project)
    assert on_record.amount == Amount(used, Decimal("0.001") * used)
    assert 2850 < used <= 3000
    assert await leased(sessions, tenant, project) == Amount()
