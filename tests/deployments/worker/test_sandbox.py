"""What a worker says of its sandbox, in its log, to the API and on record, and how long."""

import asyncio
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager

import pytest
import structlog
from sqlalchemy import select

from agents.code.backend import SandboxBackend
from agents.code.selection import SandboxChoice, Selection
from deployments.worker import sandbox as announcing
from deployments.worker.sandbox import Announcement
from platform_api.access.scope import system_scope
from platform_api.db.engine import Sessions
from platform_api.db.models import AuditLog
from platform_api.resources.workers.repository import SandboxState, WorkerRows
from tests.agents.code.test_selection import four

NOTHING = {"namespace": False, "docker": False, "landlock": False}


@pytest.fixture(autouse=True)
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(announcing, "BEAT_SECONDS", 0.02)
    monkeypatch.setattr(announcing, "AGAIN_SECONDS", 0.0)


@asynccontextmanager
async def announced(
    sessions: Sessions, choice: SandboxChoice, backends: Sequence[SandboxBackend]
) -> AsyncIterator[None]:
    task = asyncio.create_task(Announcement(Selection(choice, backends), sessions).keep())
    yield
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)
    assert task.cancelled()
    assert all(backend.closed for backend in backends)  # type: ignore[attr-defined]


async def live(sessions: Sessions) -> list[SandboxState]:
    async with system_scope(sessions) as scope:
        return list(await WorkerRows(scope.session).live())


async def until(sessions: Sessions, holds: Callable[[SandboxState], bool]) -> SandboxState:
    async with asyncio.timeout(60):
        while not (found := await live(sessions)) or not holds(found[0]):  # noqa: ASYNC110 - a table tells nobody
            await asyncio.sleep(0.01)
    return found[0]


async def told(choice: SandboxChoice, sessions: Sessions, **works: bool) -> list[str]:
    with structlog.testing.capture_logs() as logs:
        await Announcement(Selection(choice, four(**works)), sessions).tried()
    return [f"{entry['log_level']} {entry['event']}" for entry in logs]


async def audited(sessions: Sessions) -> list[str]:
    async with system_scope(sessions) as scope:
        found = await scope.session.scalars(select(AuditLog.action).where(AuditLog.resource_type == "worker"))
        return list(found)


async def test_a_sandbox_is_named_as_long_as_its_worker_lives(sessions: Sessions) -> None:
    before = await audited(sessions)
    assert await told(SandboxChoice.AUTO, sessions) == ["info code_sandbox"]
    async with announced(sessions, SandboxChoice.AUTO, four()):
        found = await until(sessions, lambda state: True)
        assert (found.sandbox, found.refusal) == ("namespace", None)
    assert await live(sessions) == []
    assert await audited(sessions) == before


async def test_none_at_all_is_an_error_and_its_reason_is_told(sessions: Sessions) -> None:
    assert await told(SandboxChoice.AUTO, sessions, **NOTHING) == ["error code_agents_refused"]
    async with announced(sessions, SandboxChoice.AUTO, four(**NOTHING)):
        found = await until(sessions, lambda state: True)
    assert (found.sandbox, found.languages) == (None, frozenset())
    assert "no sandbox works here" in str(found.refusal)


async def test_a_machine_that_is_mended_is_found_out(sessions: Sessions) -> None:
    backends = four(**NOTHING)
    async with announced(sessions, SandboxChoice.AUTO, backends):
        await until(sessions, lambda state: state.sandbox is None)
        backends[0].works = True  # type: ignore[attr-defined]
        await until(sessions, lambda state: state.sandbox == "namespace")


@pytest.mark.case(40)
async def test_no_sandbox_by_choice_is_on_the_record_once(sessions: Sessions) -> None:
    before = await audited(sessions)
    assert await told(SandboxChoice.UNSAFE_LOCAL, sessions) == ["warning code_agents_run_without_a_sandbox"]
    async with announced(sessions, SandboxChoice.UNSAFE_LOCAL, four()):
        await until(sessions, lambda state: state.sandbox == "unsafe-local")
        await asyncio.sleep(0.1)
    assert await audited(sessions) == [*before, "worker.unsafe_sandbox"]


async def test_a_database_that_is_away_is_waited_for(sessions: Sessions, monkeypatch: pytest.MonkeyPatch) -> None:
    keep, away = WorkerRows.keep, [True, True]

    async def sometimes(rows: WorkerRows, *what: object) -> None:
        if away:
            away.pop()
            raise ConnectionError
        await keep(rows, *what)  # type: ignore[arg-type]

    monkeypatch.setattr(WorkerRows, "keep", sometimes)
    async with announced(sessions, SandboxChoice.UNSAFE_LOCAL, four()):
        await until(sessions, lambda state: state.sandbox == "unsafe-local")
    assert away == []
