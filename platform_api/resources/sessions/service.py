"""Seeing and ending sessions. An ended one is dead at once, its access tokens too."""

from uuid import UUID

from platform_api.access.principal import Principal
from platform_api.access.scope import AccountScope, SystemScope
from platform_api.errors import Forbidden, NotFound
from platform_api.kit.pagination import Paging
from platform_api.resources.audit_log.service import AuditLog
from platform_api.resources.sessions.repository import OpenSession, SessionRepository
from platform_api.resources.sessions.schemas import SessionView


class UserSessions:
    """Anybody's sessions, for the slices that end them; the reason stands in their own audit entry."""

    def __init__(self, scope: SystemScope) -> None:
        self._rows = SessionRepository(scope.session)

    async def end_all(self, user_id: UUID, *, tenant_id: UUID | None = None, but_family_of: UUID | None = None) -> None:
        """Ends a user's sessions: in one tenant where given, except the one that a session belongs to where given."""
        await self._rows.end_all_of_user(user_id, tenant_id=tenant_id, but_family_of=but_family_of)


class OwnSessions:
    """The caller's sessions."""

    def __init__(self, scope: AccountScope) -> None:
        self._scope = scope
        self._rows = SessionRepository(scope.session)

    async def page(self, paging: Paging) -> tuple[list[SessionView], int]:
        """The open ones, in every tenant."""
        found, total = await self._rows.page_of_user(_person(self._scope.principal), paging)
        session_id = self._scope.principal.session_id
        current = None if session_id is None else await self._rows.family_of(session_id)
        return [_view(each, current) for each in found], total

    async def end(self, family_id: UUID) -> None:
        """Ends one; raises `NotFound` for one that is not open, or somebody else's."""
        if not await self._rows.end_family(_person(self._scope.principal), family_id):
            raise NotFound(f"There is no open session {family_id}")
        await AuditLog(self._scope).record("auth.session_end", "session", family_id)

    async def logout(self) -> None:
        """Ends the caller's own."""
        session_id = self._scope.principal.session_id
        if session_id is None:
            raise Forbidden("A key has no session to end; revoke the key instead")
        await self._rows.end_family_of(session_id)
        await AuditLog(self._scope).record("auth.logout", "session", session_id)


def _view(found: OpenSession, current: UUID | None) -> SessionView:
    row = found.newest
    return SessionView(
        id=row.family_id,
        tenant_id=row.tenant_id,
        ip_address=row.ip_address,
        user_agent=row.user_agent,
        created_at=found.opened_at,
        last_used_at=row.created_at,
        expires_at=row.expires_at,
        current=row.family_id == current,
    )


def _person(principal: Principal) -> UUID:
    if principal.user_id is None:
        raise Forbidden("A project's key has no sessions")
    return principal.user_id
