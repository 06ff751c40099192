"""Access and refresh tokens: signed, each kind with its own secret, audience and `typ` (`signing`).

Times are checked against the one clock, with 30 s of leeway. Roles are not in a token: they are read per request.
"""

from dataclasses import dataclass
from datetime import datetime, timedelta
from hashlib import sha256
from uuid import UUID

from platform_api.access.signing import ISSUER, Kind, instant, unusable
from platform_api.errors import TokenExpired
from platform_api.kit import clock
from platform_api.settings import AuthSettings

__all__ = ["ISSUER", "LEEWAY", "Claims", "Tokens", "fingerprint"]

LEEWAY = timedelta(seconds=30)
_CLAIMS = frozenset({"sub", "sid", "tid", "iat", "nbf", "exp"})


@dataclass(frozen=True, kw_only=True)
class Claims:
    """What a token says: which user, in which session and tenant, until when."""

    user_id: UUID
    session_id: UUID
    tenant_id: UUID
    issued_at: datetime
    expires_at: datetime


class Tokens:
    """Makes and reads both kinds of token. Making one is deterministic: the same claims give the same text."""

    def __init__(self, settings: AuthSettings) -> None:
        self.access_lifetime = timedelta(minutes=settings.access_minutes)
        self.refresh_lifetime = timedelta(days=settings.refresh_days)
        self._access = Kind.of(
            settings.access_secret, settings.access_secrets_old, typ="at+jwt", audience="turbocat-api"
        )
        self._refresh = Kind.of(
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


def _encode(kind: Kind, claims: Claims) -> str:
    issued_at = int(claims.issued_at.timestamp())
    return kind.sign(
        {
            "sub": str(claims.user_id),
            "sid": str(claims.session_id),
            "tid": str(claims.tenant_id),
            "iat": issued_at,
            "nbf": issued_at,
            "exp": int(claims.expires_at.timestamp()),
        }
    )


def _decode(kind: Kind, token: str) -> Claims:
    payload = kind.verified(token, _CLAIMS)
    try:
        claims = Claims(
            user_id=UUID(payload["sub"]),
            session_id=UUID(payload["sid"]),
            tenant_id=UUID(payload["tid"]),
            issued_at=instant(payload, "iat"),
            expires_at=instant(payload, "exp"),
        )
        not_before = max(claims.issued_at, instant(payload, "nbf"))
    except (ValueError, TypeError, AttributeError, OverflowError, OSError) as error:
        raise unusable() from error
    if not_before > clock.now() + LEEWAY:
        raise unusable()
    if claims.expires_at <= clock.now() - LEEWAY:
        raise TokenExpired("The token has expired; refresh it or log in again")
    return claims
