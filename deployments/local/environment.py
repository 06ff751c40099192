"""The environment that the stack was started in, as plain data; the processes it starts get theirs composed from it.

Settings are read in `platform_api.settings` alone. The stack stands before them: it decides what they will find.
"""

import os
from collections.abc import Mapping

QUIET = {"PREFECT_SERVER_ANALYTICS_ENABLED": "false", "DO_NOT_TRACK": "1", "PYTHONUNBUFFERED": "1"}
"""Nothing phones home, and a log shows a line when it is written."""


def inherited() -> dict[str, str]:
    """A copy of this process's environment without empty values: an empty variable counts as one that is not set."""
    return {name: value for name, value in os.environ.items() if value}


def composed(base: Mapping[str, str], *layers: Mapping[str, str]) -> dict[str, str]:
    """`base` with each layer over it, and with what keeps every process quiet."""
    merged = dict(base)
    for layer in (*layers, QUIET):
        merged.update(layer)
    return merged
