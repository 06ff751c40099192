"""Runs on the real stack: how soon the first step works (P1), what light steps cost (P2, P4), bursts (P3).

A light step is a CONDITION: it evaluates an expression in microseconds, so that what is measured is what running and
recording a step costs. The first line of a step's own work is that of a CODE agent's program, sandbox and all.
"""

import asyncio
import statistics
import time
from collections.abc import AsyncIterator
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from tests.bench.measure import Figure, percentile
from tests.bench.processes import cpu_seconds, pss_mib
from tests.factories.api import step
from tests.fixtures.live import Live

CHAIN, CLIENTS = 40, 8
WARM_UP = 3
ONCE_MORE_SECONDS = 0.2


@dataclass(frozen=True, kw_only=True)
class Size:
    """How often and how much."""

    starts: int
    rounds: int
    burst: int
    items: tuple[int, ...]
    kills: int


FULL = Size(starts=40, rounds=7, burst=200, items=(1_000, 10_000), kills=3)
SMALL = Size(starts=2, rounds=1, burst=9, items=(20,), kills=1)


async def figures(live: Live, size: Size) -> AsyncIterator[Figure]:
    """All of them, the light ones first."""
    for part in PARTS.values():
        async for figure in part(live, size=size):
            yield figure


async def first_step(live: Live, *, size: Size) -> AsyncIterator[Figure]:
    """From the POST on an idle, warm system."""
    agent = await live.code("import time\nreturn {'at': time.time()}")
    workflow = await live.api.active_workflow(steps=[step("work", agent)], output={"at": "{{ work.output.at }}"})
    begun, working = [], []
    for _ in range(size.starts + WARM_UP):
        await asyncio.sleep(ONCE_MORE_SECONDS)
        posted = time.time()
        execution = await live.run(workflow)
        working.append((execution["outputs"]["at"] - posted) * 1e3)
        begun.append((_seconds(execution["startedAt"]) - posted) * 1e3)
    working, begun = working[WARM_UP:], begun[WARM_UP:]
    what = "P1 execute → first line of the first step"
    yield Figure(f"{what}, p50", statistics.median(working), "ms", size.starts, goal=110)
    yield Figure(f"{what}, p95", percentile(working, 95), "ms", size.starts, goal=250)
    yield Figure("P1 execute → run on record as RUNNING, p50", statistics.median(begun), "ms", size.starts)


async def chain(live: Live, *, size: Size) -> AsyncIterator[Figure]:
    """Light steps one after another."""
    keys = [f"s{number}" for number in range(CHAIN)]
    workflow = await live.api.active_workflow(
        steps=[_light(key, *keys[max(number - 1, 0) : number]) for number, key in enumerate(keys)]
    )
    each = []
    for _ in range(size.rounds + 1):
        steps = await live.data(f"/executions/{(await live.run(workflow))['id']}/steps", pageSize=100)
        first = min(_seconds(row["startedAt"]) for row in steps)
        each.append((max(_seconds(row["completedAt"]) for row in steps) - first) / CHAIN * 1e3)
    yield Figure(f"P2 {CHAIN} light steps in a row, a step", statistics.median(each[1:]), "ms", size.rounds, goal=4)


async def loops(live: Live, *, size: Size) -> AsyncIterator[Figure]:
    """A LOOP and a reduce behind it."""
    for items in size.items:
        body = {"items": "inputs.items", "steps": [_light("look")], "maxIterations": items}
        workflow = await live.api.active_workflow(
            steps=[{"stepKey": "each", "type": "LOOP", "config": body}, _light("reduce", "each")],
            output={"n": "{{ each.output.items | length }}"},
        )
        before, peak, seconds = pss_mib(live.stack), 0.0, []
        for _ in range(size.rounds if items <= 1_000 else 2):
            running = asyncio.create_task(live.run(workflow, inputs={"items": list(range(items))}))
            while not running.done():
                peak = max(peak, await asyncio.to_thread(pss_mib, live.stack))
                await asyncio.wait([running], timeout=1)
            execution = running.result()
            assert execution["outputs"] == {"n": items}, execution
            seconds.append(execution["durationMs"] / 1e3)
        goal = 2 * items / 1_000
        yield Figure(f"P4 LOOP over {items:,} light items", statistics.median(seconds), "s", len(seconds), goal=goal)
        yield Figure(f"P4 LOOP over {items:,} light items, memory", max(peak - before, 0.0), "MiB", 1, goal=200)


async def bursts(live: Live, *, size: Size) -> AsyncIterator[Figure]:
    """Three-step runs, started by several clients as fast as they are accepted."""
    workflow = await live.api.active_workflow(steps=[_light("a"), _light("b", "a"), _light("c", "b")])
    await live.run(workflow)
    left = iter(range(size.burst))

    async def client() -> None:
        for _ in left:
            await live.start(workflow)

    before, begun = cpu_seconds(live.stack), time.time()
    await asyncio.gather(*(client() for _ in range(CLIENTS)))
    seconds = await _all_ended(live, workflow, size.burst + 1) - begun
    used = cpu_seconds(live.stack) - before
    what = f"P3 burst of {size.burst} three-step runs"
    yield Figure(f"{what}, finished", size.burst / seconds * 60, "runs/min", 1, goal=600, more_is_better=True)
    yield Figure(f"{what}, CPU", used / size.burst, "s/run", 1)


PARTS = {"the first step": first_step, "steps in a row": chain, "loops": loops, "bursts": bursts}


async def _all_ended(live: Live, workflow: dict[str, Any], runs: int) -> float:
    """When the last of them ended; all have to end well."""
    path = f"/workflows/{workflow['id']}/executions"
    deadline = time.monotonic() + 600
    while True:
        answer = await live.api.get(path, status="COMPLETED", pageSize=1, sortBy="completedAt", sortOrder="desc")
        if answer.json()["meta"]["pagination"]["totalItems"] == runs:
            return _seconds(answer.json()["data"][0]["completedAt"])
        assert time.monotonic() < deadline, "runs were lost"
        await asyncio.sleep(0.25)


def _light(key: str, *after: str) -> dict[str, Any]:
    config = {"expression": "1 + 1 == 2", "then": []}
    return {"stepKey": key, "type": "CONDITION", "dependsOn": list(after), "config": config}


def _seconds(instant: str) -> float:
    return datetime.fromisoformat(instant).timestamp()
