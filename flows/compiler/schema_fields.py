"""What a JSON Schema says about a path into the values that it describes, before there is a value."""

from collections.abc import Mapping, Sequence
from functools import cached_property
from typing import Any

from flows.compiler.subschemas import subschemas, target

_COMBINED = ("allOf", "anyOf", "oneOf", "if", "not", "dependentSchemas", "patternProperties")


class SchemaFields:
    """Answers for one schema; None stands for a schema that says nothing."""

    def __init__(self, schema: Mapping[str, Any] | None) -> None:
        self._schema = schema

    @cached_property
    def _pointers(self) -> dict[str, Mapping[str, Any]]:
        return {part.pointer: part.schema for part in subschemas(self._schema or {}, "")}

    def excluded(self, path: Sequence[str | int]) -> tuple[int, list[str]] | None:
        """The position in `path` of the first field that is surely excluded, and the fields that there are instead.

        Only `additionalProperties: false` excludes; None when the schema leaves the path open.
        """
        current: Any = self._schema
        for position, part in enumerate(path):
            if isinstance(current, Mapping) and "$ref" in current:
                current = _followed(current, self._pointers)
            if not isinstance(current, Mapping) or any(keyword in current for keyword in _COMBINED):
                return None
            known = current.get("properties", {})
            if isinstance(part, str) and part not in known:
                return (position, list(known)) if current.get("additionalProperties") is False else None
            current = known[part] if isinstance(part, str) else current.get("items")
        return None


def is_open(schema: Mapping[str, Any]) -> bool:
    """Whether an object may hold fields that `properties` does not name, on purpose: the schema says so itself."""
    return "properties" not in schema or any(word in schema for word in ("additionalProperties", "$ref", *_COMBINED))


def _followed(schema: Mapping[str, Any], pointers: Mapping[str, Mapping[str, Any]]) -> Mapping[str, Any] | None:
    for _ in range(len(pointers)):
        if set(schema) - {"$ref", "title", "description", "default"}:
            return None if "$ref" in schema else schema
        following = pointers.get(target(schema["$ref"])) if "$ref" in schema else schema
        if following is None or following is schema:
            return following
        schema = following
    return None
