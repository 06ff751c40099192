"""Fills a value with the defaults of its schema, at every level that the value reaches."""

from collections.abc import Iterator, Mapping
from copy import deepcopy
from typing import Any

from flows.compiler.subschemas import subschemas, target

_MAX_VISITS = 100_000
_MAX_DEPTH = 64


class DefaultsEndless(Exception):
    """A default contains, by way of `$ref`, itself; or the value is nested too deep."""


def with_defaults(root: Mapping[str, Any], value: Any) -> Any:
    """A copy of `value` with the defaults of the schema `root`; raises `DefaultsEndless`."""
    return Defaults(root).fill(value)


class Defaults:
    """The defaults of one schema: those in `properties`, `items`, `allOf` and behind `$ref`.

    Branches of `anyOf`, `oneOf` and `if` set none, because which of them holds is not known before.
    """

    def __init__(self, root: Mapping[str, Any]) -> None:
        self._root = root
        self._by_pointer = {part.pointer: part.schema for part in subschemas(root, "")}
        self._any = any("default" in part for part in self._by_pointer.values())

    def fill(self, value: Any, schema: Mapping[str, Any] | None = None) -> Any:
        """A copy of `value` filled by `schema`, which is the root or one inside; raises `DefaultsEndless`."""
        if not self._any:
            return value
        filled = deepcopy(value)
        visits = 0
        waiting: list[tuple[Mapping[str, Any], Any, int]] = [(self._root if schema is None else schema, filled, 0)]
        while waiting:
            current, part, depth = waiting.pop()
            visits += 1
            if visits > _MAX_VISITS or depth > _MAX_DEPTH:
                raise DefaultsEndless
            _set_defaults(current, part, self._by_pointer)
            waiting.extend((inner, below, depth + 1) for inner, below in _below(current, part, self._by_pointer))
        return filled


def _set_defaults(schema: Mapping[str, Any], value: Any, by_pointer: Mapping[str, Mapping[str, Any]]) -> None:
    if not isinstance(value, dict):
        return
    for name, inner in schema.get("properties", {}).items():
        found = _default(inner, by_pointer)
        if name not in value and found is not None:
            value[name] = deepcopy(found[0])


def _default(schema: Any, by_pointer: Mapping[str, Mapping[str, Any]]) -> tuple[Any] | None:
    """The default of `schema` or of what its `$ref`s lead to, in a tuple, since null may be one."""
    current = schema
    for _ in range(_MAX_DEPTH):
        if not isinstance(current, Mapping):
            return None
        if "default" in current:
            return (current["default"],)
        current = by_pointer.get(target(current["$ref"])) if "$ref" in current else None
    return None


def _below(
    schema: Mapping[str, Any], value: Any, by_pointer: Mapping[str, Mapping[str, Any]]
) -> Iterator[tuple[Mapping[str, Any], Any]]:
    candidates: list[tuple[Any, Any]] = [(each, value) for each in schema.get("allOf", ())]
    if "$ref" in schema:
        candidates.append((by_pointer.get(target(schema["$ref"])), value))
    if isinstance(value, dict):
        candidates += [(each, value[name]) for name, each in schema.get("properties", {}).items() if name in value]
    if isinstance(value, list):
        candidates += [(schema.get("items"), item) for item in value[len(schema.get("prefixItems", ())) :]]
        candidates += list(zip(schema.get("prefixItems", ()), value, strict=False))
    for inner, part in candidates:
        if isinstance(inner, Mapping) and isinstance(part, dict | list):
            yield inner, part
