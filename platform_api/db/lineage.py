"""Families of rows: a duplicate names its source in `parent_id`, and versions count on through all of a family."""

from typing import Any
from uuid import UUID

from sqlalchemy import CTE, Select, func, select
from sqlalchemy.ext.asyncio import AsyncSession


def lineage(model: Any, row_id: UUID) -> Select[tuple[UUID]]:
    """Ids of the row's whole family, deleted members among them: up to the first ancestor and down to every descendant.

    `UNION` drops what was met before, so that it ends on any data.
    """
    down = select(model.id).where(model.id.in_(_root(model, row_id))).cte("family", recursive=True)
    family = down.union(select(model.id).join(down, model.parent_id == down.c.id))
    return select(family.c.id)


async def next_version(session: AsyncSession, model: Any, row_id: UUID) -> int:
    """The version of the next duplicate in the row's family; two duplicates made at once get different ones."""
    await session.execute(select(model.id).where(model.id.in_(_root(model, row_id))).with_for_update())
    newest = select(func.max(model.version)).where(model.id.in_(lineage(model, row_id)))
    return int((await session.execute(newest)).scalar_one()) + 1


def _root(model: Any, row_id: UUID) -> Select[tuple[UUID]]:
    start = select(model.id, model.parent_id).where(model.id == row_id).cte("ancestors", recursive=True)
    ancestors: CTE = start.union(select(model.id, model.parent_id).join(start, model.id == start.c.parent_id))
    return select(ancestors.c.id).where(ancestors.c.parent_id.is_(None))
