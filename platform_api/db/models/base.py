"""What all tables share.

There are no relationships: nothing is ever loaded behind a query's back. Rows are written through the ORM with
`created_at` and `updated_at` read back in the same statement.
"""

from datetime import datetime
from typing import Any, ClassVar
from uuid import UUID

from sqlalchemy import MetaData
from sqlmodel import Field, SQLModel

from platform_api.db.models.columns import count, instant, reference, set_by_database
from platform_api.kit.ids import new_id

NAMING = {
    "ix": "ix_%(table_name)s_%(column_0_N_name)s",
    "uq": "uq_%(table_name)s_%(column_0_N_name)s",
    "ck": "ck_%(table_name)s_%(constraint_name)s",
    "fk": "fk_%(table_name)s_%(column_0_name)s",
    "pk": "pk_%(table_name)s",
}

metadata = MetaData(naming_convention=NAMING)
"""All tables of the platform."""


class Row(SQLModel):
    """Every table: an id that sorts by time, and two times that the database sets."""

    metadata: ClassVar[MetaData] = metadata
    __mapper_args__: ClassVar[dict[str, Any]] = {"eager_defaults": True}

    id: UUID = Field(default_factory=new_id, primary_key=True)
    created_at: datetime = set_by_database()
    updated_at: datetime = set_by_database(on_update=True)


class TenantRow(Row):
    """Every table that belongs to a tenant; row-level security binds it."""

    tenant_id: UUID = reference("tenants.id", "CASCADE")


class Changeable(SQLModel):
    """Mixed into what a user can change and delete: the optimistic lock, and when it was deleted."""

    version: int = count(1)
    deleted_at: datetime | None = instant()
