"""The channels that workers hear."""

import asyncio

import psycopg
import pytest

from deployments.worker.wake import listen
from platform_api.resources.executions.journal import RUNS_CHANNEL


class Woken:
    """Counts calls; the first one may fail."""

    def __init__(self, *, fails_first: bool = False) -> None:
        self.calls: list[str] = []
        self.fails_first = fails_first
        self.again = asyncio.Event()

    async def __call__(self, environment: str) -> None:
        self.calls.append(environment)
        self.again.set()
        if self.fails_first and len(self.calls) == 1:
            raise RuntimeError("Prefect is away")

    async def next(self) -> None:
        async with asyncio.timeout(20):
            await self.again.wait()
        self.again.clear()


async def notify(url: str, environment: str, woken: Woken) -> None:
    """Notifies until it is heard: the listener may still be connecting."""
    async with await psycopg.AsyncConnection.connect(url, autocommit=True) as connection:
        while True:
            await connection.execute("select pg_notify(%s, %s)", (RUNS_CHANNEL, environment))
            try:
                async with asyncio.timeout(0.2):
                    return await woken.next()
            except TimeoutError:
                continue


@pytest.mark.parametrize("fails_first", [False, True])
async def test_each_event_wakes_also_after_a_failure(fresh_database_url: str, fails_first: bool) -> None:
    woken = Woken(fails_first=fails_first)
    listener = asyncio.create_task(listen(fresh_database_url, {RUNS_CHANNEL: woken}))
    await notify(fresh_database_url, "STAGING", woken)
    await notify(fresh_database_url, "PRODUCTION", woken)
    listener.cancel()
    await asyncio.gather(listener, return_exceptions=True)
    assert woken.calls[0] == "STAGING"
    assert woken.calls[-1] == "PRODUCTION"


async def test_a_lost_connection_is_made_again(fresh_database_url: str) -> None:
    woken = Woken()
    listener = asyncio.create_task(listen(fresh_database_url, {RUNS_CHANNEL: woken}))
    await notify(fresh_database_url, "STAGING", woken)
    with psycopg.connect(fresh_database_url, autocommit=True) as connection:
        connection.execute(
            "select pg_terminate_backend(pid) from pg_stat_activity"
            " where datname = current_database() and pid <> pg_backend_pid()"
        )
    await notify(fresh_database_url, "PRODUCTION", woken)
    listener.cancel()
    await asyncio.gather(listener, return_exceptions=True)
    assert woken.calls[-1] == "PRODUCTION"
