"""Sessions: one row per refresh token, a family per login."""

from dataclasses import dataclass
from datetime import datetime
from uuid import UUID

from sqlalchemy import ColumnElement, Select, func, select, update
from sqlalchemy.ext.asyncio import AsyncSession
from sqlalchemy.orm import aliased
from sqlmodel import col

from platform_api.db.models import UserSession
from platform_api.kit import clock
from platform_api.kit.pagination import Paging


@dataclass(frozen=True, kw_only=True)
class OpenSession:
    """A family by its newest row, and when it was opened."""

    newest: UserSession
    opened_at: datetime


class SessionRepository:
    """Reads and ends sessions with the owner's rights."""

    def __init__(self, session: AsyncSession) -> None:
        self._session = session

    async def add(self, row: UserSession) -> UserSession:
        """Stores a new session."""
        self._session.add(row)
        await self._session.flush()
        return row

    async def find_locked(self, session_id: UUID) -> UserSession | None:
        """The session, held until the transaction ends: of parallel rotations all but one wait here."""
        statement = select(UserSession).where(col(UserSession.id) == session_id).with_for_update()
        return (await self._session.execute(statement)).scalar_one_or_none()

    async def successor(self, row: UserSession) -> UserSession | None:
        """The row that `row` was rotated into: ids sort by time, and a family is a line."""
        statement = (
            select(UserSession)
            .where(col(UserSession.family_id) == row.family_id, col(UserSession.id) > row.id)
            .order_by(col(UserSession.id))
            .limit(1)
        )
        return (await self._session.execute(statement)).scalar_one_or_none()

    async def mark_rotated(self, row: UserSession, at: datetime) -> None:
        """The row's token is used up from `at` on."""
        row.rotated_at = at
        await self._session.flush()

    async def end_family_of(self, session_id: UUID) -> None:
        """Ends the whole family that the session belongs to."""
        await self._end(col(UserSession.family_id) == self._family(session_id).scalar_subquery())

    async def end_family(self, user_id: UUID, family_id: UUID) -> bool:
        """Ends one open family of a user; False when there is none of that id."""
        mine = col(UserSession.family_id) == family_id
        if (await self._session.execute(select(col(UserSession.id)).where(mine, *_open(user_id)))).first() is None:
            return False
        await self._end(mine)
        return True

    async def end_all_of_user(
        self, user_id: UUID, *, tenant_id: UUID | None = None, but_family_of: UUID | None = None
    ) -> None:
        """Ends every session of a user: of one tenant where given, except the family of one session where given."""
        which = [col(UserSession.user_id) == user_id]
        if tenant_id is not None:
            which.append(col(UserSession.tenant_id) == tenant_id)
        if but_family_of is not None:
            which.append(col(UserSession.family_id) != self._family(but_family_of).scalar_subquery())
        await self._end(*which)

    async def page_of_user(self, user_id: UUID, paging: Paging) -> tuple[list[OpenSession], int]:
        """A user's open families, the one that was used last first."""
        earlier = aliased(UserSession)
        opened_at = (
            select(func.min(col(earlier.created_at)))
            .where(col(earlier.family_id) == col(UserSession.family_id))
            .correlate(UserSession)
            .scalar_subquery()
        )
        total = select(func.count()).select_from(UserSession).where(*_open(user_id))
        rows = (
            select(UserSession, opened_at)
            .where(*_open(user_id))
            .order_by(col(UserSession.id).desc())
            .limit(paging.page_size)
            .offset(paging.offset)
        )
        found = [OpenSession(newest=row, opened_at=opened) for row, opened in (await self._session.execute(rows)).all()]
        return found, (await self._session.execute(total)).scalar_one()

    async def family_of(self, session_id: UUID) -> UUID | None:
        """The family that a session belongs to."""
        return (await self._session.execute(self._family(session_id))).scalar_one_or_none()

    async def _end(self, *which: ColumnElement[bool]) -> None:
        """Ends them, and what a rotation has added meanwhile: a statement that waited for the rotated row sees that row
        as it is now, but not yet its successor; the next statement does."""
        ending = update(UserSession).where(*which, col(UserSession.revoked_at).is_(None))
        statement = ending.values(revoked_at=clock.now()).returning(col(UserSession.id))
        while (await self._session.execute(statement)).scalars().all():
            pass

    def _family(self, session_id: UUID) -> Select[tuple[UUID]]:
        return select(col(UserSession.family_id)).where(col(UserSession.id) == session_id)


def _open(user_id: UUID) -> tuple[ColumnElement[bool], ...]:
    """The newest row of each family that is still good: one that was rotated has a successor."""
    return (
        col(UserSession.user_id) == user_id,
        col(UserSession.rotated_at).is_(None),
        col(UserSession.revoked_at).is_(None),
        col(UserSession.expires_at) > clock.now(),
    )
