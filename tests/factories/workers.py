"""Workers as the API knows them."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from uuid import UUID

from sqlalchemy import text

from platform_api.access.scope import system_scope
from platform_api.db.engine import Sessions
from platform_api.kit.ids import new_id
from platform_api.resources.workers.repository import LIVE_SECONDS, SandboxState, WorkerRows

BOTH = frozenset({"python", "node"})


@asynccontextmanager
async def worker(
    sessions: Sessions,
    sandbox: str | None = "namespace",
    *,
    languages: frozenset[str] = BOTH,
    refusal: str | None = None,
    silent: bool = False,
) -> AsyncIterator[UUID]:
    """One that has announced itself; a `silent` one has done so for the last time too long ago."""
    worker_id = new_id()
    state = SandboxState(sandbox=sandbox, languages=languages if sandbox else frozenset(), refusal=refusal)
    async with system_scope(sessions) as scope:
        await WorkerRows(scope.session).keep(worker_id, "host-1", state)
        if silent:
            await scope.session.execute(text("delete from workers where id = :id"), {"id": worker_id})
            await scope.session.execute(
                text(
                    "insert into workers (id, name, sandbox, refusal, updated_at) "
                    "values (:id, 'host-1', :sandbox, :refusal, now() - make_interval(secs => :age))"
                ),
                {"id": worker_id, "sandbox": sandbox, "refusal": refusal, "age": LIVE_SECONDS + 1},
            )
    try:
        yield worker_id
    finally:
        async with system_scope(sessions) as scope:
            await WorkerRows(scope.session).drop(worker_id)
