"""Text that a tenant wrote, in what Prefect renders as Markdown for its operator: no mark in it has a meaning.

Prefect renders the cells of tables too, and fetches the images that they name.
"""

import re

_MARKS = str.maketrans({mark: f"\\{mark}" for mark in r"\`*_[]<>|~&#"})
_AT_THE_START = re.compile(r"^(\d*)([-+=.)])")


def plain(text: str) -> str:
    """One line that looks like `text`."""
    line = " ".join(text.split())
    return _AT_THE_START.sub(r"\1\\\2", line.translate(_MARKS))
