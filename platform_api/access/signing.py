"""Signed tokens of any kind: JWTs, HS256 alone, each kind with its own audience and `typ`.

A token names its secret (`kid`), so that a former secret still verifies after the newest has begun to sign. Times are
checked by the readers, against the one clock.
"""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from hashlib import sha256
from typing import Any

import jwt
from pydantic import SecretStr

from platform_api.errors import Unauthenticated
from platform_api.kit import clock

ISSUER = "turbocat"
_ALGORITHM = "HS256"


@dataclass(frozen=True, kw_only=True)
class Kind:
    """One kind of token, and the secrets that sign and verify it."""

    secrets: tuple[str, ...]
    """The newest first: it signs, all verify."""
    typ: str
    audience: str

    @classmethod
    def of(cls, newest: SecretStr, old: Sequence[SecretStr], *, typ: str, audience: str) -> "Kind":
        """A kind from the settings' secrets."""
        return cls(secrets=tuple(each.get_secret_value() for each in (newest, *old)), typ=typ, audience=audience)

    def sign(self, claims: Mapping[str, Any]) -> str:
        """A token with `claims`. Deterministic: the same claims give the same text."""
        newest = self.secrets[0]
        payload = {"iss": ISSUER, "aud": self.audience, **claims}
        return jwt.encode(payload, newest, algorithm=_ALGORITHM, headers=self._header(newest))

    def verified(self, token: str, required: Collection[str]) -> dict[str, Any]:
        """The claims of a token of this kind, whatever its times say; raises `Unauthenticated`."""
        try:
            secret = self._secret_of(jwt.get_unverified_header(token))
            if secret is None:
                raise unusable()
            return jwt.decode(
                token,
                secret,
                algorithms=[_ALGORITHM],
                audience=self.audience,
                issuer=ISSUER,
                options={
                    "require": sorted({"iss", "aud", *required}),
                    "verify_exp": False,  # times are checked against our own clock
                    "verify_nbf": False,
                    "verify_iat": False,
                },
            )
        except jwt.PyJWTError as error:
            raise unusable() from error

    def _secret_of(self, header: Mapping[str, Any]) -> str | None:
        """The secret that the header names. Equality, not inclusion: a header that brings a key, a `crit` or
        anything else of its own is not ours."""
        return next((secret for secret in self.secrets if dict(header) == self._header(secret)), None)

    def _header(self, secret: str) -> dict[str, str]:
        return {"alg": _ALGORITHM, "typ": self.typ, "kid": _key_id(secret)}


def instant(claims: Mapping[str, Any], name: str) -> datetime:
    """A time of the claims; raises `ValueError` for anything but whole seconds."""
    value = claims[name]
    if type(value) is not int:
        raise ValueError(f"{name} is not a whole number of seconds")
    return datetime.fromtimestamp(value, tz=clock.now().tzinfo)


def unusable() -> Unauthenticated:
    """The refusal of every token that is none of ours: it tells nothing else."""
    return Unauthenticated("The token cannot be used; log in to get one")


def _key_id(secret: str) -> str:
    """Names the secret without telling anything of use about it."""
    return sha256(f"turbocat key id {secret}".encode()).hexdigest()[:12]
