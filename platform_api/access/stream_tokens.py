"""Tokens for event streams: 60 seconds, for one execution, for whoever asked for it.

A browser's `EventSource` sends no headers, so that its credentials stand in the URL, where proxies and histories keep
them. Such a token opens the stream of one execution and nothing else, and only while the session or key that it was
asked with is good: it names that, and holds no rights of its own.
"""

from dataclasses import dataclass
from datetime import datetime, timedelta
from uuid import UUID

from platform_api.access.principal import Credential, Via
from platform_api.access.signing import Kind, instant, unusable
from platform_api.errors import TokenExpired
from platform_api.kit import clock
from platform_api.settings import AuthSettings

LIFETIME = timedelta(seconds=60)
_CLAIMS = frozenset({"sub", "via", "tid", "eid", "iat", "exp"})


@dataclass(frozen=True, kw_only=True)
class StreamToken:
    """A new token and when it ends."""

    text: str
    expires_at: datetime


class StreamTokens:
    """Makes and reads them with the secret of access tokens, so that every API process knows them."""

    def __init__(self, settings: AuthSettings) -> None:
        self._kind = Kind.of(
            settings.access_secret, settings.access_secrets_old, typ="st+jwt", audience="turbocat-stream"
        )

    def issue(self, credential: Credential, execution_id: UUID) -> StreamToken:
        """A token from now on."""
        issued_at = int(clock.now().timestamp())
        expires_at = issued_at + int(LIFETIME.total_seconds())
        claims = {
            "sub": str(credential.id),
            "via": credential.via.value,
            "uid": str(credential.user_id) if credential.user_id else None,
            "tid": str(credential.tenant_id),
            "eid": str(execution_id),
            "iat": issued_at,
            "exp": expires_at,
        }
        return StreamToken(text=self._kind.sign(claims), expires_at=instant(claims, "exp"))

    def read(self, token: str, execution_id: UUID) -> Credential:
        """What the token was asked with; raises `TokenExpired`, or `Unauthenticated` also for another execution's."""
        claims = self._kind.verified(token, _CLAIMS)
        try:
            credential = Credential(
                via=Via(claims["via"]),
                id=UUID(claims["sub"]),
                user_id=UUID(claims["uid"]) if claims.get("uid") else None,
                tenant_id=UUID(claims["tid"]),
            )
            wanted, expires_at = UUID(claims["eid"]), instant(claims, "exp")
        except (ValueError, TypeError, AttributeError, OverflowError, OSError) as error:
            raise unusable() from error
        if wanted != execution_id:
            raise unusable()
        if expires_at <= clock.now():
            raise TokenExpired("The stream token has expired; ask for a new one")
        return credential
