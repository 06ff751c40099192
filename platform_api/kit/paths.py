"""Paths into a JSON document, as problems name them."""

from collections.abc import Sequence


def json_path(parts: Sequence[str | int]) -> str:
    """`["steps", 0, "agentId"]` as `steps[0].agentId`; the document itself is the empty path."""
    path = ""
    for part in parts:
        if isinstance(part, int):
            path += f"[{part}]"
        else:
            path += f".{part}" if path else part
    return path
