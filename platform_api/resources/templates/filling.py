"""`{{ parameters.name }}` in a template's definition: found, and filled in once, when something is made of it.

A text that is exactly one of them becomes the value, type and all; inside other text a value is written out, as JSON
unless it is text itself. What is filled in is not looked at again. Every other `{{ … }}` is left for the run.
"""

import re
from collections.abc import Iterator, Mapping
from typing import Any

import orjson

MAX_FILLED = 2 * 1024 * 1024
"""Bytes that all values which are filled in may have together."""

_PARAMETER = re.compile(r"\{\{\s*parameters\.([A-Za-z_][A-Za-z0-9_]*)\s*\}\}")
_BRACED = re.compile(r"\{\{[^{}]*+\}\}")
"""Possessive: what is between braces is looked at once, however long it is and whether or not it is closed."""

_LOOSE = re.compile(r"\bparameters\b")


class TooLarge(ValueError):
    """The values together would make the definition larger than `MAX_FILLED`."""


def uses(value: Any, path: str) -> Iterator[tuple[str, str | None]]:
    """Path and parameter of each use in a document found at `path`; None for one that is written in another way."""
    if isinstance(value, str):
        yield from ((path, name) for name in _PARAMETER.findall(value))
        braced = (text for text in _BRACED.findall(value) if not _PARAMETER.fullmatch(text))
        yield from ((path, None) for text in braced if _LOOSE.search(text))
    elif isinstance(value, Mapping):
        for key, item in value.items():
            yield from uses(item, f"{path}.{key}")
    elif isinstance(value, list):
        for index, item in enumerate(value):
            yield from uses(item, f"{path}[{index}]")


def filled(value: Any, parameters: Mapping[str, Any]) -> Any:
    """`value` with its parameters filled in; those that have no value stay. Raises `TooLarge`."""
    return _Filling(parameters).fill(value)


class _Filling:
    def __init__(self, parameters: Mapping[str, Any]) -> None:
        self._parameters = parameters
        self._written = {name: orjson.dumps(value) for name, value in parameters.items()}
        self._size = 0

    def fill(self, value: Any) -> Any:
        if isinstance(value, str):
            return self._text(value)
        if isinstance(value, Mapping):
            return {key: self.fill(item) for key, item in value.items()}
        return [self.fill(item) for item in value] if isinstance(value, list) else value

    def _text(self, text: str) -> Any:
        whole = _PARAMETER.fullmatch(text.strip())
        if whole is not None and whole[1] in self._parameters:
            self._count(whole[1])
            return self._parameters[whole[1]]
        return _PARAMETER.sub(self._written_out, text)

    def _written_out(self, match: re.Match[str]) -> str:
        name = match[1]
        if name not in self._parameters:
            return match[0]
        self._count(name)
        value = self._parameters[name]
        return value if isinstance(value, str) else self._written[name].decode()

    def _count(self, name: str) -> None:
        self._size += len(self._written[name])
        if self._size > MAX_FILLED:
            raise TooLarge(f"The values would make it larger than {MAX_FILLED // 1024} KiB")
