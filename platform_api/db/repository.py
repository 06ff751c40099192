"""The base of every repository: made from a scope, its base query already filtered to tenant and living rows."""

from typing import Any, ClassVar, Generic, Protocol, TypeVar
from uuid import UUID

from sqlalchemy import ColumnElement, Select, func, select
from sqlalchemy.ext.asyncio import AsyncSession
from sqlmodel import SQLModel

from platform_api.errors import NotFound, VersionConflict
from platform_api.kit import clock

Row = TypeVar("Row", bound=SQLModel)


class TenantSession(Protocol):
    """What a repository needs of a scope."""

    @property
    def session(self) -> AsyncSession: ...

    @property
    def tenant_id(self) -> UUID: ...


class Repository(Generic[Row]):
    """Rows of one table inside one tenant. Never commits."""

    model: ClassVar[type[Any]]
    label: ClassVar[str]
    """What a person calls one row (`agent`), for messages."""

    def __init__(self, scope: TenantSession) -> None:
        self.session = scope.session
        self.tenant_id = scope.tenant_id

    def query(self) -> Select[tuple[Row]]:
        """All living rows of the tenant."""
        statement = select(self.model).where(self.model.tenant_id == self.tenant_id)
        if hasattr(self.model, "deleted_at"):
            statement = statement.where(self.model.deleted_at.is_(None))
        return statement

    async def find(self, row_id: UUID) -> Row | None:
        """The row, or None."""
        return (await self.session.execute(self.query().where(self.model.id == row_id))).scalar_one_or_none()

    async def get(self, row_id: UUID, *, lock: bool = False) -> Row:
        """The row; raises `NotFound`. `lock` holds it until the transaction ends."""
        statement = self.query().where(self.model.id == row_id)
        if lock:
            statement = statement.with_for_update()
        row = (await self.session.execute(statement)).scalar_one_or_none()
        if row is None:
            raise NotFound(f"There is no {self.label} {row_id}")
        return row

    async def add(self, row: Row) -> Row:
        """Stores a new row and reads back what the database sets."""
        self.session.add(row)
        await self.session.flush()
        await self.session.refresh(row)
        return row

    async def save(self, row: Row) -> Row:
        """Writes a changed row out and reads back what the database sets."""
        await self.session.flush()
        await self.session.refresh(row)
        return row

    async def soft_delete(self, row: Any) -> None:
        """Takes the row out of every list and read; history keeps it."""
        row.deleted_at = clock.now()
        await self.session.flush()

    async def page(
        self, statement: Select[Any], *, page: int, page_size: int, order_by: tuple[ColumnElement[Any], ...]
    ) -> tuple[list[Row], int]:
        """One page and how many rows there are in all. `order_by` must end in a unique column."""
        offset = (page - 1) * page_size
        found = await self.session.execute(statement.order_by(*order_by).limit(page_size).offset(offset))
        rows = list(found.scalars())
        if len(rows) < page_size and (rows or page == 1):  # the end is in sight: nothing has to be counted
            return rows, offset + len(rows)
        return rows, (await self.session.execute(select(func.count()).select_from(statement.subquery()))).scalar_one()


def check_version(current: int, expected: int | None) -> None:
    """Optimistic locking: raises `VersionConflict` when the caller saw another version; None means not asked for."""
    if expected is not None and expected != current:
        raise VersionConflict(f"This was changed in the meantime: the newest version is {current}, you sent {expected}")
