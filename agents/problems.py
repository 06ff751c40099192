"""Turns what Pydantic finds wrong with a config into the platform's own problems."""

from collections.abc import Iterable, Sequence
from typing import Any, TypeVar

from pydantic import BaseModel, ValidationError
from pydantic_core import ErrorDetails

from agents.errors import ConfigInvalid, Problem

TEMPLATE_MARK = "{{"
DISCRIMINATOR = "type"
VALUE_ERROR_PREFIX = "Value error, "

ModelT = TypeVar("ModelT", bound=BaseModel)


def is_template(value: Any) -> bool:
    """Whether the value is only known when a run fills it in."""
    return isinstance(value, str) and TEMPLATE_MARK in value


def model_problems(model: type[BaseModel], config: dict[str, Any]) -> list[Problem]:
    """All problems of `config`, without those of values that are still templates. Never quotes a value: it may be a
    secret."""
    try:
        model.model_validate(config)
    except ValidationError as error:
        return _merged(_problem(detail, config) for detail in error.errors() if not _is_open(detail))
    return []


def parse_config(model: type[ModelT], config: dict[str, Any]) -> ModelT:
    """The filled-in config of a run; raises `ConfigInvalid` for the first problem, with all of them in its details."""
    try:
        return model.model_validate(config)
    except ValidationError as error:
        problems = _merged(_problem(detail, config) for detail in error.errors())
    first = problems[0]
    details = {"problems": [problem.model_dump() for problem in problems]}
    raise ConfigInvalid(f"{first.path or 'config'}: {first.message}", path=first.path, details=details)


def _is_open(detail: ErrorDetails) -> bool:
    """Whether a template stands where the fault is, so that only a run can tell."""
    return is_template(detail["input"]) or is_template(detail.get("ctx", {}).get("tag"))


def _merged(problems: Iterable[Problem]) -> list[Problem]:
    """One problem for a place that fits none of several forms, instead of one for each form."""
    by_place: dict[tuple[str, str], Problem] = {}
    for problem in problems:
        first = by_place.get((problem.path, problem.code))
        message = f"{first.message}, or: {problem.message}" if first else problem.message
        by_place[problem.path, problem.code] = problem.model_copy(update={"message": message})
    return list(by_place.values())


def _problem(detail: ErrorDetails, config: dict[str, Any]) -> Problem:
    path = _json_path(detail["loc"], config, detail["type"] == "missing")
    if detail["type"] == "missing":
        return Problem(path=path, code="MISSING_FIELD", message="this field is required")
    if detail["type"] == "union_tag_not_found":
        return Problem(path=_joined(path, DISCRIMINATOR), code="MISSING_FIELD", message="this field is required")
    if detail["type"] == "union_tag_invalid":
        message = f"use one of {detail['ctx']['expected_tags']}"
        return Problem(path=_joined(path, DISCRIMINATOR), code="BAD_CONFIG", message=message)
    if detail["type"] == "extra_forbidden":
        return Problem(path=path, code="UNKNOWN_FIELD", message="unknown field; remove it or correct its name")
    return Problem(path=path, code="BAD_CONFIG", message=detail["msg"].removeprefix(VALUE_ERROR_PREFIX))


def _json_path(location: Sequence[int | str], config: Any, missing: bool) -> str:
    """`operations[2].by`; leaves out the names that Pydantic puts in for the members of a union."""
    path, value = "", config
    for place, part in enumerate(location):
        if isinstance(part, str) and isinstance(value, dict) and part in value:
            path, value = _joined(path, part), value[part]
        elif isinstance(part, int) and isinstance(value, list) and part < len(value):
            path, value = f"{path}[{part}]", value[part]
        elif missing and place == len(location) - 1:
            path = _joined(path, str(part))
    return path


def _joined(path: str, name: str) -> str:
    return f"{path}.{name}" if path else name
