"""Answers that are JSON and fit a schema."""

import json
from collections.abc import Mapping
from typing import Any

from agents.context import SchemaCheck
from agents.errors import Problem

MAX_TOLD = 20


def instruction(schema: Mapping[str, Any]) -> str:
    """Told to every model, since not every provider takes a schema."""
    return f"Answer with JSON alone, without any text around it. It has to fit this JSON Schema:\n{json.dumps(schema)}"


def parsed(text: str, schema: Mapping[str, Any], check: SchemaCheck) -> tuple[Any, list[str]]:
    """The value, and what is wrong with it; nothing is wrong with one that can be used."""
    try:
        value = strict_json(_bare(text))
    except (ValueError, RecursionError) as error:
        return None, [f"it is no JSON: {str(error)[:200] or type(error).__name__}"]
    return value, [_told(problem) for problem in check(schema, value)[:MAX_TOLD]]


def strict_json(text: str) -> Any:
    """Raises `ValueError` for what is no JSON, `NaN` among it, and `RecursionError` for what is nested too deep."""
    return json.loads(text, parse_constant=_no_constant)


def complaint(problems: list[str]) -> str:
    """What the model is told when it is asked once more."""
    listed = "\n".join(f"- {problem}" for problem in problems)
    return f"Your answer cannot be used:\n{listed}\nGive the whole answer again, as JSON alone."


def _bare(text: str) -> str:
    """Without the fence that models like to put around JSON."""
    text = text.strip()
    if not text.startswith("```") or not text.endswith("```"):
        return text
    return text.partition("\n")[2].removesuffix("```")


def _no_constant(name: str) -> Any:
    raise ValueError(f"{name} is no JSON")


def _told(problem: Problem) -> str:
    return f"{problem.path}: {problem.message}" if problem.path else problem.message
