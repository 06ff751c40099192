"""Claims are given back whatever happens to the run that wanted them."""

import asyncio
from uuid import UUID

import psycopg
import pytest

from platform_api.kit.ids import new_id
from platform_api.resources.executions.claims import LOOK_SECONDS, Claims

pytestmark = pytest.mark.case(32)

_HELD = """
    select count(*) from pg_locks
    where locktype = 'advisory' and granted
      and (classid::bigint << 32 | objid::bigint) = hashtextextended(%s, 0)
"""


async def held(url: str, execution_id: UUID) -> bool:
    async with await psycopg.AsyncConnection.connect(url) as connection:
        row = await (await connection.execute(_HELD, [f"turbocat-run:{execution_id}"])).fetchone()
    return bool(row and row[0])


async def given_back(url: str, execution_id: UUID) -> bool:
    """Whether nobody holds it, looked at for longer than the keeper needs to take it again."""
    for _ in range(4):
        await asyncio.sleep(LOOK_SECONDS)
        if await held(url, execution_id):
            return False
    return True


@pytest.mark.parametrize("turns", range(8))
async def test_a_run_that_is_cancelled_as_it_begins_leaves_no_claim(database_url: str, turns: int) -> None:
    """It may be cancelled while the lock is asked for; `turns` of the event loop later it is, at another place."""
    claims = Claims(database_url)
    execution_id = new_id()

    async def run() -> None:
        async with claims.holding(execution_id):
            await asyncio.sleep(60)

    try:
        async with claims.holding(new_id()):  # the connection is there, so that only the lock is asked for
            task = asyncio.create_task(run())
            for _ in range(turns):
                await asyncio.sleep(0)
            task.cancel()
            await asyncio.gather(task, return_exceptions=True)
            assert await given_back(database_url, execution_id)
    finally:
        await claims.aclose()


async def test_a_claim_lasts_as_long_as_its_run(database_url: str) -> None:
    claims = Claims(database_url)
    execution_id = new_id()
    async with claims.holding(execution_id):
        assert await held(database_url, execution_id)
        async with claims.holding(execution_id):
            pass
        assert await held(database_url, execution_id)
    assert not await held(database_url, execution_id)
    await claims.aclose()
