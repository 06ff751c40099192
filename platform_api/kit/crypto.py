"""Encryption at rest: AES-256-GCM, several keys at once, every ciphertext bound to the place that it lies in.

A key's version is made from the key itself, so that nobody has to number keys and every process that holds the same
key calls it the same. Each message gets a fresh 96-bit nonce; under one key that is safe for 2^32 messages.
"""

import hmac
import os
from collections.abc import Sequence
from dataclasses import dataclass
from hashlib import sha256

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from platform_api.settings import AuthSettings

NONCE_BYTES = 12
VERSION_BYTES = 4
_VERSION_BITS = 31
"""A version fits into a signed 32-bit column."""


class DecryptionFailed(Exception):
    """The ciphertext was changed, moved from its place, or made with a key that is not configured."""


@dataclass(frozen=True, kw_only=True)
class Sealed:
    """A ciphertext (with its authentication tag) and what is needed to open it again, apart from the key."""

    ciphertext: bytes
    nonce: bytes
    key_version: int


class Cipher:
    """Seals with the newest key, opens with any. Keys are 64 hexadecimal characters."""

    def __init__(self, newest: str, older: Sequence[str] = ()) -> None:
        keys = [bytes.fromhex(text) for text in (newest, *older)]
        self.newest = _version(keys[0])
        self._keys = {_version(key): AESGCM(key) for key in keys}

    @classmethod
    def of(cls, settings: AuthSettings) -> "Cipher":
        """The cipher of `ENCRYPTION_KEY` and `ENCRYPTION_KEYS_OLD`."""
        older = [key.get_secret_value() for key in settings.encryption_keys_old]
        return cls(settings.encryption_key.get_secret_value(), older)

    @property
    def versions(self) -> frozenset[int]:
        """Of all keys that are configured."""
        return frozenset(self._keys)

    def seal(self, plain: bytes, *, place: str) -> Sealed:
        """`place` names where the ciphertext will lie (table, tenant, row): it opens nowhere else."""
        nonce = os.urandom(NONCE_BYTES)
        ciphertext = self._keys[self.newest].encrypt(nonce, plain, _bound(place, self.newest))
        return Sealed(ciphertext=ciphertext, nonce=nonce, key_version=self.newest)

    def open(self, sealed: Sealed, *, place: str) -> bytes:
        """The plain bytes; raises `DecryptionFailed`."""
        key = self._keys.get(sealed.key_version)
        if key is None:
            raise DecryptionFailed(
                "This was encrypted with a key that is not configured; name the former key in ENCRYPTION_KEYS_OLD"
            )
        try:
            return key.decrypt(sealed.nonce, sealed.ciphertext, _bound(place, sealed.key_version))
        except (InvalidTag, ValueError) as error:
            raise DecryptionFailed("The ciphertext was changed or does not belong to this place") from error

    def pack(self, plain: bytes, *, place: str) -> bytes:
        """`seal` in one value, for columns that hold key version, nonce and ciphertext together."""
        sealed = self.seal(plain, place=place)
        return sealed.key_version.to_bytes(VERSION_BYTES, "big") + sealed.nonce + sealed.ciphertext

    def unpack(self, packed: bytes, *, place: str) -> bytes:
        """The plain bytes of what `pack` made; raises `DecryptionFailed`."""
        version, rest = packed[:VERSION_BYTES], packed[VERSION_BYTES:]
        sealed = Sealed(
            ciphertext=rest[NONCE_BYTES:], nonce=rest[:NONCE_BYTES], key_version=int.from_bytes(version, "big")
        )
        return self.open(sealed, place=place)


def _version(key: bytes) -> int:
    digest = hmac.digest(key, b"turbocat key version", sha256)
    return int.from_bytes(digest[:VERSION_BYTES], "big") >> (8 * VERSION_BYTES - _VERSION_BITS)


def _bound(place: str, version: int) -> bytes:
    return f"turbocat\x1f{version}\x1f{place}".encode()
