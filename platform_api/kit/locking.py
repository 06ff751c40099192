"""Optimistic locking over HTTP: `ETag` out, `If-Match` or the body's `version` in."""

import re
from typing import Annotated

from fastapi import Header

from agents.errors import Problem
from platform_api.errors import ValidationFailed

IfMatch = Annotated[str | None, Header(description='The version that the change was made from, as `"3"`')]
"""The header of a route that changes something; `expected_version` reads it."""

_ENTITY_TAG = re.compile(r'(?:W/)?"?(\d{1,9})"?')


def etag(version: int) -> str:
    """The header's value for a version."""
    return f'"{version}"'


def expected_version(if_match: str | None, in_body: int | None) -> int | None:
    """The version that the caller saw; None when it was not said (or `*`). Raises `ValidationFailed` on nonsense."""
    if if_match is None or if_match.strip() == "*":
        return in_body
    match = _ENTITY_TAG.fullmatch(if_match.strip())
    if match is None:
        raise _invalid("BAD_IF_MATCH", 'If-Match takes one version in quotes, such as "3", or *')
    version = int(match[1])
    if in_body is not None and in_body != version:
        raise _invalid("CONTRADICTION", f"If-Match says version {version}, the body says {in_body}; send one of them")
    return version


def _invalid(code: str, message: str) -> ValidationFailed:
    return ValidationFailed(message, details=[Problem(path="headers.If-Match", code=code, message=message)])
