"""JSON Schemas of users: checked when saved, then applied to inputs and outputs.

2020-12, without what needs a backtracking or fetching evaluator: patterns are of the linear kind, `$ref` stays inside
its schema, `unevaluated…`, `$dynamicRef`, `$anchor` and inner `$id` are refused. Formats are checked (date, date-time,
time, email, ipv4, ipv6, uuid). No message repeats a value, since inputs may hold secrets.
"""

import keyword
from collections.abc import Iterator, Mapping
from typing import Any

from jsonschema.exceptions import ValidationError

from agents.errors import Problem
from flows.compiler.cycles import find_cycles
from flows.compiler.defaults import Defaults, DefaultsEndless, with_defaults
from flows.compiler.patterns import pattern_error, written_out
from flows.compiler.schema_rules import TooCostly, errors, meta_errors
from flows.compiler.subschemas import Subschema, subschemas, target
from flows.compiler.values import weigh
from flows.errors import DefinitionInvalid, ExpressionFailed

_MAX_SIZE = 256 * 1024
_MAX_DEPTH = 48
_MAX_CHECKED = 1_000
_MAX_PROBLEMS = 200
_MAX_PATTERNS = 20_000
"""Characters of all patterns with repetitions written out; compiling that much takes half a second at worst."""
_REFUSED = ("unevaluatedProperties", "unevaluatedItems", "$dynamicRef", "$dynamicAnchor", "$anchor", "$recursiveRef")
_RESERVED_INPUTS = frozenset({"model_config", "self"})


def check_inputs(schema: Mapping[str, Any] | None, inputs: Mapping[str, Any]) -> dict[str, Any]:
    """`inputs` with the schema's defaults; raises `DefinitionInvalid` with one problem per input that does not fit."""
    if schema is None:
        return dict(inputs)
    try:
        filled = with_defaults(schema, dict(inputs))
    except DefaultsEndless as error:
        raise DefinitionInvalid([_too_costly("inputs")]) from error
    problems = [problem.under("inputs") for problem in matches(schema, filled)]
    if problems:
        raise DefinitionInvalid(problems)
    assert isinstance(filled, dict)
    return filled


def matches(schema: Mapping[str, Any], value: Any) -> list[Problem]:
    """What in `value` breaks `schema`, with paths from the value's root; of many problems the first 100."""
    try:
        return [_problem(error) for error in errors(schema, value)]
    except TooCostly:
        return [_too_costly("")]


def schema_problems(schema: Any, path: str = "") -> list[Problem]:
    """What makes `schema`, found at `path`, unusable; None stands for no schema."""
    if schema is None:
        return []
    if not isinstance(schema, Mapping):
        return [_bad(path, "a schema is an object")]
    unbounded = _size_problem(schema, path)
    if unbounded is not None:
        return [unbounded]
    broken = [_meta_problem(error, path) for error in meta_errors(schema)]
    if broken:
        return broken
    parts = list(subschemas(schema, path))
    if (total := sum(map(_pattern_size, parts))) > _MAX_PATTERNS:
        return [_bad(path, f"all patterns together, written out, are {total} long; at most {_MAX_PATTERNS}")]
    by_pointer = {part.pointer: part for part in parts}
    problems = [problem for part in parts for problem in _part_problems(part, by_pointer)]
    problems += _loop_problems(by_pointer) if not problems else []
    return problems[:_MAX_PROBLEMS] or _default_problems(schema, parts)


def input_schema_problems(schema: Any, path: str) -> list[Problem]:
    """`schema_problems`, and the rules for a workflow's inputs, which become the parameters of a Prefect flow."""
    problems = schema_problems(schema, path)
    if problems or schema is None:
        return problems
    if schema.get("type", "object") != "object":
        return [_bad(joined(path, ["type"]), "inputs are an object; write `object`")]
    return [
        Problem(path=joined(path, ["properties", name]), code="BAD_INPUT_NAME", message=_BAD_NAME.format(name=name))
        for name in (*schema.get("properties", {}), *schema.get("required", ()))
        if not is_input_name(name)
    ]


_BAD_NAME = "`{name}` cannot name an input; use letters, digits and `_`, start with a letter, and no Python keyword"


def is_input_name(name: str) -> bool:
    """Whether a Prefect parameter may have this name."""
    is_plain = name.isascii() and name.isidentifier() and not name.startswith("_")
    return is_plain and not keyword.iskeyword(name) and name not in _RESERVED_INPUTS


def _size_problem(schema: Mapping[str, Any], path: str) -> Problem | None:
    try:
        weight = weigh(schema, _MAX_SIZE)
    except ExpressionFailed:
        return _bad(path, "the schema holds a value that is no JSON, or is nested too deep")
    if weight > _MAX_SIZE:
        return _bad(path, f"the schema is larger than {_MAX_SIZE // 1024} KiB")
    return _bad(path, f"the schema is nested deeper than {_MAX_DEPTH} levels") if _too_deep(schema) else None


