"""Is this database's encryption done with the keys that are configured? Asked before anything is written.

A known text lies in the database, encrypted with each key that is in use. A key that is missing or wrong cannot open
it. The first start with a new `ENCRYPTION_KEY` adds its check once all former keys are known to be there.
"""

from collections.abc import Iterator
from contextlib import contextmanager

from platform_api.access.scope import system_scope
from platform_api.db.engine import Sessions
from platform_api.db.models import KeyCheck
from platform_api.kit.crypto import Cipher, DecryptionFailed, Sealed
from platform_api.kit.ids import new_id
from platform_api.resources.secrets.repository import EncryptedRows
from platform_api.resources.secrets.sealing import seal, seal_credentials, unseal, unseal_credentials
from platform_api.settings import SettingsInvalid

BATCH = 100
_PLACE = "key_checks"
_KNOWN = b"turbocat"
_WRONG = (
    "ENCRYPTION_KEY: is not the key that the secrets of this database are encrypted with; set the former key again, "
    "or, to change keys, name the former one in ENCRYPTION_KEYS_OLD and run `turbocat secrets rotate`"
)


async def check_keys(sessions: Sessions, cipher: Cipher) -> None:
    """Raises `SettingsInvalid` when a key that ciphertexts were made with is not configured."""
    async with system_scope(sessions) as scope:
        rows = EncryptedRows(scope.session)
        checks = await rows.checks()
        if not all(_opens(check, cipher) for check in checks):
            raise SettingsInvalid(_WRONG)
        if cipher.newest not in {check.key_version for check in checks}:
            await rows.add_check(_new_check(cipher))


async def rotate(sessions: Sessions, cipher: Cipher) -> int:
    """Brings all secrets and credentials of every tenant under the newest key; gives how many were changed.

    A transaction holds `BATCH` rows for some milliseconds, and processes with either key go on reading: nothing has
    to stop for it. Stopped in the middle it goes on where it was. Raises `DecryptionFailed` for a row that no
    configured key opens; the batches before it are done.
    """
    await check_keys(sessions, cipher)
    changed = 0
    while True:
        async with system_scope(sessions) as scope:
            rows = EncryptedRows(scope.session)
            batch = await _resealed(rows, cipher)
            await rows.save()
            if not batch:
                await rows.forget_checks(but=cipher.newest)
                return changed
        changed += batch


async def _resealed(rows: EncryptedRows, cipher: Cipher) -> int:
    secrets = await rows.outdated(cipher.newest, limit=BATCH)
    for secret in secrets:
        with _named(f"Secret {secret.id}"):
            seal(secret, unseal(secret, cipher), cipher)
    providers = await rows.outdated_providers(cipher.newest, limit=BATCH)
    for provider in providers:
        with _named(f"The credentials of the LLM provider {provider.id}"):
            seal_credentials(provider, unseal_credentials(provider, cipher) or "", cipher)
    return len(secrets) + len(providers)


@contextmanager
def _named(what: str) -> Iterator[None]:
    try:
        yield
    except DecryptionFailed as failed:
        raise DecryptionFailed(f"{what} cannot be opened: {failed}") from failed


def _opens(check: KeyCheck, cipher: Cipher) -> bool:
    sealed = Sealed(ciphertext=check.ciphertext, nonce=check.nonce, key_version=check.key_version)
    try:
        return cipher.open(sealed, place=_PLACE) == _KNOWN
    except DecryptionFailed:
        return False


def _new_check(cipher: Cipher) -> KeyCheck:
    sealed = cipher.seal(_KNOWN, place=_PLACE)
    return KeyCheck(id=new_id(), key_version=sealed.key_version, ciphertext=sealed.ciphertext, nonce=sealed.nonce)
