"""Regular expressions of users, on the linear-time engine that Pydantic carries (Rust's `regex`): no backtracking.

Case 21 of the security list. Look-around and back-references do not exist there and are refused when a schema is saved.
Linear means length of the text times size of the pattern, so the size is bounded too, repetitions written out.
"""

import re
from functools import lru_cache

from pydantic import ValidationError
from pydantic_core import SchemaError, SchemaValidator, core_schema

_MAX_LENGTH = 1_000
_MAX_SIZE = 2_000
"""Characters of a pattern with its repetitions written out; a class such as `[a-z]` or `\\w` counts ten."""
_CLASS_SIZE = 10
_PART = re.compile(
    r"""(?P<class>\[\^?\]?(?:[^\]\\]|\\.)*\]|\\[pP](?:\{[^}]*\}|.)|\\[wWdDsS])
    | \\(?:[xuU]\{[^}]*\}|.) | \{(?P<least>[0-9]+)(?:,(?P<most>[0-9]*))?\} | .""",
    re.VERBOSE | re.DOTALL,
)
_WITH_SPACES = re.compile(r"\(\?[a-zA-Z-]*x")


def pattern_error(pattern: str) -> str | None:
    """Why `pattern` cannot be used; None when it can."""
    if len(pattern) > _MAX_LENGTH:
        return f"a pattern has at most {_MAX_LENGTH} characters"
    if _WITH_SPACES.search(pattern):
        return "the flag `x` is not available in patterns"
    if written_out(pattern) > _MAX_SIZE:
        return f"with its repetitions written out the pattern is longer than {_MAX_SIZE}; use `maxLength` beside it"
    try:
        _compiled(pattern)
    except SchemaError:
        return "the pattern is no regular expression of the linear kind (without look-around and back-references)"
    return None


def pattern_found(pattern: str, text: str) -> bool:
    """Whether `pattern` matches somewhere in `text`; a pattern with an error is found nowhere."""
    try:
        _compiled(pattern).validate_python(text)
    except (ValidationError, SchemaError):
        return False
    return True


def written_out(pattern: str) -> int:
    """How long `pattern` is when each counted repetition is written out, roughly."""
    totals = [0]
    last = 0
    for match in _PART.finditer(pattern):
        text = match.group()
        if text == "(":
            totals.append(0)
            continue
        if match["least"]:
            times = max(1, int(match["least"]), int(match["most"] or 0))
            totals[-1] += last * (times - 1)
            last *= times
            continue
        last = totals.pop() if text == ")" and len(totals) > 1 else _CLASS_SIZE if match["class"] else 1
        totals[-1] += last
    return sum(totals)


@lru_cache(maxsize=32)
def _compiled(pattern: str) -> SchemaValidator:
    return SchemaValidator(core_schema.str_schema(pattern=pattern, regex_engine="rust-regex"))
