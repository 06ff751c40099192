"""JSON without what only causes harm later: NaN, numbers that PostgreSQL or 64 bits cannot hold, duplicate keys,
NUL and lone surrogates, nesting without end."""

import json
import math
import re
from typing import Any

from agents.errors import Problem

MAX_DEPTH = 64
MAX_KEYS = 100_000
"""Keys of all objects together."""

_TOKENS = re.compile(rb'"(?:[^"\\]|\\.)*+"?+|[\[{]|[\]}]', re.DOTALL)


class _Unacceptable(ValueError):
    pass


def json_problem(body: bytes) -> Problem | None:
    """What is wrong with `body`, or None."""
    try:
        text = body.decode("utf-8")
    except UnicodeDecodeError as error:
        return _problem("INVALID_UTF8", f"Not valid UTF-8 at byte {error.start}")
    if depth_exceeded(body):
        return _problem("JSON_TOO_DEEP", f"Nested deeper than {MAX_DEPTH} levels")
    try:
        _Strict().decode(text)
    except json.JSONDecodeError as error:
        return _problem("JSON_INVALID", f"{error.msg} at line {error.lineno}, column {error.colno}")
    except (_Unacceptable, RecursionError) as error:
        return _problem("JSON_UNACCEPTABLE", str(error))
    return None


def depth_exceeded(body: bytes) -> bool:
    """Whether arrays and objects are nested deeper than `MAX_DEPTH`; brackets inside texts do not count."""
    if body.count(b"[") + body.count(b"{") <= MAX_DEPTH:
        return False
    depth = 0
    for match in _TOKENS.finditer(body):
        token = match[0]
        if token in b"[{":
            depth += 1
            if depth > MAX_DEPTH:
                return True
        elif token in b"]}":
            depth -= 1
    return False


class _Strict:
    def __init__(self) -> None:
        self._keys = 0
        self._decoder = json.JSONDecoder(
            object_pairs_hook=self._object, parse_constant=_constant, parse_int=_integer, parse_float=_float
        )

    def decode(self, text: str) -> None:
        """Raises when the text is not acceptable."""
        if "\\u" in text:
            _check_escapes(text)
        if "\x00" in text:
            raise _Unacceptable("NUL characters cannot be stored")
        self._decoder.decode(text)

    def _object(self, pairs: list[tuple[str, Any]]) -> dict[str, Any]:
        self._keys += len(pairs)
        if self._keys > MAX_KEYS:
            raise _Unacceptable(f"More than {MAX_KEYS} keys")
        found = dict(pairs)
        if len(found) != len(pairs):
            raise _Unacceptable("An object names the same key twice")
        return found


_ESCAPE = re.compile(r"\\(?:u([0-9a-fA-F]{4})|.)", re.DOTALL)


def _check_escapes(text: str) -> None:
    high_ends = -1
    for match in _ESCAPE.finditer(text):
        if match[1] is None:
            continue
        unit = int(match[1], 16)
        follows_high = match.start() == high_ends
        if high_ends >= 0 and not follows_high:
            raise _lone_surrogate()
        high_ends = -1
        if unit == 0:
            raise _Unacceptable("NUL characters cannot be stored")
        if 0xD800 <= unit <= 0xDBFF:
            if follows_high:
                raise _lone_surrogate()
            high_ends = match.end()
        elif (0xDC00 <= unit <= 0xDFFF) is not follows_high:
            raise _lone_surrogate()
    if high_ends >= 0:
        raise _lone_surrogate()


def _lone_surrogate() -> _Unacceptable:
    return _Unacceptable("Half of a surrogate pair is no character")


def _constant(name: str) -> Any:
    raise _Unacceptable(f"{name} is no number of JSON")


def _integer(digits: str) -> int:
    if len(digits) > 20 or not -(2**63) <= int(digits) < 2**63:
        raise _Unacceptable("Whole numbers must fit into 64 bits")
    return int(digits)


def _float(digits: str) -> float:
    value = float(digits)
    if not math.isfinite(value):
        raise _Unacceptable("Numbers must be finite")
    return value


def _problem(code: str, message: str) -> Problem:
    return Problem(path="", code=code, message=message)
