"""The numbered record of an execution: events and log lines, which share one numbering."""

from dataclasses import dataclass
from datetime import datetime
from typing import Any
from uuid import UUID

from sqlalchemy import Text, Uuid, cast, literal, null, select, union_all
from sqlmodel import col

from platform_api.access.scope import TenantScope
from platform_api.db.models import ExecutionEvent, ExecutionLog

LOG = "log"
"""The type of a log line among the events."""


@dataclass(frozen=True, kw_only=True)
class LogPart:
    """What a log line has beside its number, time and metadata."""

    id: UUID
    level: str
    message: str
    step_key: str | None
    step_run_id: UUID | None


@dataclass(frozen=True, kw_only=True)
class Entry:
    """One event, or one log line with its metadata as `payload`."""

    seq: int
    type: str
    payload: dict[str, Any]
    created_at: datetime
    log: LogPart | None = None


class EntryRepository:
    """Reads the record of one tenant's executions."""

    def __init__(self, scope: TenantScope) -> None:
        self._session = scope.session
        self._tenant_id = scope.tenant_id

    async def after(self, execution_id: UUID, seq: int, *, limit: int) -> list[Entry]:
        """The first `limit` entries with a number over `seq`.

        One statement, and so one snapshot: two could miss what is committed between them.
        """
        both = union_all(self._events(execution_id, seq, limit), self._lines(execution_id, seq, limit)).subquery()
        rows = await self._session.execute(select(both).order_by(both.c.seq).limit(limit))
        return [_entry(row) for row in rows]

    def _events(self, execution_id: UUID, seq: int, limit: int) -> Any:
        table = ExecutionEvent
        found: Any = (
            select(
                col(table.seq).label("seq"),
                col(table.type).label("type"),
                col(table.payload).label("payload"),
                col(table.created_at).label("created_at"),
                cast(null(), Uuid).label("id"),
                *(cast(null(), Text).label(name) for name in ("level", "message", "step_key")),
                cast(null(), Uuid).label("step_run_id"),
            )
            .where(col(table.tenant_id) == self._tenant_id, col(table.execution_id) == execution_id)
            .where(col(table.seq) > seq)
            .order_by(col(table.seq))
            .limit(limit)
        )
        return select(found.subquery())

    def _lines(self, execution_id: UUID, seq: int, limit: int) -> Any:
        table = ExecutionLog
        found: Any = (
            select(
                col(table.seq).label("seq"),
                literal(LOG).label("type"),
                col(table.metadata_).label("payload"),
                col(table.created_at).label("created_at"),
                col(table.id).label("id"),
                cast(col(table.level), Text).label("level"),
                col(table.message).label("message"),
                col(table.step_key).label("step_key"),
                col(table.step_run_id).label("step_run_id"),
            )
            .where(col(table.tenant_id) == self._tenant_id, col(table.execution_id) == execution_id)
            .where(col(table.seq) > seq)
            .order_by(col(table.seq))
            .limit(limit)
        )
        return select(found.subquery())


def _entry(row: Any) -> Entry:
    log = None
    if row.id is not None:
        log = LogPart(
            id=row.id,
            level=row.level,
            message=row.message,
            step_key=row.step_key,
            step_run_id=row.step_run_id,
        )
    return Entry(seq=row.seq, type=row.type, payload=row.payload, created_at=row.created_at, log=log)
