"""Group commit: what the steps of one run want to write waits in one lane and goes together, in their order.

A writer takes everything that waits, does it in one transaction (one row lock, one round trip for all rows, one wake of
the streams) and then lets the callers go on: each still waits until its own is durable. A refused write fails its
caller and nobody else. What nobody waits for rides with the next write, or goes by itself `LINGER_SECONDS` later.
"""

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, field
from uuid import UUID

import structlog

from platform_api.access.scope import direct_scope
from platform_api.db.engine import Sessions
from platform_api.errors import IllegalMove
from platform_api.resources.executions.persistence import ABSENCES, persistently
from platform_api.resources.executions.record import Record

LINGER_SECONDS = 0.02
LARGEST_BATCH = 500
TURNS = 2
"""Of the event loop: what one caller writes by two tasks goes together."""

log = structlog.get_logger(__name__)

Write = Callable[[Record, bool], Awaitable[None]]
"""Changes the locked row and what belongs to it. The flag says that an earlier call may have been committed."""


@dataclass(eq=False)
class Entry:
    """One write in a lane. `steps` are ids of records that it will ask for, read ahead with the lock."""

    write: Write
    steps: tuple[UUID, ...] = ()
    urgent: bool = True
    done: asyncio.Future[None] = field(default_factory=lambda: asyncio.get_running_loop().create_future())


class Lane:
    """The writes of one execution. Its writer lives while there is something to write."""

    def __init__(self, sessions: Sessions, tenant_id: UUID, execution_id: UUID, idle: Callable[[UUID], object]) -> None:
        self._sessions = sessions
        self._tenant_id = tenant_id
        self._execution_id = execution_id
        self._idle = idle
        self._waiting: list[Entry] = []
        self._urgent = asyncio.Event()
        self._writer: asyncio.Task[None] | None = None

    def put(self, entry: Entry) -> None:
        """Adds a write behind the others."""
        self._waiting.append(entry)
        if entry.urgent:
            self._urgent.set()
        if self._writer is None:
            self._writer = asyncio.create_task(self._work(), name=f"journal-{self._execution_id}")

    def withdraw(self, entry: Entry) -> None:
        """Takes a write back whose caller has been cancelled, if it is not being made yet."""
        if entry in self._waiting:
            self._waiting.remove(entry)

    async def _work(self) -> None:
        try:
            while self._waiting:
                await self._linger()
                batch, self._waiting = self._waiting[:LARGEST_BATCH], self._waiting[LARGEST_BATCH:]
                self._urgent.clear()
                if batch:  # all may have been withdrawn
                    await self._make(batch)
        finally:
            self._writer = None
            self._idle(self._execution_id)
            for entry in self._waiting:  # only where the process is ending
                entry.done.cancel()

    async def _linger(self) -> None:
        """Waits for company: of what is urgent for what others put in right now, else for something urgent."""
        if any(entry.urgent for entry in self._waiting):
            for _ in range(TURNS):
                await asyncio.sleep(0)
            return
        try:
            async with asyncio.timeout(LINGER_SECONDS):
                await self._urgent.wait()
        except TimeoutError:
            return

    async def _make(self, batch: Sequence[Entry]) -> None:
        """One transaction for all; where one write breaks it, each gets its own."""
        try:
            refused = await persistently(lambda again: self._transaction(batch, again))
        except Exception as error:
            if len(batch) == 1 or isinstance(error, ABSENCES):
                _settle(batch, dict.fromkeys(batch, error))
                return
            for entry in batch:
                await self._make([entry])
        except asyncio.CancelledError:
            for entry in batch:
                entry.done.cancel()
            raise
        else:
            _settle(batch, refused)

    async def _transaction(self, batch: Sequence[Entry], again: bool) -> dict[Entry, Exception]:
        refused: dict[Entry, Exception] = {}
        ids = [step for entry in batch for step in entry.steps]
        async with direct_scope(self._sessions, self._tenant_id) as scope:
            record = await Record.lock(scope, self._execution_id, ids)
            for entry in batch:
                mark = record.mark
                try:
                    await entry.write(record, again)
                except IllegalMove as error:
                    if record.mark != mark:
                        raise
                    refused[entry] = error
            if len(refused) < len(batch):
                await record.close()
        return refused


def _settle(batch: Sequence[Entry], failures: dict[Entry, Exception]) -> None:
    for entry in batch:
        error = failures.get(entry)
        if entry.done.done():
            continue
        if error is None:
            entry.done.set_result(None)
            continue
        entry.done.set_exception(error)
        entry.done.exception()  # a caller that was cancelled asks no more
        if not entry.urgent:
            log.warning("record_not_written", reason=str(error) if isinstance(error, IllegalMove) else repr(error))
