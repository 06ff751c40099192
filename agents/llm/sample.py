"""A small value that fits a JSON Schema, for answers that nobody has written. Patterns and combinations are not met."""

from collections.abc import Mapping
from typing import Any

MAX_LEVELS = 16

_PLAIN: Mapping[str, Any] = {"string": "sample", "integer": 1, "number": 1.0, "boolean": True, "null": None}


def sample(schema: Any, level: int = 0) -> Any:
    """What the schema names as an example, a default or one of several, else something of its type."""
    if not isinstance(schema, Mapping) or level > MAX_LEVELS:
        return None
    for name in ("const", "default"):
        if name in schema:
            return schema[name]
    for name in ("examples", "enum"):
        if schema.get(name):
            return schema[name][0]
    kind = schema.get("type", "object" if "properties" in schema else "string")
    kind = kind[0] if isinstance(kind, list) and kind else kind
    if kind == "object":
        return {name: sample(each, level + 1) for name, each in schema.get("properties", {}).items()}
    if kind == "array":
        return [sample(schema.get("items"), level + 1)] * max(schema.get("minItems", 1), 1)
    if kind in ("integer", "number") and "minimum" in schema:
        return schema["minimum"]
    return _PLAIN.get(str(kind))
