"""`Range` of downloads: one span of bytes. Several spans, other units and what cannot be read give the whole file."""

import re
from dataclasses import dataclass

from platform_api.errors import RangeNotSatisfiable

_SPAN = re.compile(r"bytes=([0-9]{0,18})-([0-9]{0,18})")


@dataclass(frozen=True, kw_only=True)
class Span:
    """From the byte `start` to before the byte `stop`."""

    start: int
    stop: int

    @property
    def bytes(self) -> int:
        """How many there are."""
        return self.stop - self.start


def requested_span(asked: str | None, condition: str | None, *, size: int, etag: str) -> Span | None:
    """The span that `Range` asks for, None for the whole; raises `RangeNotSatisfiable` for one behind the end.

    `condition` is the header `If-Range`: with another tag than `etag` the whole is wanted. A date never fits.
    """
    match = _SPAN.fullmatch((asked or "").replace(" ", ""))
    if match is None or (condition is not None and condition.strip() != etag):
        return None
    first, last = match.groups()
    if not first and not last:
        return None
    if first and last and int(first) > int(last):
        return None
    start = int(first) if first else max(size - int(last), 0)
    stop = min(int(last) + 1, size) if first and last else size
    if start >= stop:
        raise RangeNotSatisfiable(
            f"The file has {size} bytes; ask for some of them", headers={"Content-Range": f"bytes */{size}"}
        )
    return Span(start=start, stop=stop)
