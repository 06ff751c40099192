"""The filters of expressions, in place of MiniJinja's own: each one's result is bounded by what it reads.

What pads, indents, repeats or formats (`center`, `indent`, `batch`, `format`, …) is left out on purpose.
"""

from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass
from typing import Any

from flows.compiler.values import (
    MAX_OUTPUT,
    MISSING,
    as_array,
    as_number,
    as_object,
    as_string,
    kind_of,
    text_of,
    wrong_kind,
)
from flows.errors import ExpressionFailed

MAX_PARTS = 100_000
_MAX_COMPARED = 16 * MAX_OUTPUT
_Function = Callable[..., Any]


@dataclass(frozen=True, slots=True)
class FilterRule:
    """A filter's function and which arguments it takes, in order; the first `required` must be there."""

    function: _Function
    arguments: tuple[str, ...] = ()
    required: int = 0

    def misuse(self, positional: int, named: Collection[str]) -> str | None:
        """What is wrong with a use that has so many positional arguments and these named ones."""
        if positional > len(self.arguments):
            return f"takes at most {len(self.arguments)} argument(s)"
        unknown = [name for name in named if name not in self.arguments[positional:]]
        if unknown or len(set(named)) < len(named):
            return f"has no free argument {', '.join(f'`{name}`' for name in unknown) or 'twice'}"
        lacking = [name for name in self.arguments[positional : self.required] if name not in named]
        return f"needs {', '.join(f'`{name}`' for name in lacking)}" if lacking else None


def _field(row: Any, attribute: str) -> Any:
    value = row
    for name in attribute.split("."):
        if not isinstance(value, Mapping) or name not in value:
            raise ExpressionFailed(f"an item has no field {attribute!r}")
        value = value[name]
    return value


def _default(value: Any, fallback: Any = "", boolean: Any = False) -> Any:
    if value is MISSING:
        return fallback
    return fallback if boolean and not value else value


def _length(value: Any) -> int:
    if isinstance(value, str | list | tuple | Mapping):
        return len(value)
    raise wrong_kind("length", "a string, array or object", value)


def _end(name: str, index: int) -> _Function:
    def pick(value: Any, lenient: bool = False) -> Any:
        if value is MISSING and lenient:
            return MISSING
        items = value if isinstance(value, str) else as_array(name, value)
        if items:
            return items[index]
        if lenient:
            return MISSING
        raise ExpressionFailed(f"`{name}` of something empty; give it a `default`")

    return pick


def _extreme(name: str, choose: _Function) -> _Function:
    def pick(value: Any, attribute: Any = None, lenient: bool = False) -> Any:
        if lenient and (value is MISSING or not value):
            return MISSING
        items = as_array(name, value)
        if not items:
            raise ExpressionFailed(f"`{name}` of an empty array; give it a `default`")
        return _comparing(name, lambda: choose(items, key=_key(attribute)))

    return pick


def _key(attribute: Any) -> _Function | None:
    if attribute is None:
        return None
    name = as_string("attribute", attribute)
    return lambda row: _field(row, name)


def _comparing(name: str, work: Callable[[], Any]) -> Any:
    try:
        return work()
    except TypeError as error:
        raise ExpressionFailed(f"`{name}` met values that cannot be compared with each other") from error


def _sort(value: Any, reverse: Any = False, attribute: Any = None) -> list[Any]:
    items = as_array("sort", value)
    return list(_comparing("sort", lambda: sorted(items, key=_key(attribute), reverse=bool(reverse))))


def _sum(value: Any, attribute: Any = None) -> int | float:
    key = _key(attribute)
    return sum(as_number("sum", key(item) if key else item) for item in as_array("sum", value))


def _unique(value: Any, attribute: Any = None) -> list[Any]:
    key = _key(attribute)
    seen: dict[str, Any] = {}
    read = 0
    for item in as_array("unique", value):
        identity = text_of([key(item) if key else item])
        read += len(identity)
        if read > _MAX_COMPARED:
            raise ExpressionFailed("`unique` has too much to compare; name an `attribute`, or use a data step")
        seen.setdefault(identity, item)
    return list(seen.values())


def _reverse(value: Any) -> Any:
    return value[::-1] if isinstance(value, str) else list(reversed(as_array("reverse", value)))


def _round(value: Any, precision: Any = 0) -> int | float:
    if isinstance(precision, bool) or not isinstance(precision, int) or not -20 <= precision <= 20:
        raise ExpressionFailed("`round` takes a precision from -20 to 20")
    if isinstance(value, int) and precision >= 0:
        return value
    rounded = round(float(as_number("round", value)), precision)
    return int(rounded) if precision <= 0 and abs(rounded) < 2**63 else rounded


def _int(value: Any, default: Any = MISSING) -> Any:
    return _converted("int", value, default, lambda: int(value) if _short_digits(value) else int(float(value)))


def _float(value: Any, default: Any = MISSING) -> Any:
    return _converted("float", value, default, lambda: float(value))


def _short_digits(value: Any) -> bool:
    return isinstance(value, str) and len(value) < 40 and value.strip().lstrip("+-").isdigit()