def _too_deep(schema: Any) -> bool:
    level = [schema]
    for _ in range(_MAX_DEPTH):
        level = [inner for value in level for inner in _inside(value)]
    return bool(level)


def _inside(value: Any) -> list[Any]:
    if isinstance(value, Mapping):
        return list(value.values())
    return value if isinstance(value, list) else []


def _pattern_size(part: Subschema) -> int:
    patterns = [part.schema.get("pattern"), *part.schema.get("patternProperties", {})]
    return sum(written_out(each) for each in patterns if isinstance(each, str))


def _part_problems(part: Subschema, by_pointer: Mapping[str, Subschema]) -> Iterator[Problem]:
    for name in _REFUSED:
        if name in part.schema:
            yield _bad(joined(part.path, [name]), f"`{name}` is not available; use `$ref` or `additionalProperties`")
    if "$id" in part.schema and part.parent is not None:
        yield _bad(joined(part.path, ["$id"]), "`$id` may stand at the root only")
    reference = part.schema.get("$ref")
    if isinstance(reference, str) and target(reference) not in by_pointer:
        yield _bad(joined(part.path, ["$ref"]), f"`{reference}` leads to no schema in this one; write `#/$defs/…`")
    pattern = part.schema.get("pattern")
    if isinstance(pattern, str) and (reason := pattern_error(pattern)) is not None:
        yield _bad(joined(part.path, ["pattern"]), reason)
    for name in part.schema.get("patternProperties", {}):
        if (reason := pattern_error(name)) is not None:
            yield _bad(joined(part.path, ["patternProperties"]), reason)


def _loop_problems(by_pointer: Mapping[str, Subschema]) -> list[Problem]:
    """`$ref`s that come back to the same value without going deeper into it."""
    edges: dict[str, list[str]] = {pointer: [] for pointer in by_pointer}
    for pointer, part in by_pointer.items():
        if part.in_place and part.parent is not None:
            edges[part.parent].append(pointer)
        if isinstance(reference := part.schema.get("$ref"), str):
            edges[pointer].append(target(reference))
    return [
        _bad(by_pointer[cycle[0]].path, f"the schema refers to itself without end: {' → '.join(cycle)}")
        for cycle in find_cycles(edges)
    ]


def _default_problems(schema: Mapping[str, Any], parts: list[Subschema]) -> list[Problem]:
    found: list[Problem] = []
    defaults = Defaults(schema)
    for part in parts[:_MAX_CHECKED]:
        if "default" not in part.schema:
            continue
        where = joined(part.path, ["default"])
        try:
            default = defaults.fill(part.schema["default"], part.schema)
            wrong = [_problem(error) for error in errors(schema, default, part.schema)]
        except (DefaultsEndless, TooCostly):
            return [*found, _bad(where, "defaults within defaults never end")]
        found += [_bad(where, f"the default does not fit its own schema: {each.message}") for each in wrong[:1]]
    return found


def _bad(path: str, message: str) -> Problem:
    return Problem(path=path, code="BAD_SCHEMA", message=message)


def _too_costly(path: str) -> Problem:
    message = "the schema takes too long to evaluate on this value; simplify its `anyOf`, `allOf` and `$ref`"
    return Problem(path=path, code="SCHEMA_TOO_COSTLY", message=message)


def _meta_problem(error: ValidationError, path: str) -> Problem:
    return _bad(joined(path, error.absolute_path), f"this is no JSON Schema 2020-12: {_shortened(error.message)}")


def _problem(error: ValidationError) -> Problem:
    path = joined("", error.absolute_path)
    if error.validator == "required":
        name = error.message
        return Problem(path=joined(path, [name]), code="MISSING_FIELD", message=f"`{name}` is required")
    if error.validator == "additionalProperties" and error.validator_value is False:
        known = ", ".join(error.schema.get("properties", {})) if isinstance(error.schema, Mapping) else ""
        return Problem(path=path, code="UNKNOWN_FIELD", message=f"is not known; there are: {known or 'none'}")
    return Problem(path=path, code="BAD_VALUE", message=_sentence(error))


def _sentence(error: ValidationError) -> str:
    rule, wanted = error.validator, error.validator_value
    if rule in ("type", "format", "pattern", "enum", "const"):
        return f"does not fit {rule} {_shortened(wanted)}"
    if isinstance(wanted, int | float | str):
        return f"does not fit {rule}: {_shortened(wanted)}"
    return f"does not fit `{rule}`" if rule else "is not allowed here"


def _shortened(wanted: Any) -> str:
    text = str(wanted)
    return text if len(text) <= 200 else f"{text[:200]}…"


def joined(path: str, parts: Any) -> str:
    """`path` followed by keys and indexes: `a.b[2]`."""
    text = path
    for part in parts:
        if isinstance(part, int):
            text += f"[{part}]"
        else:
            text += f".{part}" if text else str(part)
    return text
