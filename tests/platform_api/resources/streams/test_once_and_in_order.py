"""Whatever is committed when, and wherever a client breaks off: it gets every entry once, in order."""

import asyncio
from collections.abc import Iterator
from contextlib import aclosing, contextmanager
from dataclasses import dataclass
from uuid import uuid4

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from prometheus_client import CollectorRegistry

from flows.runtime.ports import LogLine, RunOutcome
from flows.states import ExecutionStatus
from platform_api.access.principal import PlatformRole, Principal, TenantRole, Via
from platform_api.db.engine import Sessions, create_engine, libpq_url, session_maker
from platform_api.db.models import Execution
from platform_api.kit.ids import new_id
from platform_api.resources.executions.journal import Journal
from platform_api.resources.streams import feed, service
from platform_api.resources.streams.hub import Hub
from platform_api.resources.streams.service import EventStreams
from platform_api.settings import DatabaseSettings, StreamSettings
from tests.factories.events import events_of
from tests.factories.executions import create_execution
from tests.factories.tenants import create_tenant, create_user


@dataclass(frozen=True)
class Commit:
    """Appends so many log lines in one transaction."""

    lines: int


@dataclass(frozen=True)
class Progress:
    """Appends one event."""


@dataclass(frozen=True)
class Pause:
    """Lets everybody else go on."""

    seconds: float


COMMITS = st.lists(
    st.one_of(
        st.builds(Commit, st.integers(1, 12)),
        st.just(Progress()),
        st.builds(Pause, st.sampled_from([0.0, 0.005, 0.02])),
    ),
    max_size=12,
)
BREAKS = st.lists(st.integers(0, 6), max_size=6)
"""After how many pieces a client breaks off, one number for each time."""


@contextmanager
def small_pages() -> Iterator[None]:
    """Bounds that a few dozen entries reach."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(service, "PAGE_ENTRIES", 5)
        patch.setattr(feed, "QUEUE_FRAMES", 8)
        yield


@settings(max_examples=15)
@given(commits=COMMITS, clients=st.lists(BREAKS, min_size=1, max_size=4))
def test_every_entry_once_and_in_order(database_url: str, commits: list[object], clients: list[list[int]]) -> None:
    with small_pages():
        last, heard = asyncio.run(_interleaved(DatabaseSettings(url=database_url), commits, clients))
    expected = [str(number) for number in range(1, last + 1)]
    for each in heard:
        assert each == expected


async def _interleaved(
    database: DatabaseSettings, commits: list[object], clients: list[list[int]]
) -> tuple[int, list[list[str]]]:
    """The highest number that was written, and what each client heard."""
    engine = create_engine(database, application_name="tests")
    sessions = session_maker(engine)
    streams = EventStreams(StreamSettings(), sessions, Hub(libpq_url(database)), CollectorRegistry())
    try:
        async with asyncio.timeout(60):
            return await _interleave(sessions, streams, commits, clients)
    finally:
        await streams.aclose()
        await engine.dispose()


async def _interleave(
    sessions: Sessions, streams: EventStreams, commits: list[object], clients: list[list[int]]
) -> tuple[int, list[list[str]]]:
    tenant = await create_tenant(sessions)
    execution = await create_execution(sessions, tenant)
    user = await create_user(sessions, tenant)
    caller = Principal(
        tenant_id=tenant.id,
        user_id=user.id,
        platform_role=PlatformRole.USER,
        tenant_role=TenantRole.OWNER,
        via=Via.TOKEN,
        session_id=new_id(),
    )

    async def still() -> Principal:
        return caller

    async def listen(breaks: list[int]) -> list[str]:
        """All that a client hears, over all its connections."""
        heard: list[str] = []
        for pieces in [*breaks, None]:
            after = int(heard[-1]) if heard else 0
            async with aclosing(await streams.stream(execution.id, caller, still, after=after)) as chunks:
                seen = 0
                async for chunk in chunks:
                    heard += [event.id for event in events_of(chunk.decode())]
                    seen += 1
                    if seen == pieces:
                        break
        return heard

    async def write() -> int:
        """The highest number, once all is committed."""
        journal = Journal(sessions, tenant.id)
        await journal.run_started(execution.id, prefect_flow_run_id=uuid4(), run_count=1)
        for each in commits:
            if isinstance(each, Commit):
                await journal.logged(execution.id, [LogLine(level="INFO", message="x")] * each.lines)
            elif isinstance(each, Progress):
                await journal.progressed(execution.id, "each", done=1, total=2)
            elif isinstance(each, Pause):
                await asyncio.sleep(each.seconds)
        await journal.run_finished(execution.id, RunOutcome(status=ExecutionStatus.COMPLETED))
        async with sessions() as session:
            return (await session.get_one(Execution, execution.id)).last_seq

    last, *heard = await asyncio.gather(write(), *(listen(breaks) for breaks in clients))
    return last, heard
