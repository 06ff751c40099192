"""Turns what Pydantic finds in a config into problems that say where and what to choose from."""

from collections.abc import Iterator, Sequence
from typing import Any

from pydantic import ValidationError
from pydantic_core import ErrorDetails

from agents.data.model import ParseNotes, holds_template
from agents.data.suggestions import did_you_mean, listed
from agents.errors import Problem

_CODES = {"missing": "MISSING_FIELD", "extra_forbidden": "UNKNOWN_FIELD"}


def problems_of(error: ValidationError, document: Any, notes: ParseNotes) -> list[Problem]:
    """One problem per finding; findings about values that are still templates are left out."""
    found = error.errors(include_url=False)
    return [
        _problem(details, document, notes)
        for details in found
        if not (notes.templates and holds_template(details["input"]))
    ]


def _problem(details: ErrorDetails, document: Any, notes: ParseNotes) -> Problem:
    path, parent = _follow(document, details["loc"])
    kind = details["type"]
    if kind in ("union_tag_invalid", "union_tag_not_found"):
        return _choice_problem(details, path)
    message = details["msg"]
    if kind == "missing":
        message = f'"{details["loc"][-1]}" is needed here'
    elif kind == "extra_forbidden":
        message = _unknown_field(str(details["loc"][-1]), notes.fields_of(parent))
    code = _CODES.get(kind) or (kind if kind.isupper() else "BAD_CONFIG")
    return Problem(path=path, code=code, message=message)


def _choice_problem(details: ErrorDetails, path: str) -> Problem:
    """An `op`, a `check` or a `kind` of chart that is missing or not known."""
    context = details.get("ctx", {})
    key = str(context.get("discriminator", "'op'")).strip("'")
    value = details["input"].get(key) if isinstance(details["input"], dict) else None
    choices = [choice.strip(" '") for choice in str(context.get("expected_tags", "")).split(",")]
    path = f"{path}.{key}" if path else key
    if value is None:
        return Problem(path=path, code="MISSING_FIELD", message=f'"{key}" is needed here')
    code = {"op": "UNKNOWN_OPERATION", "check": "UNKNOWN_CHECK"}.get(key, "UNKNOWN_CHART")
    hint = did_you_mean(str(value), choices)
    message = f"{str(value)[:100]!r} is unknown; {f'{hint} ' if hint else ''}there are: {listed(choices)}"
    return Problem(path=path, code=code, message=message)


def _unknown_field(name: str, fields: Sequence[str]) -> str:
    if not fields:
        return f'"{name[:100]}" is not known here'
    hint = did_you_mean(name, fields)
    return f'"{name[:100]}" is not known here; {f"{hint} " if hint else ""}there are: {listed(fields)}'


def _follow(document: Any, location: Sequence[int | str]) -> tuple[str, Any]:
    """The JSON path of `location` and the object that its last part belongs to.

    Pydantic puts the tags of unions between the keys; they are known by leading nowhere in the document.
    """
    path, value, parent = "", document, document
    for part in _without_tags(document, location):
        path += f"[{part}]" if isinstance(part, int) else f".{part}" if path else part
        parent, value = value, _child(value, part)
    return path, parent


def _without_tags(document: Any, location: Sequence[int | str]) -> Iterator[int | str]:
    value, after_choice = document, False
    for index, part in enumerate(location):
        is_tag = (
            isinstance(value, dict)
            and not after_choice
            and part in (value.get("op"), value.get("check"), value.get("kind"))
        )
        if is_tag or (isinstance(part, str) and part.startswith(("source:", "sink:"))):
            after_choice = True
            continue
        is_last = index == len(location) - 1
        is_key = isinstance(value, dict) and (part in value or is_last)
        if is_key or (isinstance(value, list) and isinstance(part, int)):
            yield part
        value, after_choice = _child(value, part), False


def _child(value: Any, part: int | str) -> Any:
    if isinstance(value, dict):
        return value.get(part)
    if isinstance(value, list) and isinstance(part, int) and part < len(value):
        return value[part]
    return None