def _converted(name: str, value: Any, default: Any, convert: Callable[[], Any]) -> Any:
    try:
        if isinstance(value, str | int | float):
            return convert()
    except (ValueError, OverflowError) as error:
        if default is MISSING:
            raise ExpressionFailed(f"`{name}` cannot read this {kind_of(value)} as a number") from error
    if default is MISSING:
        raise wrong_kind(name, "a number or a string", value)
    return default


def joined_text(value: Any, separator: Any = "", attribute: Any = None) -> str:
    """The texts of an array's items (or of their `attribute`), one after the other."""
    key = _key(attribute)
    between = as_string("join", separator)
    parts: list[str] = []
    total = 0
    for item in as_array("join", value):
        parts.append(text_of(key(item) if key else item))
        total += len(parts[-1]) + len(between)
        if total > MAX_OUTPUT + len(between):
            raise ExpressionFailed(f"`join` would make more than {MAX_OUTPUT // 1024} KiB of text")
    return between.join(parts)


def _replace(value: Any, old: Any, new: Any) -> str:
    text, old_text, new_text = as_string("replace", value), as_string("replace", old), as_string("replace", new)
    if not old_text:
        raise ExpressionFailed("`replace` needs a text to look for that is not empty")
    if len(text) + text.count(old_text) * max(0, len(new_text) - len(old_text)) > MAX_OUTPUT:
        raise ExpressionFailed(f"`replace` would make more than {MAX_OUTPUT // 1024} KiB of text")
    return text.replace(old_text, new_text)


def _split(value: Any, separator: Any = None) -> list[str]:
    by = None if separator is None else as_string("split", separator)
    if by == "":
        raise ExpressionFailed("`split` needs a separator that is not empty")
    parts = as_string("split", value).split(by, MAX_PARTS)
    if len(parts) > MAX_PARTS:
        raise ExpressionFailed(f"`split` would make more than {MAX_PARTS} parts")
    return parts


def _map(value: Any, attribute: Any) -> list[Any]:
    name = as_string("map", attribute)
    return [_field(row, name) for row in as_array("map", value)]


_COMPARISONS: Mapping[str, Callable[[Any, Any], bool]] = {
    "==": lambda left, right: left == right,
    "!=": lambda left, right: left != right,
    "<": lambda left, right: left < right,
    "<=": lambda left, right: left <= right,
    ">": lambda left, right: left > right,
    ">=": lambda left, right: left >= right,
    "in": lambda left, right: left in right,
}


def _where(name: str, keep: bool) -> _Function:
    def choose(value: Any, attribute: Any, comparison: Any = MISSING, other: Any = None) -> list[Any]:
        items, field = as_array(name, value), as_string(name, attribute)
        if comparison is MISSING:
            return [item for item in items if bool(_field(item, field)) is keep]
        compare = _COMPARISONS.get(comparison) if isinstance(comparison, str) else None
        if compare is None:
            raise ExpressionFailed(f"`{name}` compares by one of {', '.join(_COMPARISONS)}")
        return list(
            _comparing(name, lambda: [item for item in items if bool(compare(_field(item, field), other)) is keep])
        )

    return choose


def _text_case(name: str, change: Callable[[str], str]) -> _Function:
    return lambda value: change(as_string(name, value))


_BY_ATTRIBUTE = ("attribute",)
_WHERE = ("attribute", "comparison", "other")

FILTERS: Mapping[str, FilterRule] = {
    "abs": FilterRule(lambda value: abs(as_number("abs", value))),
    "bool": FilterRule(bool),
    "count": FilterRule(_length),
    "d": FilterRule(_default, ("fallback", "boolean")),
    "default": FilterRule(_default, ("fallback", "boolean")),
    "first": FilterRule(_end("first", 0)),
    "float": FilterRule(_float, ("default",)),
    "int": FilterRule(_int, ("default",)),
    "items": FilterRule(lambda value: [[key, item] for key, item in as_object("items", value).items()]),
    "join": FilterRule(joined_text, ("separator", "attribute")),
    "keys": FilterRule(lambda value: list(as_object("keys", value))),
    "last": FilterRule(_end("last", -1)),
    "length": FilterRule(_length),
    "lower": FilterRule(_text_case("lower", str.lower)),
    "map": FilterRule(_map, _BY_ATTRIBUTE, 1),
    "max": FilterRule(_extreme("max", max), _BY_ATTRIBUTE),
    "min": FilterRule(_extreme("min", min), _BY_ATTRIBUTE),
    "rejectattr": FilterRule(_where("rejectattr", keep=False), _WHERE, 1),
    "replace": FilterRule(_replace, ("old", "new"), 2),
    "reverse": FilterRule(_reverse),
    "round": FilterRule(_round, ("precision",)),
    "selectattr": FilterRule(_where("selectattr", keep=True), _WHERE, 1),
    "sort": FilterRule(_sort, ("reverse", "attribute")),
    "split": FilterRule(_split, ("separator",)),
    "string": FilterRule(text_of),
    "sum": FilterRule(_sum, _BY_ATTRIBUTE),
    "title": FilterRule(_text_case("title", str.title)),
    "tojson": FilterRule(lambda value: text_of([value])[1:-1]),
    "trim": FilterRule(_text_case("trim", str.strip)),
    "unique": FilterRule(_unique, _BY_ATTRIBUTE),
    "upper": FilterRule(_text_case("upper", str.upper)),
    "values": FilterRule(lambda value: list(as_object("values", value).values())),
}
