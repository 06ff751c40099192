"""The order of a list, from an allow list of fields: a name that is not on it is a 400, never SQL."""

from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import Annotated, Any

from fastapi import Depends, Query
from sqlalchemy import ColumnElement

from agents.errors import Problem
from platform_api.errors import ValidationFailed


class SortOrder(StrEnum):
    """Smallest or largest first."""

    ASC = "asc"
    DESC = "desc"


@dataclass(frozen=True, kw_only=True)
class Sorting:
    """A checked order; `order_by` ends in the row's id, so that pages neither repeat nor skip rows."""

    sort_by: str
    order_by: tuple[ColumnElement[Any], ...]


def sorting(fields: Mapping[str, Any], default: str = "createdAt", default_order: SortOrder = SortOrder.DESC) -> Any:
    """The dependency for a list that sorts by `fields` (name in the contract → model attribute):
    `order: Annotated[Sorting, sorting(SORTABLE)]`."""
    names = sorted(fields)

    def chosen(
        sort_by: Annotated[
            str, Query(alias="sortBy", description="Field to sort by", json_schema_extra={"enum": list(names)})
        ] = default,
        sort_order: Annotated[SortOrder, Query(alias="sortOrder", description="Direction")] = default_order,
    ) -> Sorting:
        if sort_by not in fields:
            message = f"Cannot be sorted by; use one of {', '.join(names)}"
            raise ValidationFailed(
                "The query is not valid", details=[Problem(path="sortBy", code="UNKNOWN_FIELD", message=message)]
            )
        return Sorting(sort_by=sort_by, order_by=_order_by(fields[sort_by], sort_order))

    return Depends(chosen)


def _order_by(column: Any, order: SortOrder) -> tuple[ColumnElement[Any], ...]:
    columns = (column, column.class_.id)
    if order is SortOrder.ASC:
        return tuple(each.asc() for each in columns)
    return tuple(each.desc() for each in columns)
