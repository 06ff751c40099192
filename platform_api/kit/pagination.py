"""Pages of a list, counted from 1."""

from dataclasses import dataclass
from typing import Annotated

from fastapi import Depends, Query

MAX_PAGE = 1_000_000
"""Beyond this the offset means a mistake, not a reader."""


@dataclass(frozen=True, kw_only=True)
class Paging:
    """Which page was asked for; `page` from 1, `page_size` from 1 to 100."""

    page: int = 1
    page_size: int = 20

    @property
    def offset(self) -> int:
        """How many rows lie before the page."""
        return (self.page - 1) * self.page_size


def _paging(
    page: Annotated[int, Query(ge=1, le=MAX_PAGE, description="Page, counted from 1")] = 1,
    page_size: Annotated[int, Query(alias="pageSize", ge=1, le=100, description="Rows of one page")] = 20,
) -> Paging:
    return Paging(page=page, page_size=page_size)


PagingDep = Annotated[Paging, Depends(_paging)]
