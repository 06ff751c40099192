"""What expressions compute on: plain JSON values, how large they are, and how they read as text."""

import json
import math
from collections.abc import Mapping, Sequence
from typing import Any

from flows.errors import ExpressionFailed

MAX_OUTPUT = 1024 * 1024
"""Characters of text that one expression or text may make; lists and objects are weighed to about the same."""
MAX_INTEGER = 2**63
_NODE_WEIGHT = 8
_MAX_DEPTH = 200


class Missing:
    """What optional access to absent data gives: `default` and `is defined` take it, everything else refuses it."""


MISSING = Missing()


def weigh(value: Any, limit: int = MAX_OUTPUT) -> int:
    """The value's size in characters, roughly; stops counting beyond `limit`. Refuses what is no JSON, or too deep."""
    weight = 0
    waiting = [(value, 0)]
    while waiting and weight <= limit:
        current, depth = waiting.pop()
        if depth > _MAX_DEPTH:
            raise ExpressionFailed(f"a value is nested deeper than {_MAX_DEPTH} levels")
        weight += len(current) if isinstance(current, str) else _NODE_WEIGHT
        if isinstance(current, Mapping):
            weight += _NODE_WEIGHT * len(current)
            if weight <= limit:
                waiting.extend((item, depth + 1) for pair in current.items() for item in pair)
        elif isinstance(current, list | tuple):
            weight += _NODE_WEIGHT * len(current)
            if weight <= limit:
                waiting.extend((item, depth + 1) for item in current)
        else:
            _check_scalar(current)
    return weight


def within_limit(value: Any) -> Any:
    """`value` itself when it is JSON of a bearable size."""
    if weigh(value) > MAX_OUTPUT:
        raise ExpressionFailed(
            f"the result is larger than {MAX_OUTPUT // 1024} KiB; hand large data on as a step's output"
        )
    return value


def text_of(value: Any) -> str:
    """`value` inside a text: a string as it is, null as nothing, everything else as JSON."""
    if isinstance(value, str):
        return value
    if value is None:
        return ""
    return json.dumps(within_limit(value), ensure_ascii=False)


def kind_of(value: Any) -> str:
    """The JSON name of a value's type, for messages."""
    if value is None:
        return "null"
    if isinstance(value, bool):
        return "boolean"
    if isinstance(value, int | float):
        return "number"
    if isinstance(value, str):
        return "string"
    if isinstance(value, Mapping):
        return "object"
    return "array" if isinstance(value, list | tuple) else "something that is no JSON"


def wrong_kind(name: str, wanted: str, value: Any) -> ExpressionFailed:
    """The error that says that operation `name` got a kind of value that it does not take."""
    return ExpressionFailed(f"`{name}` takes {wanted}, not {kind_of(value)}")


def as_array(name: str, value: Any) -> Sequence[Any]:
    """`value`, which operation `name` takes only if it is an array."""
    if isinstance(value, list | tuple):
        return value
    raise wrong_kind(name, "an array", value)


def as_object(name: str, value: Any) -> Mapping[str, Any]:
    """`value`, which operation `name` takes only if it is an object."""
    if isinstance(value, Mapping):
        return value
    raise wrong_kind(name, "an object", value)


def as_string(name: str, value: Any) -> str:
    """`value`, which operation `name` takes only if it is a string."""
    if isinstance(value, str):
        return value
    raise wrong_kind(name, "a string", value)


def as_number(name: str, value: Any) -> int | float:
    """`value`, which operation `name` takes only if it is a number."""
    if isinstance(value, int | float):
        return value
    raise wrong_kind(name, "a number", value)


def _check_scalar(value: Any) -> None:
    if value is None or isinstance(value, str | bool):
        return
    if isinstance(value, int):
        if not -MAX_INTEGER <= value < MAX_INTEGER:
            raise ExpressionFailed("a whole number is beyond 64 bits")
    elif isinstance(value, float):
        if not math.isfinite(value):
            raise ExpressionFailed("a number is infinite or not a number, which JSON cannot hold")
    elif isinstance(value, Missing):
        raise ExpressionFailed("a part of the expression is missing; give it a `default`")
    else:
        raise ExpressionFailed("a value is no JSON")
