"""Puts a value into a secret's row and takes it out again, bound to tenant, project and name."""

from platform_api.db.models import Secret
from platform_api.kit.crypto import Cipher, Sealed


def seal(secret: Secret, value: str, cipher: Cipher) -> None:
    """Writes the ciphertext of `value` under the newest key; the row's coordinates must be set."""
    sealed = cipher.seal(value.encode(), place=_place(secret))
    secret.ciphertext, secret.nonce, secret.key_version = sealed.ciphertext, sealed.nonce, sealed.key_version


def unseal(secret: Secret, cipher: Cipher) -> str:
    """The value; raises `DecryptionFailed`, also for a ciphertext that was moved here from another row."""
    sealed = Sealed(ciphertext=secret.ciphertext, nonce=secret.nonce, key_version=secret.key_version)
    return cipher.open(sealed, place=_place(secret)).decode()


def _place(secret: Secret) -> str:
    return "\x1f".join(("secrets", str(secret.tenant_id), str(secret.project_id or ""), secret.name))
