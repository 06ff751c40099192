"""The kinds of column that the tables are made of. Whether one may be NULL follows from its annotation (`X | None`)."""

from decimal import Decimal
from enum import StrEnum
from typing import Any, Literal

from sqlalchemy import JSON, BigInteger, DateTime, Enum, FetchedValue, Numeric, Text, func, text
from sqlalchemy.dialects.postgresql import ARRAY, JSONB
from sqlmodel import Field

OnDelete = Literal["CASCADE", "SET NULL", "RESTRICT"]

LIVING = text("deleted_at IS NULL")
"""Condition of the unique indexes that ignore deleted rows."""


def instant(*, index: bool = False) -> Any:
    """A point in time with its zone."""
    return Field(default=None, sa_type=DateTime(timezone=True), index=index)


def set_by_database(*, on_update: bool = False, index: bool = False) -> Any:
    """The transaction's time, set by a default and, with `on_update`, by a trigger."""
    options: dict[str, Any] = {"server_default": func.now()}
    if on_update:
        options["server_onupdate"] = FetchedValue()
    return Field(default=None, sa_type=DateTime(timezone=True), index=index, sa_column_kwargs=options)


def reference(target: str, on_delete: OnDelete, *, index: bool = True) -> Any:
    """A foreign key. `index=False` only where an index of the table already begins with the column."""
    return Field(default=None, foreign_key=target, ondelete=on_delete, index=index)


def json_object(*, column: str | None = None) -> Any:
    """A JSON object, empty by default. Assign a new dict to change it: changes inside one are not seen."""
    options: dict[str, Any] = {"server_default": text("'{}'::jsonb")}
    if column is not None:
        options["name"] = column
    return Field(default_factory=dict, sa_type=JSONB(none_as_null=True), sa_column_kwargs=options)


def json_list() -> Any:
    """A JSON array, empty by default. Assign a new list to change it."""
    return Field(default_factory=list, sa_type=JSONB, sa_column_kwargs={"server_default": text("'[]'::jsonb")})


def json_value(*, column: str | None = None) -> Any:
    """Any JSON value; None is stored as SQL's NULL."""
    options: dict[str, Any] = {} if column is None else {"name": column}
    return Field(default=None, sa_type=JSONB(none_as_null=True), sa_column_kwargs=options)


def json_as_written() -> Any:
    """Any JSON value whose keys keep their order, which `jsonb` forgets; nothing is searched or compared in it."""
    return Field(default=None, sa_type=JSON(none_as_null=True))


def strings() -> Any:
    """A list of texts, empty by default. Assign a new list to change it."""
    return Field(default_factory=list, sa_type=ARRAY(Text), sa_column_kwargs={"server_default": text("'{}'::text[]")})


def optional_strings() -> Any:
    """A list of texts, or NULL."""
    return Field(default=None, sa_type=ARRAY(Text))


def choice(kind: type[StrEnum], name: str, default: StrEnum | None = None, *, index: bool = False) -> Any:
    """A value of the PostgreSQL type `name`, whose labels are the members' values."""
    column_type = Enum(kind, name=name, values_callable=_values)
    if default is None:
        return Field(default=None, sa_type=column_type, index=index)
    options = {"server_default": default.value}
    return Field(default=default, sa_type=column_type, index=index, sa_column_kwargs=options)


def flag(default: bool, *, index: bool = False) -> Any:
    """True or false, never NULL."""
    return Field(default=default, index=index, sa_column_kwargs={"server_default": text(str(default).lower())})


def count(default: int = 0) -> Any:
    """A 32-bit number."""
    return Field(default=default, sa_column_kwargs={"server_default": text(str(default))})


def big_count(default: int | None = 0, *, index: bool = False) -> Any:
    """A 64-bit number: tokens, bytes, rows, sequence numbers."""
    options = {} if default is None else {"server_default": text(str(default))}
    return Field(default=default, sa_type=BigInteger, index=index, sa_column_kwargs=options)


def money() -> Any:
    """USD with eight places."""
    return Field(default=Decimal(0), sa_type=Numeric(18, 8), sa_column_kwargs={"server_default": text("0")})


def _values(kind: type[StrEnum]) -> list[str]:
    return [member.value for member in kind]
