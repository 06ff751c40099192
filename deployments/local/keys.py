"""Secrets that the stack makes for itself on first use. Outside development they have to be given."""

import secrets
from collections.abc import Callable, Mapping
from pathlib import Path

from deployments.local.errors import StackError
from deployments.local.files import PRIVATE_FILE, read_json, write_json

GENERATORS: Mapping[str, Callable[[], str]] = {
    "JWT_ACCESS_SECRET": lambda: secrets.token_urlsafe(48),
    "JWT_REFRESH_SECRET": lambda: secrets.token_urlsafe(48),
    "ENCRYPTION_KEY": lambda: secrets.token_hex(32),
    "PREFECT_API_AUTH_STRING": lambda: f"turbocat:{secrets.token_urlsafe(24)}",
}


def load_or_generate(path: Path, given: Mapping[str, str]) -> dict[str, str]:
    """Every secret by its variable's name: what is given wins, then the file, then a fresh one that the file keeps.

    In production nothing is generated: raises `StackError` naming every variable that is missing. A key file that
    cannot be read is never replaced, since what it encrypted would be lost.
    """
    if given.get("ENVIRONMENT", "").lower() == "production":
        return _all_given(given)
    kept = _kept(path)
    missing = {name: make() for name, make in GENERATORS.items() if name not in kept and name not in given}
    if missing:
        kept = {**kept, **missing}
        write_json(path, dict(kept))
    if path.exists():
        path.chmod(PRIVATE_FILE)
    return {name: given.get(name) or kept[name] for name in GENERATORS}


def _all_given(given: Mapping[str, str]) -> dict[str, str]:
    optional = {"PREFECT_API_AUTH_STRING"} if "PREFECT_API_URL" in given else set()
    missing = [name for name in GENERATORS if name not in given and name not in optional]
    if missing:
        raise StackError(
            f"ENVIRONMENT=production needs {', '.join(missing)}",
            hint="secrets are generated in development only; set these variables",
        )
    return {name: given[name] for name in GENERATORS if name in given}


def _kept(path: Path) -> dict[str, str]:
    if not path.exists():
        return {}
    content = read_json(path)
    if content is None or not all(isinstance(value, str) and value for value in content.values()):
        raise StackError(
            f"the key file {path} cannot be read",
            hint="put it back from a backup; without it the secrets in this data folder cannot be decrypted",
        )
    return {name: value for name, value in content.items() if name in GENERATORS}
