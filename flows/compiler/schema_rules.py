"""The JSON Schema 2020-12 that we evaluate: linear-time patterns, bounded work, nothing fetched."""

import json
import time
from collections.abc import Callable, Iterator, Mapping
from contextvars import ContextVar
from itertools import islice
from typing import Any

from jsonschema import Draft202012Validator, FormatChecker
from jsonschema.exceptions import ValidationError
from jsonschema.protocols import Validator
from jsonschema.validators import extend
from referencing import Registry

from flows.compiler.patterns import pattern_found

_MAX_SECONDS = 1.0
"""Of this thread's own time, so that a busy machine refuses no more than an idle one."""
_MAX_ERRORS = 100
_MAX_SEARCHED = 1024 * 1024
_MAX_REFERENCES = 100
"""`$ref`s within `$ref`s: values nested deeper than this are refused."""
_FORMATS = ("date", "date-time", "time", "email", "ipv4", "ipv6", "uuid")
_LEFT_OUT = ("unevaluatedProperties", "unevaluatedItems", "$dynamicRef")

Keyword = Callable[[Any, Any, Any, Any], Iterator[ValidationError] | None]


class TooCostly(Exception):
    """Evaluating the schema takes too long or goes too deep."""


class _Budget:
    """What one validation may use."""

    def __init__(self) -> None:
        self.deadline = time.thread_time() + _MAX_SECONDS
        self.references = 0


_BUDGET: ContextVar[_Budget] = ContextVar("_BUDGET")


def errors(root: Mapping[str, Any], instance: Any, schema: Mapping[str, Any] | None = None) -> list[ValidationError]:
    """What in `instance` breaks `schema` (or `root`, where its `$ref`s lead), at most 100; raises `TooCostly`."""
    validator = _VALIDATOR(root, registry=_REGISTRY, format_checker=_FORMAT_CHECKER)
    chosen = validator if schema is None else validator.evolve(schema=schema)
    token = _BUDGET.set(_Budget())
    try:
        return list(islice(chosen.iter_errors(instance), _MAX_ERRORS))
    except (RecursionError, ArithmeticError) as error:
        raise TooCostly from error
    finally:
        _BUDGET.reset(token)


def meta_errors(schema: Mapping[str, Any]) -> list[ValidationError]:
    """What makes `schema` no JSON Schema 2020-12; it must not be nested deeply."""
    return list(islice(_META.iter_errors(schema), _MAX_ERRORS))


def _pattern(_validator: Validator, pattern: Any, instance: Any, _schema: Any) -> Iterator[ValidationError]:
    if isinstance(instance, str) and len(instance) > _MAX_SEARCHED:
        raise TooCostly
    if isinstance(instance, str) and not pattern_found(pattern, instance):
        yield ValidationError("does not match the pattern")


def _pattern_properties(validator: Any, patterns: Any, instance: Any, _schema: Any) -> Iterator[ValidationError]:
    if not isinstance(instance, dict):
        return
    for pattern, subschema in patterns.items():
        for name, value in instance.items():
            if pattern_found(pattern, name):
                yield from validator.descend(value, subschema, path=name, schema_path=pattern)


def _additional_properties(validator: Any, allowed: Any, instance: Any, schema: Any) -> Iterator[ValidationError]:
    if not isinstance(instance, dict):
        return
    patterns = list(schema.get("patternProperties", {}))
    for name in instance:
        if name in schema.get("properties", {}) or any(pattern_found(each, name) for each in patterns):
            continue
        if allowed is False:
            yield ValidationError("is not known", path=[name])
        else:
            yield from validator.descend(instance[name], allowed, path=name)


def _unique_items(_validator: Validator, unique: Any, instance: Any, _schema: Any) -> Iterator[ValidationError]:
    if unique and isinstance(instance, list):
        seen = {json.dumps(_identity(item), sort_keys=True) for item in instance}
        if len(seen) < len(instance):
            yield ValidationError("has an item twice")


def _identity(value: Any) -> Any:
    return int(value) if isinstance(value, float) and value.is_integer() else value


def _required(_validator: Validator, names: Any, instance: Any, _schema: Any) -> Iterator[ValidationError]:
    """One error for each missing name, with that name as its message."""
    if isinstance(instance, dict):
        yield from (ValidationError(name) for name in names if name not in instance)


def _reference(validator: Any, reference: Any, instance: Any, _schema: Any) -> Iterator[ValidationError]:
    budget = _BUDGET.get()
    budget.references += 1
    if budget.references > _MAX_REFERENCES:
        raise TooCostly
    try:
        yield from validator._validate_reference(ref=reference, instance=instance)
    finally:
        budget.references -= 1


def _anything(*_: Any) -> None:
    """A keyword without effect; `schemas` refuses it when a schema is saved."""


def _watched(keyword: Keyword) -> Keyword:
    def check(validator: Any, value: Any, instance: Any, schema: Any) -> Iterator[ValidationError]:
        if time.thread_time() > _BUDGET.get().deadline:
            raise TooCostly
        yield from keyword(validator, value, instance, schema) or ()

    return check


_OWN: dict[str, Keyword] = {
    "pattern": _pattern,
    "patternProperties": _pattern_properties,
    "additionalProperties": _additional_properties,
    "required": _required,
    "uniqueItems": _unique_items,
    "$ref": _reference,
}
_KEYWORDS: dict[str, Any] = {**Draft202012Validator.VALIDATORS, **_OWN, **dict.fromkeys(_LEFT_OUT, _anything)}
_VALIDATOR: Any = extend(  # type: ignore[no-untyped-call] # its stub has no types for it
    Draft202012Validator, {name: _watched(rule) for name, rule in _KEYWORDS.items()}
)
_REGISTRY: Registry[Any] = Registry()
_FORMAT_CHECKER = FormatChecker(formats=_FORMATS)
_META = Draft202012Validator(Draft202012Validator.META_SCHEMA)
