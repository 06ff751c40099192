"""One valid row of any table, made from what the metadata says, so that a new table is covered by itself."""

from datetime import UTC, date, datetime
from decimal import Decimal
from typing import Any
from uuid import UUID, uuid4

from sqlalchemy import Column, Enum, Table, TypeDecorator, insert, select
from sqlalchemy.dialects.postgresql import ARRAY, JSONB
from sqlalchemy.ext.asyncio import AsyncSession

from platform_api.db.models import metadata

SAMPLES: dict[type, Any] = {
    bool: True,
    int: 1,
    str: "sample",
    bytes: b"sample",
    float: 1.0,
    Decimal: Decimal(1),
    datetime: datetime(2026, 1, 1, tzinfo=UTC),
    date: date(2026, 1, 1),
}
FIXED: dict[tuple[str, str], str] = {("step_waits", "kind"): "approval"}
"""Texts that a check constraint chooses from."""
ONE_OF: dict[str, tuple[str, ...]] = {"deployments": ("workflow_id",)}
"""Columns that may be NULL, but not in a valid row."""


async def values_for(session: AsyncSession, table: Table, tenant_id: UUID) -> dict[str, Any]:
    """Values of a row that `table` takes for the tenant; the rows that it refers to are made first."""
    values = {}
    for column in table.columns:
        target = next(iter(column.foreign_keys), None)
        if column.name == "tenant_id":
            values["tenant_id"] = tenant_id
        elif column.nullable and column.name not in ONE_OF.get(table.name, ()):
            continue
        elif target is not None:
            values[column.name] = await stored(session, target.column.table, tenant_id)
        elif column.server_default is None:
            values[column.name] = FIXED.get((table.name, column.name)) or sample(column)
    return values


async def stored(session: AsyncSession, table: Table, tenant_id: UUID) -> UUID:
    """Stores a row of the tenant (as the owner) and returns its id."""
    values = await values_for(session, table, tenant_id)
    found = await session.execute(insert(table).values(**values).returning(table.c.id))
    return found.scalar_one()


async def ids_in_sight(session: AsyncSession, table: Table) -> set[UUID]:
    return set((await session.execute(select(table.c.id))).scalars())


def sample(column: Column[Any]) -> Any:
    """A value of the column's type; texts are unique."""
    if isinstance(column.type, Enum):
        return column.type.enums[0]
    if isinstance(column.type, JSONB):
        return {}
    if isinstance(column.type, ARRAY):
        return []
    kind = (column.type.impl_instance if isinstance(column.type, TypeDecorator) else column.type).python_type
    if kind is UUID:
        return uuid4()
    return uuid4().hex if kind is str else SAMPLES[kind]


NOT_TENANT_OWNED = frozenset({"tenants", "users", "sessions", "one_time_tokens", "key_checks", "workers"})
"""Decision 2 of the specification, the checks of encryption keys, and workers, which serve every tenant."""


def tenant_tables() -> list[Table]:
    return [table for table in metadata.sorted_tables if table.name not in NOT_TENANT_OWNED]
