"""Streams of executions: what is on record first, then what comes, each entry once and in its order.

No stream holds a database connection: it borrows one to catch up, and at each heartbeat to ask whether its caller may
still read. What is new is read once per execution and process (`feed`), when a notification says so (`hub`).
"""

import asyncio
import time
from collections.abc import AsyncGenerator, AsyncIterator, Awaitable, Callable, Sequence
from contextlib import asynccontextmanager
from uuid import UUID

import structlog
from prometheus_client import CollectorRegistry, Gauge

from flows.states import is_final
from platform_api.access.permissions import Permission
from platform_api.access.principal import Principal
from platform_api.access.roles import allows
from platform_api.access.scope import tenant_scope
from platform_api.db.engine import Sessions
from platform_api.errors import Forbidden, NotFound, ServiceUnavailable, Unauthenticated
from platform_api.resources.executions.service import ExecutionService, Standing
from platform_api.resources.streams.feed import Read
from platform_api.resources.streams.frames import HEARTBEAT, OPENING, Frame, frame_of
from platform_api.resources.streams.hub import Hub
from platform_api.resources.streams.repository import EntryRepository
from platform_api.settings import StreamSettings

PAGE_ENTRIES = 200
CONNECTIONS = 4
"""How many of the pool all streams borrow at once; who needs one more waits, and other requests find some."""

log = structlog.get_logger(__name__)

Recheck = Callable[[], Awaitable[Principal]]
"""Who the caller is by now; raises `Unauthenticated` when they are nobody any more."""


class EventStreams:
    """All streams of one process."""

    def __init__(self, settings: StreamSettings, sessions: Sessions, hub: Hub, registry: CollectorRegistry) -> None:
        self.settings = settings
        self._sessions = sessions
        self._hub = hub
        self.borrowing = asyncio.Semaphore(CONNECTIONS)
        self._open = 0
        self._gauge = Gauge("turbocat_event_streams_open", "Event streams of this process", registry=registry)

    async def stream(
        self, execution_id: UUID, caller: Principal, recheck: Recheck, *, after: int
    ) -> AsyncGenerator[bytes]:
        """Opens the stream behind the entry `after`; raises `NotFound`, `Forbidden` and `ServiceUnavailable`."""
        if self._hub.is_ending or self._open >= self.settings.limit:
            raise ServiceUnavailable("This server has no room for another stream now", headers={"Retry-After": "5"})
        standing = await self.standing(execution_id, caller)
        # A number from the future would hide all that is to come.
        stream = _Stream(self, execution_id, caller, recheck, min(after, standing.last_seq))
        return stream.chunks(is_over=is_final(standing.status))

    async def standing(self, execution_id: UUID, caller: Principal) -> Standing:
        """How far the execution is; raises `NotFound` or `Forbidden`."""
        async with self.borrowing, tenant_scope(self._sessions, caller.tenant_id, caller) as scope:
            return await ExecutionService(scope).standing(execution_id)

    def end_all(self) -> None:
        """Ends every stream soon and takes no more: the process is about to leave."""
        self._hub.end()

    async def aclose(self) -> None:
        """Ends what listens to the database."""
        await self._hub.aclose()

    @asynccontextmanager
    async def counted(self) -> AsyncIterator[None]:
        """Counts a stream as open."""
        self._open += 1
        self._gauge.set(self._open)
        try:
            yield
        finally:
            self._open -= 1
            self._gauge.set(self._open)

    @property
    def hub(self) -> Hub:
        """What tells of news."""
        return self._hub

    def reader(self, tenant_id: UUID, execution_id: UUID) -> Read:
        """Reads pages of the execution's record, each in a transaction of its own."""

        async def read(after: int) -> Sequence[Frame]:
            async with self.borrowing, tenant_scope(self._sessions, tenant_id) as scope:
                entries = await EntryRepository(scope).after(execution_id, after, limit=PAGE_ENTRIES)
            return [frame_of(execution_id, entry) for entry in entries]

        return read


class _Stream:
    """One listener. `position` is the last number that it was sent."""

    def __init__(
        self, streams: EventStreams, execution_id: UUID, caller: Principal, recheck: Recheck, position: int
    ) -> None:
        self._streams = streams
        self._execution_id = execution_id
        self._recheck = recheck
        self._position = position
        self._read = streams.reader(caller.tenant_id, execution_id)
        self._is_over = False
        self._ends_at = time.monotonic() + streams.settings.seconds
        self._beats_at = 0.0

    async def chunks(self, *, is_over: bool) -> AsyncGenerator[bytes]:
        """What goes over the wire, to its end. A run that `is_over` says nothing new."""
        async with self._streams.counted():
            yield OPENING
            self._put_off_heartbeat()
            try:
                async for chunk in self._all(is_over=is_over):
                    yield chunk
            except Exception:  # the answer has begun: all that can be done is to end it, and the client comes again
                log.exception("stream_broken")

    async def _all(self, *, is_over: bool) -> AsyncIterator[bytes]:
        async for chunk in self._backlog():
            yield chunk
        while not is_over and not self._has_ended:
            async for chunk in self._live():
                yield chunk

    async def _live(self) -> AsyncIterator[bytes]:
        """Joins the feed, reads what came in between, and goes on until something ends it.

        Ended by a full queue it is called again: the record has what the queue has lost.
        """
        hub = self._streams.hub
        with hub.joined(self._execution_id, self._position, lambda: self._read) as subscription:
            async for chunk in self._backlog():
                yield chunk
            while not (self._has_ended or subscription.is_over):
                frames = await subscription.take(within_seconds=self._patience)
                if body := self._new(frames):
                    yield body
                async for chunk in self._heartbeat():
                    yield chunk

    async def _backlog(self) -> AsyncIterator[bytes]:
        while not self._has_ended and (frames := await self._read(self._position)):
            if body := self._new(frames):
                yield body
            async for chunk in self._heartbeat():
                yield chunk

    async def _heartbeat(self) -> AsyncIterator[bytes]:
        if self._is_over or time.monotonic() < self._beats_at:
            return
        if not await self._may_go_on():
            self._is_over = True
            return
        self._put_off_heartbeat()
        yield HEARTBEAT

    async def _may_go_on(self) -> bool:
        """Whether the session or key is still good, and its owner still reads the execution."""
        try:
            async with self._streams.borrowing:
                caller = await self._recheck()
            await self._streams.standing(self._execution_id, caller)
        except (Unauthenticated, Forbidden, NotFound):
            return False
        return allows(caller, Permission.EXECUTIONS_READ)

    def _new(self, frames: Sequence[Frame]) -> bytes:
        """The frames that have not been sent yet, as one piece."""
        bodies = []
        for frame in frames:
            if frame.seq is not None:
                if frame.seq <= self._position:
                    continue
                self._position = frame.seq
            bodies.append(frame.body)
            self._is_over = self._is_over or frame.is_last
        return b"".join(bodies)

    def _put_off_heartbeat(self) -> None:
        self._beats_at = time.monotonic() + self._streams.settings.heartbeat_seconds

    @property
    def _patience(self) -> float:
        return max(min(self._beats_at, self._ends_at) - time.monotonic(), 0.0)

    @property
    def _has_ended(self) -> bool:
        return self._is_over or self._streams.hub.is_ending or time.monotonic() >= self._ends_at
