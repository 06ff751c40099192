"""Conditions that the lists of several slices share."""

from typing import Any
from uuid import UUID

from sqlalchemy import ColumnElement, or_, true


def contains_text(search: str, *columns: Any) -> ColumnElement[bool]:
    """Whether one of `columns` contains `search`, in any case; `%` and `_` mean themselves."""
    escaped = search.replace("\\", "\\\\").replace("%", "\\%").replace("_", "\\_")
    return or_(*(column.ilike(f"%{escaped}%") for column in columns))


def in_project(model: Any, project_id: UUID | None) -> ColumnElement[bool]:
    """Rows of one project; None means all."""
    return true() if project_id is None else model.project_id == project_id


def public_or_owned(model: Any, user_id: UUID | None) -> ColumnElement[bool]:
    """Public rows and those of one user; None means all."""
    return true() if user_id is None else or_(model.is_public.is_(True), model.user_id == user_id)
