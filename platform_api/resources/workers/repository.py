"""Keeps what workers say of themselves, and finds those that live."""

from collections.abc import Sequence
from dataclasses import dataclass
from uuid import UUID

from sqlalchemy import func, select, text
from sqlalchemy.ext.asyncio import AsyncSession
from sqlmodel import col

from platform_api.db.models import Worker

LIVE_SECONDS = 30.0
"""How long a worker counts as alive that says nothing, by the clock of the database."""

_KEEP = text("""
    insert into workers (id, name, sandbox, languages, refusal)
    values (:id, :name, :sandbox, :languages, :refusal)
    on conflict (id) do update
    set sandbox = excluded.sandbox, languages = excluded.languages, refusal = excluded.refusal
""")
_DROP = text("delete from workers where id = :id")
_DROP_DEAD = text("delete from workers where updated_at < now() - interval '1 day'")


@dataclass(frozen=True, kw_only=True)
class SandboxState:
    """What one worker has for CODE agents: a sandbox and the languages that it runs, or why there is none."""

    sandbox: str | None = None
    languages: frozenset[str] = frozenset()
    refusal: str | None = None


class WorkerRows:
    """The table `workers`; a tenant's scope may read it."""

    def __init__(self, session: AsyncSession) -> None:
        self._session = session

    async def keep(self, worker_id: UUID, name: str, state: SandboxState) -> None:
        """The worker lives, and this is what it has."""
        values = {"sandbox": state.sandbox, "languages": sorted(state.languages), "refusal": state.refusal}
        await self._session.execute(_KEEP, {"id": worker_id, "name": name, **values})

    async def drop(self, worker_id: UUID) -> None:
        """The worker ends."""
        await self._session.execute(_DROP, {"id": worker_id})

    async def drop_dead(self) -> None:
        """Removes what killed workers have left long ago."""
        await self._session.execute(_DROP_DEAD)

    async def live(self) -> Sequence[SandboxState]:
        """What each worker that lives has."""
        since = func.now() - func.make_interval(0, 0, 0, 0, 0, 0, LIVE_SECONDS)
        found = await self._session.execute(
            select(col(Worker.sandbox), col(Worker.languages), col(Worker.refusal)).where(
                col(Worker.updated_at) > since
            )
        )
        return [
            SandboxState(sandbox=sandbox, languages=frozenset(languages), refusal=refusal)
            for sandbox, languages, refusal in found
        ]
