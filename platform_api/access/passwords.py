"""Passwords: the rules for new ones, and bcrypt, always in a thread because one hash takes a quarter of a second."""

import asyncio
from collections.abc import Callable, Sequence

import bcrypt

from agents.errors import Problem

MIN_CHARACTERS = 8
MAX_BYTES = 72
"""bcrypt reads no further; what lies beyond would be silently worthless."""

_RULES: Sequence[tuple[str, Callable[[str], bool], str]] = (
    ("PASSWORD_TOO_SHORT", lambda text: len(text) >= MIN_CHARACTERS, f"Use at least {MIN_CHARACTERS} characters"),
    (
        "PASSWORD_TOO_LONG",
        lambda text: len(text.encode()) <= MAX_BYTES,
        f"Use at most {MAX_BYTES} bytes in UTF-8 (letters beyond ASCII take two to four bytes each)",
    ),
    ("PASSWORD_NEEDS_UPPER", lambda text: any(c.isupper() for c in text), "Add an upper-case letter"),
    ("PASSWORD_NEEDS_LOWER", lambda text: any(c.islower() for c in text), "Add a lower-case letter"),
    ("PASSWORD_NEEDS_DIGIT", lambda text: any(c.isdigit() for c in text), "Add a digit"),
    (
        "PASSWORD_NEEDS_SPECIAL",
        lambda text: any(not c.isalnum() and not c.isspace() for c in text),
        "Add a character that is neither letter nor digit",
    ),
)


def password_problems(password: str, *, path: str = "password") -> list[Problem]:
    """Every rule that a new password breaks, at once."""
    return [Problem(path=path, code=code, message=message) for code, holds, message in _RULES if not holds(password)]


class Passwords:
    """Hashes and checks passwords at one cost (`rounds`, the power of two of bcrypt)."""

    def __init__(self, *, rounds: int) -> None:
        self._rounds = rounds
        # A hash of nothing: checking against it costs the same and never succeeds.
        self._nobody = f"$2b${rounds:02d}$" + "nobodyhasthispasswordu" + "." * 31

    async def hash(self, password: str) -> str:
        """The hash to store; the password must have passed `password_problems`."""
        return await asyncio.to_thread(self._hash, password)

    async def matches(self, password: str, stored: str | None) -> bool:
        """Whether `password` belongs to `stored`. Takes as long when nothing is stored, or no hash."""
        return await asyncio.to_thread(self._matches, password, stored)

    def _hash(self, password: str) -> str:
        return bcrypt.hashpw(password.encode(), bcrypt.gensalt(self._rounds)).decode()

    def _matches(self, password: str, stored: str | None) -> bool:
        usable = stored if stored is not None and stored.startswith("$2") else None
        # bcrypt refuses longer input; a cut one costs the same time and is refused below.
        matched = bcrypt.checkpw(password.encode()[:MAX_BYTES], (usable or self._nobody).encode())
        return matched and usable is not None and len(password.encode()) <= MAX_BYTES
