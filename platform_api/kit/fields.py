"""Fields that resources and their lists have in common, with their bounds."""

from typing import Annotated, Any

from pydantic import AfterValidator, Field, StringConstraints

_NO_NUL = r"^[^\x00]*$"
"""Bodies are checked for NUL as a whole; query strings are not, and PostgreSQL cannot keep one."""

Name = Annotated[str, StringConstraints(strip_whitespace=True, min_length=1, max_length=200)]
Description = Annotated[str, StringConstraints(max_length=10_000)]
Tag = Annotated[str, StringConstraints(strip_whitespace=True, min_length=1, max_length=50, pattern=_NO_NUL)]
Search = Annotated[str, StringConstraints(strip_whitespace=True, max_length=200, pattern=_NO_NUL)]
JsonObject = dict[str, Any]
Version = Annotated[int, Field(ge=1, description="the version that the change was made from")]


def _once(tags: list[str]) -> list[str]:
    return list(dict.fromkeys(tags))


Tags = Annotated[list[Tag], Field(max_length=50), AfterValidator(_once)]
"""Labels in the order written, each kept once."""
