"""Every part of the stack dies while runs of all kinds are under way; whatever happened, the record is true in the end.

What dies when is drawn from a seed, which is printed. `TURBOCAT_TEST_FAULT_ROUNDS` asks for more rounds than one (each
kills every part once), `TURBOCAT_TEST_FAULT_SEED` for the draw of an earlier round.
"""

import asyncio
import contextlib
import random
import signal
import time
from collections.abc import AsyncIterator, Iterator

import httpx
import psutil
import pytest

from deployments.local.environment import inherited
from tests.factories.api import owner
from tests.factories.events import arriving
from tests.factories.fault_load import Load, all_kinds
from tests.fixtures.breaking import WARM_PROCESS, Breaker
from tests.fixtures.live import OVER, Live, clients
from tests.fixtures.stack import RunningStack, started
from tests.fixtures.true_record import TrueRecord

pytestmark = [pytest.mark.e2e, pytest.mark.slow, pytest.mark.timeout(280), pytest.mark.case(32, 33, 34, 35, 36)]

PARTS = (WARM_PROCESS, "API", "Prefect", "worker", "PostgreSQL", WARM_PROCESS)
POSTGRES_ENDS = (signal.SIGKILL, signal.SIGINT, signal.SIGQUIT)
"""A crash, a restart that waits for nobody, one that does not even say goodbye."""
PAUSE_SECONDS = (0.5, 3.0)
FIRST_RUNS, MOST_RUNS = 6, 16
"""A slow machine is longer at the kills, and is not to have more to do for it."""
BETWEEN_SECONDS = 1.5
HEALTHY_SECONDS = 120.0


@pytest.fixture(scope="module")
def own_stack(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningStack]:
    """A stack of its own: this one is broken on purpose."""
    log = tmp_path_factory.mktemp("faults-log") / "up.log"
    with started(tmp_path_factory.mktemp("faults"), log) as running:
        yield running


@pytest.fixture
async def faulty(own_stack: RunningStack) -> AsyncIterator[Live]:
    """A tenant of the round's own."""
    async with clients(own_stack) as (client, prefect):
        await until_healthy(client)
        yield Live(api=await owner(client), prefect=prefect, stack=own_stack)


@pytest.mark.parametrize("_round", range(int(inherited().get("TURBOCAT_TEST_FAULT_ROUNDS", "1"))))
async def test_whatever_dies_the_record_is_true_in_the_end(_round: int, faulty: Live) -> None:
    seed = int(inherited().get("TURBOCAT_TEST_FAULT_SEED", random.SystemRandom().randrange(2**32)))
    print(f"TURBOCAT_TEST_FAULT_SEED={seed}")  # what a failure is repeated with
    draw = random.Random(seed)  # repeatable, guards nothing
    breaker = Breaker(stack=faulty.stack, draw=draw)
    load = Load(live=faulty, workflows=await all_kinds(faulty), pause_seconds=BETWEEN_SECONDS, most=MOST_RUNS)
    for _ in range(FIRST_RUNS):
        await load.start_one()
    async with asyncio.TaskGroup() as group:
        listening = {each: group.create_task(heard(faulty, each)) for each in load.expected}
        starting = group.create_task(load.run())
        for part in draw.sample(PARTS, len(PARTS)):
            await asyncio.sleep(draw.uniform(*PAUSE_SECONDS))
            await breaker.kill(part, draw.choice(POSTGRES_ENDS) if part == "PostgreSQL" else signal.SIGKILL)
        await asyncio.sleep(1)
        load.stopped = True
        await starting
    record = TrueRecord(stack=faulty.stack, tenant_id=faulty.api.tenant_id)
    await record.until_over(list(load.expected))
    completed = await record.check_ends(load.expected)
    assert completed >= len(load.expected) * 0.9
    await record.check()
    await record.until_unclaimed()
    await record.until_prefect_agrees(faulty.prefect)
    for execution_id, listener in listening.items():
        (row,) = await record.rows("select last_seq from executions where id = %s", execution_id)
        assert listener.result() == list(range(1, row["last_seq"] + 1))
    await until_nothing_is_left(breaker)


async def heard(live: Live, execution_id: str) -> list[int]:
    """The numbers of the events that a client of the stream gets; it comes back when it is cut off, as browsers do."""
    numbers: list[int] = []
    while True:
        headers = {**live.api.headers, **({"Last-Event-ID": str(numbers[-1])} if numbers else {})}
        with contextlib.suppress(httpx.HTTPError):
            path = f"/api/v1/executions/{execution_id}/stream"
            async with live.api.client.stream("GET", path, headers=headers) as answer:
                async for event in arriving(answer):
                    numbers.append(int(event.id))
                    if event.event == "execution.status" and event.data["status"] in OVER:
                        return numbers
        await asyncio.sleep(0.5)


async def until_healthy(client: httpx.AsyncClient) -> None:
    deadline = time.monotonic() + HEALTHY_SECONDS
    while True:
        with contextlib.suppress(httpx.HTTPError):
            if (await client.get("/health")).status_code == httpx.codes.OK:
                return
        assert time.monotonic() < deadline, "the stack does not become healthy"
        await asyncio.sleep(0.5)


async def until_nothing_is_left(breaker: Breaker) -> None:
    """Processes of what was killed see that within seconds."""
    deadline = time.monotonic() + 30
    while left := breaker.left_over():
        assert time.monotonic() < deadline, left
        with contextlib.suppress(psutil.NoSuchProcess):
            await asyncio.sleep(0.5)
