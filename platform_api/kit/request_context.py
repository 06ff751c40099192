"""What every line and row written during one request wants to know: its id, and from where it came."""

import re
from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass

from platform_api.kit.ids import new_id

_ACCEPTED = re.compile(r"[A-Za-z0-9][A-Za-z0-9._:-]{7,127}")


@dataclass(frozen=True, kw_only=True)
class RequestContext:
    """`request_id` also travels with the run that a request starts."""

    request_id: str
    ip_address: str | None = None
    user_agent: str | None = None


_current: ContextVar[RequestContext | None] = ContextVar("request_context", default=None)


def current_request() -> RequestContext:
    """The context of the running request; outside of any, one with a fresh id."""
    return _current.get() or RequestContext(request_id=str(new_id()))


def current_request_id() -> str | None:
    """The id of the running request, or None outside of any."""
    context = _current.get()
    return context.request_id if context else None


def accepted_request_id(offered: str | None) -> str:
    """The caller's id when it is 8 to 128 harmless characters, a fresh one otherwise."""
    return offered if offered and _ACCEPTED.fullmatch(offered) else str(new_id())


@contextmanager
def request_context(context: RequestContext) -> Iterator[None]:
    """Makes `context` current inside the block (the worker uses it with the id of the execution's request)."""
    token = _current.set(context)
    try:
        yield
    finally:
        _current.reset(token)
