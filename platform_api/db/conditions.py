"""Conditions that the lists of several slices share."""

from collections.abc import Iterator, Sequence
from typing import Any, Protocol
from uuid import UUID

from sqlalchemy import ColumnElement, or_, true
from sqlmodel import col

from platform_api.db.enums import ResourceStatus


class ResourceFilters(Protocol):
    """What lists of everything that has an owner, a status and tags can be narrowed to."""

    @property
    def status(self) -> Sequence[ResourceStatus]: ...

    @property
    def tags(self) -> Sequence[str]: ...

    @property
    def search(self) -> str | None: ...

    @property
    def is_public(self) -> bool | None: ...

    @property
    def project_id(self) -> UUID | None: ...


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


def asked_for(model: Any, filters: ResourceFilters) -> Iterator[ColumnElement[bool]]:
    """A condition for each filter that is set; several statuses are alternatives, several tags all hold."""
    if filters.status:
        yield col(model.status).in_(filters.status)
    if filters.tags:
        yield col(model.tags).contains(list(filters.tags))
    if filters.is_public is not None:
        yield col(model.is_public).is_(filters.is_public)
    if filters.project_id is not None:
        yield col(model.project_id) == filters.project_id
    if filters.search:
        yield contains_text(filters.search, model.name, model.description)
