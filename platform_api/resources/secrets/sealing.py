"""Puts secrets and providers' credentials into their rows and takes them out again, bound to the place they lie in."""

from platform_api.db.models import LlmProvider, Secret
from platform_api.kit.crypto import Cipher, Sealed


def seal(secret: Secret, value: str, cipher: Cipher) -> None:
    """Writes the ciphertext of `value` under the newest key; the row's coordinates must be set."""
    sealed = cipher.seal(value.encode(), place=_place(secret))
    secret.ciphertext, secret.nonce, secret.key_version = sealed.ciphertext, sealed.nonce, sealed.key_version


def unseal(secret: Secret, cipher: Cipher) -> str:
    """The value; raises `DecryptionFailed`, also for a ciphertext that was moved here from another row."""
    sealed = Sealed(ciphertext=secret.ciphertext, nonce=secret.nonce, key_version=secret.key_version)
    return cipher.open(sealed, place=_place(secret)).decode()


def seal_credentials(provider: LlmProvider, value: str, cipher: Cipher) -> None:
    """Writes the ciphertext of a provider's credentials under the newest key; id and tenant must be set."""
    provider.credentials = cipher.pack(value.encode(), place=_place_of_credentials(provider))


def unseal_credentials(provider: LlmProvider, cipher: Cipher) -> str | None:
    """The provider's credentials, None where it has none; raises `DecryptionFailed`."""
    if provider.credentials is None:
        return None
    return cipher.unpack(provider.credentials, place=_place_of_credentials(provider)).decode()


def _place(secret: Secret) -> str:
    return "\x1f".join(("secrets", str(secret.tenant_id), str(secret.project_id or ""), secret.name))


def _place_of_credentials(provider: LlmProvider) -> str:
    return "\x1f".join(("llm_providers", str(provider.tenant_id), str(provider.id)))
