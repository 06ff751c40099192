"""Members, operators and tests of expressions, where MiniJinja's own are unbounded or reach Python objects."""

from collections.abc import Mapping, Sequence
from typing import Any

from flows.compiler.filters import MAX_PARTS, joined_text
from flows.compiler.values import MISSING, as_array, as_number, kind_of, within_limit
from flows.errors import ExpressionFailed

_KINDS = {"string": "string", "number": "number", "boolean": "boolean", "mapping": "object", "sequence": "array"}
TESTS = frozenset({*_KINDS, "none", "defined", "undefined", "true", "false", "odd", "even", "integer", "float"})


def passes(value: Any, test: str) -> bool:
    """Whether `value is test`."""
    if test in _KINDS:
        return kind_of(value) == _KINDS[test]
    match test:
        case "defined" | "undefined":
            return (value is MISSING) == (test == "undefined")
        case "none":
            return value is None
        case "true" | "false":
            return value is (test == "true")
        case "integer" | "float":
            return type(value) is (int if test == "integer" else float)
    return as_number(test, value) % 2 == (test == "odd")


def member(base: Any, keys: Sequence[Any], *, lenient: bool) -> Any:
    """`base[key][key]…` over arrays and objects only; absent data is MISSING when `lenient`."""
    value = base
    for key in keys:
        if _has(value, key):
            value = value[key]
        elif lenient:
            return MISSING
        else:
            raise LookupError(key, value)
    return value


def _has(value: Any, key: Any) -> bool:
    if isinstance(value, Mapping):
        return isinstance(key, str) and key in value
    return isinstance(value, list | tuple) and type(key) is int and -len(value) <= key < len(value)


def concatenated(*values: Any) -> str:
    """`a ~ b ~ c`."""
    return joined_text(list(values))


def added(*values: Any) -> Any:
    """`a + b + c`: numbers, strings or arrays, all of one kind."""
    kinds = {"number" if isinstance(value, bool) else kind_of(value) for value in values}
    if kinds == {"number"}:
        return sum(values)
    if kinds == {"string"}:
        return joined_text(list(values))
    if kinds == {"array"}:
        if sum(map(len, values)) > MAX_PARTS:
            raise ExpressionFailed(f"`+` would make an array of more than {MAX_PARTS} items")
        return within_limit([item for value in values for item in value])
    raise ExpressionFailed(f"`+` cannot join {' and '.join(sorted(kinds))}; texts are joined with `~`")


def multiplied(left: Any, right: Any) -> Any:
    """`left * right`: numbers only, because repeating texts and arrays has no bound."""
    product = as_number("*", left) * as_number("*", right)
    if isinstance(product, int) and product.bit_length() > 64:
        raise ExpressionFailed("`*` made a whole number beyond 64 bits")
    return product


def sliced(value: Any, start: Any, stop: Any) -> Any:
    """`value[start:stop]` of a string or an array."""
    if any(end is not None and type(end) is not int for end in (start, stop)):
        raise ExpressionFailed("the ends of a slice are whole numbers")
    return value[start:stop] if isinstance(value, str) else list(as_array("[:]", value)[start:stop])
