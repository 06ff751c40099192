"""Entries of the audit log."""

from dataclasses import dataclass
from datetime import datetime
from typing import Any
from uuid import UUID

from sqlalchemy import ColumnElement, select
from sqlalchemy.ext.asyncio import AsyncSession
from sqlmodel import col

from platform_api.db.models import AuditLog
from platform_api.db.repository import Repository
from platform_api.kit.pagination import Paging
from platform_api.kit.sorting import Sorting

SORTABLE = {"createdAt": col(AuditLog.created_at), "action": col(AuditLog.action)}


@dataclass(frozen=True, kw_only=True)
class AuditFilter:
    """What to leave in; None leaves in everything. `until` itself is left out."""

    user_id: UUID | None = None
    action: str | None = None
    resource_type: str | None = None
    resource_id: UUID | None = None
    since: datetime | None = None
    until: datetime | None = None


class AuditLogWriter:
    """Works in every kind of scope: what happened may belong to no tenant."""

    def __init__(self, session: AsyncSession) -> None:
        self._session = session

    async def add(self, entry: AuditLog) -> None:
        """Adds an entry; it can never be changed."""
        self._session.add(entry)
        await self._session.flush()

    async def times_since(self, resource_type: str, resource_id: UUID, since: datetime) -> list[tuple[str, datetime]]:
        """Action and time of one resource's entries after `since`, newest first."""
        statement = (
            select(col(AuditLog.action), col(AuditLog.created_at))
            .where(
                col(AuditLog.resource_type) == resource_type,
                col(AuditLog.resource_id) == resource_id,
                col(AuditLog.created_at) > since,
            )
            .order_by(col(AuditLog.created_at).desc(), col(AuditLog.id).desc())
        )
        return [(action, at) for action, at in (await self._session.execute(statement)).all()]


class AuditLogReader(Repository[AuditLog]):
    """One tenant's entries."""

    model = AuditLog
    label = "audit entry"

    async def filtered(self, filters: AuditFilter, paging: Paging, order: Sorting) -> tuple[list[AuditLog], int]:
        """One page of what the filters leave, and how many there are."""
        statement = self.query().where(*_conditions(filters))
        return await self.page(statement, page=paging.page, page_size=paging.page_size, order_by=order.order_by)


def _conditions(filters: AuditFilter) -> list[ColumnElement[bool]]:
    equal: dict[Any, Any] = {
        col(AuditLog.user_id): filters.user_id,
        col(AuditLog.action): filters.action,
        col(AuditLog.resource_type): filters.resource_type,
        col(AuditLog.resource_id): filters.resource_id,
    }
    conditions: list[ColumnElement[bool]] = [column == value for column, value in equal.items() if value is not None]
    if filters.since is not None:
        conditions.append(col(AuditLog.created_at) >= filters.since)
    if filters.until is not None:
        conditions.append(col(AuditLog.created_at) < filters.until)
    return conditions
