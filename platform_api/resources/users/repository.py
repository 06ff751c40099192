"""People."""

from uuid import UUID

from sqlalchemy import ColumnElement, func, select
from sqlalchemy.ext.asyncio import AsyncSession
from sqlmodel import col

from platform_api.access.principal import PlatformRole
from platform_api.db.conditions import contains_text
from platform_api.db.models import PROFILE, User
from platform_api.errors import NotFound
from platform_api.kit.pagination import Paging
from platform_api.kit.sorting import Sorting
from platform_api.resources.users.schemas import UserFilters

SORTABLE = {
    "createdAt": col(User.created_at),
    "email": col(User.email),
    "fullName": col(User.full_name),
    "lastLoginAt": col(User.last_login_at),
    "role": col(User.role),
}


class UserRepository:
    """Users with everything that is stored of them; for system scopes."""

    def __init__(self, session: AsyncSession) -> None:
        self._session = session

    async def find_by_email(self, email: str) -> User | None:
        """The living user of a normalised address."""
        statement = select(User).where(func.lower(col(User.email)) == email, col(User.deleted_at).is_(None))
        return (await self._session.execute(statement)).scalar_one_or_none()

    async def get(self, user_id: UUID, *, lock: bool = False) -> User:
        """The living user; raises `NotFound`."""
        statement = select(User).where(col(User.id) == user_id, col(User.deleted_at).is_(None))
        if lock:
            statement = statement.with_for_update()
        return _there((await self._session.execute(statement)).scalar_one_or_none(), user_id)

    async def find(self, user_id: UUID) -> User | None:
        """The living user, or None."""
        statement = select(User).where(col(User.id) == user_id, col(User.deleted_at).is_(None))
        return (await self._session.execute(statement)).scalar_one_or_none()

    async def add(self, user: User) -> User:
        """Stores a new user."""
        self._session.add(user)
        await self._session.flush()
        return user

    async def save(self) -> None:
        """Writes the changes out."""
        await self._session.flush()

    async def filtered(self, filters: UserFilters, paging: Paging, order: Sorting) -> tuple[list[User], int]:
        """One page of the living users that the filters leave, and how many there are."""
        statement = select(User).where(*_conditions(filters))
        total = (await self._session.execute(select(func.count()).select_from(statement.subquery()))).scalar_one()
        rows = statement.order_by(*order.order_by).limit(paging.page_size).offset(paging.offset)
        return list((await self._session.execute(rows)).scalars()), total

    async def hold_admins(self) -> None:
        """Lets changes of users take turns, so that the last ADMIN is always seen."""
        await self._session.execute(select(func.pg_advisory_xact_lock(func.hashtextextended("platform-admins", 0))))

    async def has_admin_besides(self, user_id: UUID) -> bool:
        """Whether somebody else is an active ADMIN of the platform."""
        others = UserFilters(role=(PlatformRole.ADMIN,), is_active=True)
        statement = select(col(User.id)).where(*_conditions(others), col(User.id) != user_id)
        return (await self._session.execute(statement.limit(1))).first() is not None


class ProfileRepository:
    """Users without their credentials, as far as a tenant's scope sees them."""

    def __init__(self, session: AsyncSession) -> None:
        self._session = session

    async def get(self, user_id: UUID, *, lock: bool = False) -> User:
        """The living user; raises `NotFound`."""
        statement = select(User).options(*PROFILE).where(col(User.id) == user_id, col(User.deleted_at).is_(None))
        if lock:
            statement = statement.with_for_update()
        return _there((await self._session.execute(statement)).scalar_one_or_none(), user_id)

    async def save(self, user: User) -> User:
        """Writes the changes out."""
        await self._session.flush()
        return await self.get(user.id)


def _conditions(filters: UserFilters) -> list[ColumnElement[bool]]:
    conditions: list[ColumnElement[bool]] = [col(User.deleted_at).is_(None)]
    if filters.role:
        conditions.append(col(User.role).in_(filters.role))
    if filters.is_active is not None:
        conditions.append(col(User.is_active).is_(filters.is_active))
    if filters.search:
        conditions.append(contains_text(filters.search, col(User.full_name), col(User.email)))
    return conditions


def _there(user: User | None, user_id: UUID) -> User:
    if user is None:
        raise NotFound(f"There is no user {user_id}")
    return user
