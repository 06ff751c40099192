"""How deep lists and objects may lie in each other: each level costs everything that walks through them."""

from collections.abc import Iterator
from itertools import chain
from typing import Any

import polars as pl

from agents.data.failures import OperationRefused

MAX_NESTING = 64
TOO_DEEP = f"lists and objects lie more than {MAX_NESTING} deep in each other"


def is_too_deep(value: Any) -> bool:
    """Of JSON."""
    level = [value]
    for _ in range(MAX_NESTING):
        level = list(chain.from_iterable(map(_parts, level)))
        if not level:
            return False
    return True


def require_shallow(schema: pl.Schema) -> None:
    """Raises `OperationRefused` for columns that are deeper."""
    level: list[pl.DataType] = [kind for kind in schema.dtypes() if kind.is_nested()]
    for _ in range(MAX_NESTING):
        level = [inner for kind in level for inner in _inner(kind) if inner.is_nested()]
        if not level:
            return
    raise OperationRefused(TOO_DEEP)


def _parts(value: Any) -> Iterator[Any]:
    """What may hold more."""
    parts = value.values() if isinstance(value, dict) else value if isinstance(value, list) else ()
    return (part for part in parts if isinstance(part, list | dict))


def _inner(kind: pl.DataType) -> Iterator[pl.DataType]:
    match kind:
        case pl.List() | pl.Array():
            yield kind.inner  # type: ignore[misc]  # an instance, as columns have
        case pl.Struct():
            yield from (field.dtype for field in kind.fields)  # type: ignore[misc]
