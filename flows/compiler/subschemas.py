"""Finds the schemas inside a JSON Schema, so that each rule about schemas is one loop instead of a recursion."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any
from urllib.parse import unquote

_NAMED = ("properties", "patternProperties", "$defs", "definitions", "dependentSchemas")
_LISTED = ("allOf", "anyOf", "oneOf", "prefixItems")
_SINGLE = ("items", "additionalProperties", "contains", "not", "if", "then", "else", "propertyNames")
_IN_PLACE = frozenset({"allOf", "anyOf", "oneOf", "not", "if", "then", "else", "dependentSchemas"})
"""Keywords whose schemas look at the same value, so that a loop through them never ends."""


@dataclass(frozen=True, slots=True)
class Subschema:
    """One schema, where it is (for problems, and as a JSON pointer), and whether it looks at its parent's value."""

    path: str
    pointer: str
    schema: Mapping[str, Any]
    parent: str | None
    in_place: bool


def subschemas(schema: Mapping[str, Any], path: str) -> Iterator[Subschema]:
    """`schema` and all schemas inside, parents first."""
    waiting = [Subschema(path, "#", schema, None, False)]
    while waiting:
        current = waiting.pop()
        yield current
        waiting.extend(reversed(list(_children(current))))


def target(reference: str) -> str:
    """The pointer that a `$ref` means, as `Subschema.pointer` writes it."""
    return unquote(reference)


def _children(parent: Subschema) -> Iterator[Subschema]:
    for keyword in (*_NAMED, *_LISTED, *_SINGLE):
        value = parent.schema.get(keyword)
        for suffix, key, inner in _held(keyword, value):
            if isinstance(inner, Mapping):
                pointer = f"{parent.pointer}/{keyword}" + (f"/{_escaped(key)}" if key is not None else "")
                where = f"{parent.path}.{keyword}{suffix}".removeprefix(".")
                yield Subschema(where, pointer, inner, parent.pointer, keyword in _IN_PLACE)


def _held(keyword: str, value: Any) -> list[tuple[str, str | None, Any]]:
    if keyword in _SINGLE:
        return [("", None, value)]
    if isinstance(value, Mapping):
        return [(f".{key}", str(key), inner) for key, inner in value.items()]
    if isinstance(value, list):
        return [(f"[{index}]", str(index), inner) for index, inner in enumerate(value)]
    return []


def _escaped(key: str) -> str:
    return key.replace("~", "~0").replace("/", "~1")
