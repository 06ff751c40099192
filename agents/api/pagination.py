"""What to ask for after a page, and which rows a page holds."""

from dataclasses import dataclass, field
from typing import Any

import httpx2

from agents.api.config import CursorPagination, LinkPagination, PagePagination, Pagination
from agents.api.exchange import Answer
from agents.api.extraction import Effort, search
from agents.egress.outgoing import Outgoing, parse_url, same_origin
from agents.errors import OutputInvalid


@dataclass(kw_only=True)
class Pages:
    """The rows collected so far, and the way on."""

    pagination: Pagination
    effort: Effort
    rows: list[Any] = field(default_factory=list)
    _seen: set[str] = field(default_factory=set)

    def first(self, outgoing: Outgoing) -> Outgoing:
        """Page numbers are sent from the first page on."""
        if not isinstance(self.pagination, PagePagination):
            return outgoing
        return self._numbered(outgoing, self.pagination, self.pagination.start)

    def take(self, data: Any) -> int:
        """Adds the rows of one page and says how many there were."""
        rows = page_rows(self.pagination, data, self.effort)
        self.rows += rows
        return len(rows)

    def next(self, sent: Outgoing, answer: Answer, data: Any, page: int, rows: int) -> Outgoing | None:
        """The request after page number `page` (from 1), or None when that was the last."""
        match self.pagination:
            case LinkPagination():
                return self._linked(sent, answer)
            case CursorPagination() as cursor:
                return self._with_cursor(sent, cursor, data)
            case PagePagination() as numbered:
                if rows == 0 or (numbered.page_size is not None and rows < numbered.page_size):
                    return None
                return self._numbered(sent, numbered, numbered.start + page)

    def _linked(self, sent: Outgoing, answer: Answer) -> Outgoing | None:
        link = httpx2.Response(answer.status, headers=answer.headers).links.get("next", {}).get("url")
        if not link:
            return None
        self._refuse_repetition(link)
        target = parse_url(link, answer.url)
        if same_origin(sent.url, target):
            return Outgoing(
                method=sent.method, url=target, headers=sent.headers, content=sent.content, trusted=sent.trusted
            )
        return sent.redirected(httpx2.codes.TEMPORARY_REDIRECT, target)

    def _with_cursor(self, sent: Outgoing, cursor: CursorPagination, data: Any) -> Outgoing | None:
        value = search(cursor.cursor_path, data, "pagination.cursorPath", self.effort)
        if value is None or value is False or value == "":
            return None
        if not isinstance(value, str | int | float):
            raise OutputInvalid(f"the cursor is no text or number but {_kind(value)}", path="pagination.cursorPath")
        self._refuse_repetition(str(value))
        return sent.with_query({cursor.cursor_param: str(value)})

    def _numbered(self, sent: Outgoing, pagination: PagePagination, number: int) -> Outgoing:
        query = {pagination.page_param: str(number)}
        if pagination.size_param and pagination.page_size is not None:
            query[pagination.size_param] = str(pagination.page_size)
        return sent.with_query(query)

    def _refuse_repetition(self, position: str) -> None:
        if position in self._seen:
            raise OutputInvalid("the server sent the same next page twice; the pages never end", path="pagination")
        self._seen.add(position)


def page_rows(pagination: Pagination, data: Any, effort: Effort) -> list[Any]:
    if data is None:
        return []
    if pagination.items is None:
        return data if isinstance(data, list) else [data]
    rows = search(pagination.items, data, "pagination.items", effort)
    if rows is None:
        return []
    if not isinstance(rows, list):
        raise OutputInvalid(f"`items` found no list but {_kind(rows)}", path="pagination.items")
    return rows


def _kind(value: Any) -> str:
    return {dict: "an object", list: "a list", bool: "a truth value", str: "text"}.get(type(value), "a number")
