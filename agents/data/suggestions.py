"""Words for messages: what there is to choose from, and what was probably meant."""

import difflib
from collections.abc import Iterable

LISTED = 40


def listed(names: Iterable[str]) -> str:
    """`a, b, c`, cut after 40 names so that a wide table does not drown the message."""
    names = list(names)
    shown = ", ".join(names[:LISTED])
    return shown if len(names) <= LISTED else f"{shown} and {len(names) - LISTED} more"


def did_you_mean(name: str, names: Iterable[str]) -> str | None:
    """`did you mean "dest"?` if one of `names` is close."""
    close = difflib.get_close_matches(name, list(names), n=1, cutoff=0.6)
    return f'did you mean "{close[0]}"?' if close else None
