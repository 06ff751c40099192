"""What a worker says of its sandbox when it starts."""

from types import SimpleNamespace
from typing import cast

import pytest
import structlog
from sqlalchemy import select
from sqlalchemy.ext.asyncio import AsyncSession, async_sessionmaker

from agents.code.selection import SandboxChoice, Selection
from deployments.wiring import Wiring
from deployments.worker.sandbox import announce
from platform_api.access.scope import system_scope
from platform_api.db.models import AuditLog
from tests.agents.code.test_selection import four

Sessions = async_sessionmaker[AsyncSession]


async def told(choice: SandboxChoice, sessions: Sessions, **works: bool) -> list[str]:
    backends = four(**works)
    with structlog.testing.capture_logs() as logs:
        await announce(Selection(choice, backends), cast(Wiring, SimpleNamespace(sessions=sessions)))
    assert all(backend.closed for backend in backends)  # type: ignore[attr-defined]
    return [f"{entry['log_level']} {entry['event']}" for entry in logs]


async def audited(sessions: Sessions) -> list[str]:
    async with system_scope(sessions) as scope:
        found = await scope.session.scalars(select(AuditLog.action).where(AuditLog.resource_type == "worker"))
        return list(found)


async def test_a_sandbox_is_named(sessions: Sessions) -> None:
    before = await audited(sessions)
    assert await told(SandboxChoice.AUTO, sessions) == ["info code_sandbox"]
    assert await audited(sessions) == before


async def test_none_at_all_is_an_error(sessions: Sessions) -> None:
    works = {"namespace": False, "docker": False, "landlock": False}
    assert await told(SandboxChoice.AUTO, sessions, **works) == ["error code_agents_refused"]


@pytest.mark.case(40)
async def test_no_sandbox_by_choice_is_on_the_record(sessions: Sessions) -> None:
    before = await audited(sessions)
    assert await told(SandboxChoice.UNSAFE_LOCAL, sessions) == ["warning code_agents_run_without_a_sandbox"]
    assert await audited(sessions) == [*before, "worker.unsafe_sandbox"]
