"""The pool of warm processes: fed, watched, replaced, stopped."""

import asyncio
import contextlib
from collections.abc import AsyncIterator
from typing import Any

import psutil
import pytest

from deployments.worker.fork_server import ForkServer, ForkServerLost
from deployments.worker.processes import LOST, WarmPool, WarmProcess
from tests.fixtures.fork_servers import fork_server


@pytest.fixture
async def server() -> AsyncIterator[ForkServer]:
    with fork_server("main") as control:
        async with contextlib.aclosing(await ForkServer.connect(control)) as connected:
            yield connected


@pytest.fixture
async def pool(server: ForkServer) -> AsyncIterator[WarmPool]:
    warm = WarmPool(2, server)
    await warm.start()
    await full(warm)
    yield warm
    await warm.stop(5)


async def full(pool: WarmPool) -> None:
    async with asyncio.timeout(20):
        while len(pool.living) < 2:
            await pool.changed()


def a_run(run_id: str, name: str = "quick") -> dict[str, Any]:
    return {"id": run_id, "name": name}


async def test_a_run_is_answered_by_a_process_that_stays(pool: WarmPool) -> None:
    process = await pool.take()
    assert [await process.run(a_run(str(number)), "w") for number in range(3)] == [0, 0, 0]
    assert process.load == 0
    assert psutil.pid_exists(process.pid)


async def test_a_run_may_have_numbers_beyond_64_bits(pool: WarmPool) -> None:
    process = await pool.take()
    assert await process.run({**a_run("one"), "parameters": {"far": 10**300}}, "w") == 0


async def test_the_least_loaded_process_is_taken(pool: WarmPool) -> None:
    first = await pool.take()
    held = asyncio.create_task(first.run(a_run("one", "hold"), "w"))
    while pool.holder("one") is None:  # noqa: ASYNC110  # one turn of the loop, until the task has begun
        await asyncio.sleep(0)
    second = await pool.take()
    assert second.pid != first.pid
    assert pool.holder("one") is first
    await first.cancel("one", "enough")
    assert await held == 1
    assert pool.holder("one") is None


async def test_runs_of_a_process_that_dies_are_lost_and_it_is_replaced(pool: WarmPool) -> None:
    process = await pool.take()
    assert await process.run(a_run("one", "die"), "w") == LOST
    pids = {(await pool.take()).pid for _ in range(3)}
    await full(pool)
    assert process.pid not in pids
    assert await (await pool.take()).run(a_run("two"), "w") == 0


async def test_a_killed_process_is_noticed_while_it_holds_a_run(pool: WarmPool) -> None:
    process = await pool.take()
    held = asyncio.create_task(process.run(a_run("one", "hold"), "w"))
    while pool.holder("one") is None:  # noqa: ASYNC110  # one turn of the loop, until the task has begun
        await asyncio.sleep(0)
    psutil.Process(process.pid).kill()
    async with asyncio.timeout(20):
        assert await held == LOST


async def test_one_process_is_enough_to_begin_and_the_others_follow(server: ForkServer) -> None:
    warm = WarmPool(3, server)
    await warm.start()
    assert len(warm.living) == 1
    assert await (await warm.take()).run(a_run("one"), "w") == 0
    await full(warm)
    await warm.stop(5)
    assert warm.living == []


async def test_more_processes_join_when_none_is_free(server: ForkServer) -> None:
    warm = WarmPool(2, server, ready=1)
    await warm.start()
    first = await warm.take()
    assert await first.run(a_run("one"), "w") == 0
    assert await warm.take() is first
    held = asyncio.create_task(first.run(a_run("two", "hold"), "w"))
    while warm.holder("two") is None:  # noqa: ASYNC110  # one turn of the loop, until the task has begun
        await asyncio.sleep(0)
    assert await warm.take() is first
    await full(warm)
    assert await warm.take() is not first
    await first.cancel("two", "enough")
    assert await held == 1
    await warm.stop(5)
    assert warm.living == []


async def test_stopping_leaves_no_process(server: ForkServer) -> None:
    warm = WarmPool(2, server)
    await warm.start()
    await full(warm)
    pids = [process.pid for process in warm.living]
    await warm.stop(5)
    assert len(pids) == 2
    assert not any(psutil.pid_exists(pid) for pid in pids)


async def test_a_process_that_never_gets_ready_says_so() -> None:
    with fork_server("stillborn") as control:
        async with contextlib.aclosing(await ForkServer.connect(control)) as server:
            with pytest.raises(ConnectionError, match="its log says why"):
                await WarmProcess.start(server)


async def test_a_pool_whose_fork_server_has_ended_cannot_go_on() -> None:
    with fork_server("main") as control:
        async with contextlib.aclosing(await ForkServer.connect(control)) as server:
            warm = WarmPool(1, server)
            keeping = asyncio.create_task(warm.keep())
            process = psutil.Process((await warm.take()).pid)
            process.parent().kill()  # type: ignore[union-attr]  # it has one
            async with asyncio.timeout(20):
                with pytest.raises(ForkServerLost):
                    await keeping
                await warm.stop(5)
            process.wait(20)
