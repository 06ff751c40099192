"""Opens, rotates and ends sessions. A login opens a family; each rotation adds a row to it; ending ends all of it."""

from dataclasses import dataclass
from datetime import datetime, timedelta
from hmac import compare_digest
from uuid import UUID

from platform_api.access.principal import PlatformRole
from platform_api.access.repository import CredentialRepository
from platform_api.access.scope import SystemScope
from platform_api.access.tokens import Tokens, fingerprint
from platform_api.db.models import UserSession
from platform_api.errors import Unauthenticated
from platform_api.kit import clock
from platform_api.kit.ids import new_id
from platform_api.kit.request_context import current_request
from platform_api.resources.audit_log.service import AuditLog
from platform_api.resources.sessions.repository import SessionRepository

REUSE_GRACE = timedelta(seconds=10)
"""How long a used refresh token still gives its successor: the answer may have been lost on its way."""


@dataclass(frozen=True, kw_only=True)
class IssuedTokens:
    """What the caller keeps."""

    session_id: UUID
    access_token: str
    access_token_expires_at: datetime
    refresh_token: str
    refresh_token_expires_at: datetime
    token_type: str = "Bearer"  # noqa: S105  # a scheme, not a token


class LoginSessions:
    """Sessions inside one system scope."""

    def __init__(self, scope: SystemScope, tokens: Tokens) -> None:
        self._scope = scope
        self._tokens = tokens
        self._rows = SessionRepository(scope.session)

    async def open(self, *, user_id: UUID, tenant_id: UUID) -> IssuedTokens:
        """A new family."""
        row = await self._rows.add(self._row(user_id=user_id, tenant_id=tenant_id, family_id=new_id()))
        return self._issue(row)

    async def rotate(self, refresh_token: str) -> IssuedTokens | None:
        """The tokens that follow, or None when the token was used before: then its family has been ended.

        Raises `Unauthenticated` or `TokenExpired` for any other token that does not work.
        """
        row = await self._usable(refresh_token)
        if row.rotated_at is None:
            return self._issue(await self._rotate(row))
        if clock.now() - row.rotated_at <= REUSE_GRACE:
            successor = await self._rows.successor(row)
            if successor is None or successor.revoked_at is not None:
                raise _ended()
            return self._issue(successor)
        await self._rows.end_family_of(row.id)
        audit = AuditLog(self._scope, tenant_id=row.tenant_id, user_id=row.user_id)
        await audit.record("auth.token_reused", "session", row.id)
        return None

    async def _usable(self, refresh_token: str) -> UserSession:
        claims = self._tokens.read_refresh(refresh_token)
        row = await self._rows.find_locked(claims.session_id)
        if row is None or not compare_digest(row.refresh_hash, fingerprint(refresh_token)):
            raise _ended()
        holder = await CredentialRepository(self._scope.session).open_session(row.id, row.user_id)
        if holder is None or (holder.tenant_role is None and holder.platform_role is not PlatformRole.ADMIN):
            raise _ended()
        return row

    async def _rotate(self, row: UserSession) -> UserSession:
        await self._rows.mark_rotated(row, clock.now())
        return await self._rows.add(self._row(user_id=row.user_id, tenant_id=row.tenant_id, family_id=row.family_id))

    def _row(self, *, user_id: UUID, tenant_id: UUID, family_id: UUID) -> UserSession:
        request = current_request()
        row = UserSession(
            user_id=user_id,
            tenant_id=tenant_id,
            family_id=family_id,
            refresh_hash="",
            ip_address=request.ip_address,
            user_agent=request.user_agent,
            expires_at=clock.now() + self._tokens.refresh_lifetime,
        )
        row.refresh_hash = fingerprint(self._refresh_token(row))
        return row

    def _refresh_token(self, row: UserSession) -> str:
        return self._tokens.refresh(
            user_id=row.user_id, session_id=row.id, tenant_id=row.tenant_id, expires_at=row.expires_at
        )

    def _issue(self, row: UserSession) -> IssuedTokens:
        return IssuedTokens(
            session_id=row.id,
            access_token=self._tokens.access(user_id=row.user_id, session_id=row.id, tenant_id=row.tenant_id),
            access_token_expires_at=clock.now() + self._tokens.access_lifetime,
            refresh_token=self._refresh_token(row),
            refresh_token_expires_at=row.expires_at,
        )


def _ended() -> Unauthenticated:
    return Unauthenticated("The session has ended; log in again")
