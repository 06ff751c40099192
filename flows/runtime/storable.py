"""JSON as the record can keep it: whatever a step gives back, PostgreSQL takes it.

PostgreSQL refuses NUL characters and lone surrogates in `jsonb`; JSON knows no NaN. Each is replaced by what is nearest
(U+FFFD, `?`, null). Whole numbers over 64 bits are kept.
"""

import json
import math
import re
from typing import Any

import orjson

MAX_LEVELS = 250
"""Of lists and objects inside each other; orjson stops a little later."""

_NUL = re.compile(rb"(?<!\\)((?:\\\\)*)\\u0000")


def storable_json(value: Any) -> bytes:
    """`value` as UTF-8 JSON; raises `TypeError` for what is no JSON data, or nested deeper than `MAX_LEVELS`."""
    try:
        payload = orjson.dumps(value, option=orjson.OPT_NON_STR_KEYS)
    except TypeError:
        payload = json.dumps(_finite(value, 0), ensure_ascii=False).encode(errors="replace")
    return _NUL.sub(rb"\1\\ufffd", payload) if b"\\u0000" in payload else payload


def _finite(value: Any, level: int) -> Any:
    if level > MAX_LEVELS:
        raise TypeError(f"nested deeper than {MAX_LEVELS} levels")
    if isinstance(value, float) and not math.isfinite(value):
        return None
    if isinstance(value, dict):
        return {str(key): _finite(item, level + 1) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [_finite(item, level + 1) for item in value]
    return value
