"""Who drives a run: a lock that the database holds for the process and gives back when the process dies, however.

Such a lock belongs to a connection, so each process keeps one for all its runs. A connection that breaks is made anew
and its locks are taken again; the reconciler wants a run to be without a driver for longer than that takes. A process
that hangs keeps its locks: it is alive.
"""

import asyncio
import select
from collections import Counter
from collections.abc import AsyncIterator, Coroutine
from contextlib import asynccontextmanager
from typing import Any
from uuid import UUID

import psycopg
import structlog
from sqlalchemy import Boolean, ColumnElement, literal_column

LOOK_SECONDS = 0.25
"""How long a connection may go unnoticed that the server has closed, as it does when it restarts."""
PROBE_SECONDS = 3.0
"""How long one may that broke in silence; the server keeps the locks as long as it has not noticed either."""
CONNECT_SECONDS = 5

_PREFIX = "turbocat-run:"
_LOCK = "select pg_try_advisory_lock(hashtextextended(%s, 0))"
_UNLOCK = "select pg_advisory_unlock(hashtextextended(%s, 0))"

log = structlog.get_logger(__name__)


class Claims:
    """The locks of one process. No run fails because of them: a lock that cannot be had now is taken later."""

    def __init__(self, url: str) -> None:
        self._url = url
        self._wanted: Counter[UUID] = Counter()
        self._taken: set[UUID] = set()
        self._connection: psycopg.AsyncConnection[tuple[bool]] | None = None
        self._turn = asyncio.Lock()
        self._keeper: asyncio.Task[None] | None = None
        self._under_way: set[asyncio.Task[None]] = set()

    @asynccontextmanager
    async def holding(self, execution_id: UUID) -> AsyncIterator[None]:
        """While the block runs, this process drives the execution."""
        self._keeper = self._keeper or asyncio.create_task(self._keep())
        self._wanted[execution_id] += 1
        try:
            if execution_id not in self._taken:
                await self._whole(self._settle())
            yield
        finally:
            self._wanted[execution_id] -= 1
            if self._wanted[execution_id] == 0:
                del self._wanted[execution_id]
                await self._whole(self._settle())

    async def aclose(self) -> None:
        """Gives everything back."""
        if self._keeper is not None:
            self._keeper.cancel()
            await asyncio.gather(self._keeper, *self._under_way, return_exceptions=True)
        await self._forget()

    async def _keep(self) -> None:
        probed = asyncio.get_running_loop().time()
        while True:
            await asyncio.sleep(LOOK_SECONDS)
            now = asyncio.get_running_loop().time()
            look = now - probed >= PROBE_SECONDS or self._has_news()
            if look:
                probed = now
            if look or self._wanted.keys() != self._taken:
                await self._settle(look=look)

    def _has_news(self) -> bool:
        """Whether something came on the connection that nobody asked for: most likely its end."""
        if self._connection is None or self._connection.closed or self._turn.locked():
            return False
        poll = select.poll()
        poll.register(self._connection.fileno(), select.POLLIN)
        return bool(poll.poll(0))

    async def _whole(self, work: Coroutine[Any, Any, None]) -> None:
        """Goes on with `work` when who waits for it is cancelled: half a question leaves a lock nobody knows of."""
        task = asyncio.create_task(work)
        self._under_way.add(task)
        task.add_done_callback(self._under_way.discard)
        await asyncio.shield(task)

    async def _settle(self, *, look: bool = False) -> None:
        """Brings what is taken to what is wanted; `look` notices a connection that has broken unseen."""
        async with self._turn:
            try:
                await self._adjust(look)
            except (psycopg.Error, OSError) as error:
                log.warning("claims_wait_for_database", reason=type(error).__name__)
                await self._forget()

    async def _adjust(self, look: bool) -> None:
        if self._connection is None:
            self._connection = await psycopg.AsyncConnection.connect(
                self._url, autocommit=True, connect_timeout=CONNECT_SECONDS, application_name="turbocat-claims"
            )
        elif look:
            await self._connection.execute("select 1")
        for execution_id in self._wanted.keys() - self._taken:
            if await self._ask(self._connection, _LOCK, execution_id):
                self._taken.add(execution_id)
        for execution_id in self._taken - self._wanted.keys():
            await self._ask(self._connection, _UNLOCK, execution_id)
            self._taken.discard(execution_id)

    async def _ask(self, connection: psycopg.AsyncConnection[tuple[bool]], statement: str, execution_id: UUID) -> bool:
        row = await (await connection.execute(statement, [f"{_PREFIX}{execution_id}"])).fetchone()
        return bool(row and row[0])

    async def _forget(self) -> None:
        connection, self._connection = self._connection, None
        self._taken.clear()
        if connection is not None:
            await connection.close()


UNDRIVEN: ColumnElement[bool] = literal_column(
    f"""not exists (
        select from pg_locks
        where locktype = 'advisory' and objsubid = 1 and granted
          and database = (select oid from pg_database where datname = current_database())
          and (classid::bigint << 32 | objid::bigint) = hashtextextended('{_PREFIX}' || executions.id::text, 0)
    )""",  # noqa: S608  # our own constant
    Boolean,
)
"""The condition on `executions` that no living process drives the row."""
