"""The envelope and the base of every schema of the contract: camelCase outside, snake_case inside."""

from datetime import UTC, datetime
from typing import Annotated, Generic, Literal, TypeVar

from pydantic import BaseModel, ConfigDict, PlainSerializer
from pydantic.alias_generators import to_camel

T = TypeVar("T")


def zulu(value: datetime) -> str:
    """ISO-8601 in UTC with `Z`."""
    return value.astimezone(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")


UtcTime = Annotated[datetime, PlainSerializer(zulu, return_type=str, when_used="json")]


class Body(BaseModel):
    """Base of request bodies: unknown fields are refused, so nothing can be mass-assigned."""

    model_config = ConfigDict(extra="forbid", alias_generator=to_camel, populate_by_name=True)


class View(BaseModel):
    """Base of answers, read from rows by attribute."""

    model_config = ConfigDict(from_attributes=True, alias_generator=to_camel, populate_by_name=True)


class Pagination(View):
    """Where a page lies in its list; `page` counts from 1."""

    page: int
    page_size: int
    total_items: int
    total_pages: int


class Meta(View):
    """When and under which request id the answer was made."""

    timestamp: UtcTime
    request_id: str


class PageMeta(Meta):
    """The same, with the page's place."""

    pagination: Pagination


class Envelope(View, Generic[T]):
    """Every successful answer."""

    success: Literal[True] = True
    data: T
    meta: Meta


class PageEnvelope(View, Generic[T]):
    """Every successful list."""

    success: Literal[True] = True
    data: list[T]
    meta: PageMeta


class ErrorDetail(View):
    """One thing wrong: where, which rule, what to change."""

    path: str
    code: str
    message: str


class ErrorBody(View):
    """What went wrong; clients match on `code`, never on the message."""

    code: str
    message: str
    details: list[ErrorDetail]


class ErrorEnvelope(View):
    """Every answer that is an error."""

    success: Literal[False] = False
    error: ErrorBody
    meta: Meta
