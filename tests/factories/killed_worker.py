"""A worker is killed in the middle of a long chain of steps: how soon it goes on, and what is done twice."""

import asyncio
import random
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any
from uuid import UUID

from tests.factories.api import step
from tests.fixtures.breaking import Breaker
from tests.fixtures.live import Live
from tests.fixtures.true_record import TrueRecord

STEPS = 40
KILLED_AT = 20
LOOK_SECONDS = 0.02

_DONE = "select count(*) as steps from step_runs where execution_id = %s and status = 'COMPLETED'"
_NEXT = """
    select extract(epoch from min(started_at) - %s)::float as seconds from step_runs
    where execution_id = %s and started_at > %s and status = 'COMPLETED'"""
_REPEATED = "select count(*) as steps from step_runs where execution_id = %s and attempt > 1"


@dataclass(frozen=True, kw_only=True)
class Recovered:
    """What the kill has cost."""

    seconds: float
    """From the kill until the next step began."""
    repeated: int
    """Attempts of steps beyond the first."""
    execution: dict[str, Any]


async def a_chain(live: Live) -> dict[str, Any]:
    """A workflow of steps one after another."""
    more = await live.code("return {'n': input['n'] + 1}")
    first = step("s1", more, inputs={"n": 0})
    others = [
        step(f"s{n}", more, inputs={"n": f"{{{{ s{n - 1}.output.n }}}}"}, dependsOn=[f"s{n - 1}"])
        for n in range(2, STEPS + 1)
    ]
    return await live.api.active_workflow(steps=[first, *others])


async def killed_in_the_middle(live: Live, workflow: dict[str, Any]) -> Recovered:
    """Starts a run, kills the worker at its step 20, and waits for the run's end; the stack starts the worker again."""
    record = TrueRecord(stack=live.stack, tenant_id=live.api.tenant_id)
    execution_id = await live.start(workflow)
    key = UUID(execution_id)
    done = 0
    while done < KILLED_AT:
        await asyncio.sleep(LOOK_SECONDS)
        done = (await record.rows(_DONE, key))[0]["steps"]
    breaker = Breaker(stack=live.stack, draw=random.Random(0))  # there is one worker to draw from
    await breaker.kill("worker")
    killed_at = datetime.now(UTC)
    await record.until_over([execution_id])
    await record.check()
    return Recovered(
        seconds=(await record.rows(_NEXT, killed_at, key, killed_at))[0]["seconds"],
        repeated=(await record.rows(_REPEATED, key))[0]["steps"],
        execution=await live.data(f"/executions/{execution_id}"),
    )
