"""Wraps answers: `ok` and `page_of` for success, `error_envelope` for everything else, `errors` for the document."""

from collections.abc import Iterable, Mapping, Sequence
from math import ceil
from typing import Any

from agents.errors import Problem
from platform_api.kit import clock
from platform_api.kit.error_codes import CODES
from platform_api.kit.pagination import Paging
from platform_api.kit.request_context import current_request
from platform_api.kit.schemas import (
    Envelope,
    ErrorBody,
    ErrorDetail,
    ErrorEnvelope,
    Meta,
    PageEnvelope,
    PageMeta,
    Pagination,
    T,
)

_MEANINGS: Mapping[int, str] = {
    400: "The request is malformed; `details` names each place",
    401: "No usable credentials",
    402: "A limit on tokens or cost is reached",
    403: "The caller's role or key does not allow this",
    404: "Absent, deleted, or of another tenant",
    405: "The path exists, but not with this method",
    408: "The body did not arrive in time",
    409: "Clashes with what is stored",
    413: "The body is larger than the server takes",
    415: "The body is not JSON",
    416: "The file is shorter than that; `Content-Range` says how long it is",
    423: "Too many failed logins; `Retry-After` says how many seconds to wait",
    429: "Too many calls; `Retry-After` says how many seconds to wait",
    500: "Something went wrong on the server; the request id finds it in the logs",
    503: "Something that the call needs cannot be reached now",
}

ERRORS: Mapping[int | str, dict[str, Any]] = {
    status: {"model": ErrorEnvelope, "description": f"{meaning} ({', '.join(f'`{code}`' for code in CODES[status])})"}
    for status, meaning in _MEANINGS.items()
}
"""Every error status of the contract, as FastAPI's `responses` wants it."""


def errors(*statuses: int) -> dict[int | str, dict[str, Any]]:
    """The error answers that a route documents: `responses=errors(404, 409)`."""
    return {status: ERRORS[status] for status in statuses}


def ok(data: T) -> Envelope[T]:
    """A successful answer around `data`."""
    return Envelope(data=data, meta=_meta())


def page_of(rows: Iterable[T], total: int, paging: Paging) -> PageEnvelope[T]:
    """One page of a list that has `total` items in all."""
    pagination = Pagination(
        page=paging.page,
        page_size=paging.page_size,
        total_items=total,
        total_pages=ceil(total / paging.page_size),
    )
    meta = _meta()
    return PageEnvelope(
        data=list(rows),
        meta=PageMeta(timestamp=meta.timestamp, request_id=meta.request_id, pagination=pagination),
    )


def error_envelope(code: str, message: str, details: Sequence[Problem] = ()) -> dict[str, Any]:
    """The body of an error, ready for JSON."""
    listed = [ErrorDetail(path=item.path, code=item.code, message=item.message) for item in details]
    body = ErrorBody(code=code, message=message, details=listed)
    return ErrorEnvelope(error=body, meta=_meta()).model_dump(mode="json", by_alias=True)


def _meta() -> Meta:
    return Meta(timestamp=clock.now(), request_id=current_request().request_id)
