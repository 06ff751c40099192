"""What a change writes to a row, and what it leaves alone."""

from collections.abc import Mapping
from typing import Any

from platform_api.db.models.base import Row


def differing(row: Row, wanted: Mapping[str, Any]) -> dict[str, Any]:
    """Of the columns `wanted` those that the row does not have so yet."""
    return {name: value for name, value in wanted.items() if getattr(row, name) != value}


def write(row: Row, changes: Mapping[str, Any]) -> dict[str, Any]:
    """Writes the columns; gives what stood in them."""
    before = {name: getattr(row, name) for name in changes}
    for name, value in changes.items():
        setattr(row, name, value)
    return before
