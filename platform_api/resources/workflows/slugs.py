"""Names as they may appear in Prefect and in addresses: lower-case ASCII, digits and single hyphens."""

import re
import unicodedata
from collections.abc import Collection

MAX_LENGTH = 60
_NOT_ALLOWED = re.compile(r"[^a-z0-9]+")


def slug_of(name: str) -> str:
    """The slug that a name suggests; `workflow` when nothing of it can be kept."""
    plain = unicodedata.normalize("NFKD", name.casefold()).encode("ascii", "ignore").decode()
    return _NOT_ALLOWED.sub("-", plain).strip("-")[:MAX_LENGTH].strip("-") or "workflow"


def free_slug(wanted: str, taken: Collection[str]) -> str:
    """`wanted`, or the first of `wanted-2`, `wanted-3`, … that is not taken."""
    if wanted not in taken:
        return wanted
    number = 2
    while f"{wanted}-{number}" in taken:
        number += 1
    return f"{wanted}-{number}"
