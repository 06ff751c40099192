"""The one source of the time of day. Tests set it with `freeze`; durations use `time.monotonic` instead."""

from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from datetime import UTC, datetime

_frozen: ContextVar[datetime | None] = ContextVar("frozen_clock", default=None)


def now() -> datetime:
    """The current instant, in UTC."""
    return _frozen.get() or datetime.now(UTC)


@contextmanager
def freeze(instant: datetime) -> Iterator[None]:
    """Makes `now()` answer `instant` in this context."""
    token = _frozen.set(instant)
    try:
        yield
    finally:
        _frozen.reset(token)
