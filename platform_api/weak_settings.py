"""What a setting must not be, although its form is right: guessable, equal to another, in the clear.

Takes plain values and gives one line per variable, so that `platform_api.settings` can tell all of them at once.
"""

import re
from collections.abc import Iterable, Mapping

MIN_DISTINCT = 10
"""Different characters of a secret in production: a random one of 32 hexadecimal characters has more."""

MIN_ROUNDS = 10
_WELL_KNOWN = re.compile(
    r"change.?(me|this|it)|replace.?(me|this)|your.?(own.?)?(secret|key|password)|insecure|password|secret.?key"
    r"|qwerty|letmein|1234567890123|abcdefghijklmnopqrst",
    re.IGNORECASE,
)
_DATABASE_PASSWORDS = frozenset({"postgres", "password", "turbocat", "secret", "admin", "changeme", "root", "test"})
_LOCAL_ORIGIN = re.compile(r"http://(localhost|127\.0\.0\.1|\[::1\])(:\d+)?")


def equal_secrets(secrets: Mapping[str, str]) -> list[str]:
    """Two secrets that are one: whoever learns one has the other."""
    problems = []
    names = list(secrets)
    for index, name in enumerate(names):
        twin = next((other for other in names[:index] if secrets[other] == secrets[name]), None)
        if twin is not None:
            problems.append(f"{name}: must differ from {twin}")
    return problems


def guessable_secrets(secrets: Mapping[str, str]) -> list[str]:
    """Secrets that are a pattern, or that stand in many a manual."""
    problems = []
    for name, value in secrets.items():
        if len(set(value)) < MIN_DISTINCT or _is_repetition(value):
            problems.append(f"{name}: is too regular for production (`openssl rand -hex 32` makes a random one)")
        elif _WELL_KNOWN.search(value):
            problems.append(f"{name}: contains words that everybody tries (`openssl rand -hex 32` makes a random one)")
    return problems


def weak_password(name: str, password: str | None) -> list[str]:
    """A password inside a URL that is the first to be tried."""
    if password is not None and password.lower() in _DATABASE_PASSWORDS:
        return [f"{name}: its password is one that everybody tries"]
    return []


def plain_origins(name: str, origins: Iterable[str]) -> list[str]:
    """Front ends that would send tokens in the clear."""
    plain = [each for each in origins if each.startswith("http://") and not _LOCAL_ORIGIN.fullmatch(each)]
    return [f"{name}: must be https:// in production ({', '.join(plain)})"] if plain else []


def weak_rounds(name: str, rounds: int) -> list[str]:
    """Password hashes that are quick to try."""
    return [f"{name}: must be at least {MIN_ROUNDS} in production"] if rounds < MIN_ROUNDS else []


def _is_repetition(value: str) -> bool:
    """Whether the text is a shorter one over and over."""
    return value in (value + value)[1:-1]
