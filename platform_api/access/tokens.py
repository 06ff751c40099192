"""Access and refresh tokens: JWTs, HS256 alone, each kind with its own secret, audience and `typ`.

Times are checked against the one clock, with 30 s of leeway. Roles are not in a token: they are read per request.
A token names its secret (`kid`), so that a former secret still verifies after the newest has begun to sign.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from hashlib import sha256
from typing import Any
from uuid import UUID

import jwt
from pydantic import SecretStr

from platform_api.errors import TokenExpired, Unauthenticated
from platform_api.kit import clock
from platform_api.settings import AuthSettings

ISSUER = "turbocat"
LEEWAY = timedelta(seconds=30)
_ALGORITHM = "HS256"
_CLAIMS = frozenset({"iss", "aud", "sub", "sid", "tid", "iat", "nbf", "exp"})


@dataclass(frozen=True, kw_only=True)
class Claims:
    """What a token says: which user, in which session and tenant, until when."""

    user_id: UUID
    session_id: UUID
    tenant_id: UUID
    issued_at: datetime
    expires_at: datetime


@dataclass(frozen=True, kw_only=True)
class _Kind:
    secrets: tuple[str, ...]
    """The newest first: it signs, all verify."""
    typ: str
    audience: str

    @classmethod
    def of(cls, newest: SecretStr, old: Sequence[SecretStr], *, typ: str, audience: str) -> "_Kind":
        return cls(secrets=tuple(each.get_secret_value() for each in (newest, *old)), typ=typ, audience=audience)

    def secret_of(self, header: Mapping[str, Any]) -> str | None:
        """The secret that the header names. Equality, not inclusion: a header that brings a key, a `crit` or
        anything else of its own is not ours."""
        return next((secret for secret in self.secrets if dict(header) == self.header(secret)), None)

    def header(self, secret: str) -> dict[str, str]:
        """What a token bears that is signed with `secret`."""
        return {"alg": _ALGORITHM, "typ": self.typ, "kid": _key_id(secret)}


def _key_id(secret: str) -> str:
    """Names the secret without telling anything of use about it."""
    return sha256(f"turbocat key id {secret}".encode()).hexdigest()[:12]


class Tokens:
    """Makes and reads both kinds of token. Making one is deterministic: the same claims give the same text."""

    def __init__(self, settings: AuthSettings) -> None:
        self.access_lifetime = timedelta(minutes=settings.access_minutes)
        self.refresh_lifetime = timedelta(days=settings.refresh_days)
        self._access = _Kind.of(
            settings.access_secret, settings.access_secrets_old, typ="at+jwt", audience="turbocat-api"
        )
        self._refresh = _Kind.of(
            settings.refresh_secret, settings.refresh_secrets_old, typ="rt+jwt", audience="turbocat-refresh"
        )

    def access(self, *, user_id: UUID, session_id: UUID, tenant_id: UUID) -> str:
        """A new access token from now on."""
        now = clock.now()
        return _encode(
            self._access,
            Claims(
                user_id=user_id,
                session_id=session_id,
                tenant_id=tenant_id,
                issued_at=now,
                expires_at=now + self.access_lifetime,
            ),
        )

    def refresh(self, *, user_id: UUID, session_id: UUID, tenant_id: UUID, expires_at: datetime) -> str:
        """The refresh token of a session row; the row gives the same text again."""
        issued_at = expires_at - self.refresh_lifetime
        return _encode(
            self._refresh,
            Claims(
                user_id=user_id,
                session_id=session_id,
                tenant_id=tenant_id,
                issued_at=issued_at,
                expires_at=expires_at,
            ),
        )

    def read_access(self, token: str) -> Claims:
        """Raises `TokenExpired` or `Unauthenticated`."""
        return _decode(self._access, token)

    def read_refresh(self, token: str) -> Claims:
        """Raises `TokenExpired` or `Unauthenticated`."""
        return _decode(self._refresh, token)


def fingerprint(secret: str) -> str:
    """What is stored of a token or key: its SHA-256 (they are random and long, so no slow hash is needed)."""
    return sha256(secret.encode()).hexdigest()


def _encode(kind: _Kind, claims: Claims) -> str:
    issued_at = int(claims.issued_at.timestamp())
    payload = {
        "iss": ISSUER,
        "aud": kind.audience,
        "sub": str(claims.user_id),
        "sid": str(claims.session_id),
        "tid": str(claims.tenant_id),
        "iat": issued_at,
        "nbf": issued_at,
        "exp": int(claims.expires_at.timestamp()),
    }
    newest = kind.secrets[0]
    return jwt.encode(payload, newest, algorithm=_ALGORITHM, headers=kind.header(newest))


def _decode(kind: _Kind, token: str) -> Claims:
    payload = _verified(kind, token)
    try:
        claims = Claims(
            user_id=UUID(payload["sub"]),
            session_id=UUID(payload["sid"]),
            tenant_id=UUID(payload["tid"]),
            issued_at=_instant(payload, "iat"),
            expires_at=_instant(payload, "exp"),
        )
        not_before = max(claims.issued_at, _instant(payload, "nbf"))
    except (ValueError, TypeError, AttributeError, OverflowError, OSError) as error:
        raise _unusable() from error
    if not_before > clock.now() + LEEWAY:
        raise _unusable()
    if claims.expires_at <= clock.now() - LEEWAY:
        raise TokenExpired("The token has expired; refresh it or log in again")
    return claims


def _verified(kind: _Kind, token: str) -> dict[str, Any]:
    try:
        secret = kind.secret_of(jwt.get_unverified_header(token))
        if secret is None:
            raise _unusable()
        return jwt.decode(
            token,
            secret,
            algorithms=[_ALGORITHM],
            audience=kind.audience,
            issuer=ISSUER,
            options={
                "require": sorted(_CLAIMS),
                "verify_exp": False,  # the three times are checked against our own clock
                "verify_nbf": False,
                "verify_iat": False,
            },
        )
    except jwt.PyJWTError as error:
        raise _unusable() from error


def _instant(payload: dict[str, Any], claim: str) -> datetime:
    value = payload[claim]
    if type(value) is not int:
        raise ValueError(f"{claim} is not a whole number of seconds")
    return datetime.fromtimestamp(value, tz=clock.now().tzinfo)


def _unusable() -> Unauthenticated:
    return Unauthenticated("The token cannot be used; log in to get one")
