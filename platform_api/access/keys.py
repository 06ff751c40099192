"""What keys look like: `tc_<prefix>_<256-bit secret>` acts as its user, `cla_<uuid4>` as its project.

The prefix is stored as it is and finds the row; the whole is stored as SHA-256 and compared in constant time.
"""

import re
import secrets
from dataclasses import dataclass
from uuid import uuid4

from platform_api.access.tokens import fingerprint

_USER_KEY = re.compile(r"(tc_[0-9a-f]{8})_[0-9a-f]{64}")
_PROJECT_KEY = re.compile(r"(cla_[0-9a-f]{8})-[0-9a-f]{4}-4[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}")


@dataclass(frozen=True, kw_only=True)
class NewKey:
    """A fresh key. `text` is shown to its owner once and stored nowhere."""

    text: str
    prefix: str
    hash: str


def new_user_key() -> NewKey:
    """A key of a user."""
    return _made(f"tc_{secrets.token_hex(4)}_{secrets.token_hex(32)}")


def new_project_key() -> NewKey:
    """A key of a project; its 122 random bits come from the system's generator."""
    return _made(f"cla_{uuid4()}")


def is_project_key(text: str) -> bool:
    """Whether a text that is a key acts as its project."""
    return text.startswith("cla_")


def prefix_of(text: str) -> str | None:
    """What the row of a key is found by; None for a text that is no key."""
    match = _USER_KEY.fullmatch(text) or _PROJECT_KEY.fullmatch(text)
    return match[1] if match else None


def _made(text: str) -> NewKey:
    prefix = prefix_of(text)
    assert prefix is not None
    return NewKey(text=text, prefix=prefix, hash=fingerprint(text))
