"""All users, for the platform's ADMIN. What changes counts at once: roles are read for each request."""

from uuid import UUID

from agents.errors import Problem
from platform_api.access.principal import PlatformRole
from platform_api.access.scope import AccountScope
from platform_api.db.changes import differing, write
from platform_api.db.models import User
from platform_api.db.repository import check_version
from platform_api.errors import Conflict
from platform_api.kit.pagination import Paging
from platform_api.kit.sorting import Sorting
from platform_api.resources.audit_log.service import AuditLog
from platform_api.resources.sessions.service import UserSessions
from platform_api.resources.users.repository import UserRepository
from platform_api.resources.users.schemas import UserFilters, UserPatch


class UserAdministration:
    """Users of every tenant."""

    def __init__(self, scope: AccountScope) -> None:
        self._scope = scope
        self._users = UserRepository(scope.session)

    async def page(self, filters: UserFilters, paging: Paging, order: Sorting) -> tuple[list[User], int]:
        """One page of the users that the filters leave."""
        return await self._users.filtered(filters, paging, order)

    async def get(self, user_id: UUID) -> User:
        """One user; raises `NotFound`."""
        return await self._users.get(user_id)

    async def update(self, user_id: UUID, patch: UserPatch, *, expected: int | None) -> User:
        """Changes what the patch names; deactivation ends every session.

        Raises `NotFound`, `VersionConflict`, and `Conflict` where no active ADMIN would be left.
        """
        await self._users.hold_admins()
        user = await self._users.get(user_id, lock=True)
        check_version(user.version, expected)
        wanted = patch.model_dump(exclude_unset=True, exclude_none=True, exclude={"version"})
        changes = differing(user, wanted)
        if not changes:
            return user
        await self._check_admins(user, patch)
        before = write(user, changes)
        user.version += 1
        if patch.is_active is False:
            await UserSessions(self._scope).end_all(user.id)
        await AuditLog(self._scope).record("user.update", "user", user.id, before=before, after=changes)
        await self._users.save()
        return user

    async def _check_admins(self, user: User, patch: UserPatch) -> None:
        if user.role is not PlatformRole.ADMIN or not user.is_active:
            return
        steps_down = patch.role not in (None, PlatformRole.ADMIN)
        if not (steps_down or patch.is_active is False) or await self._users.has_admin_besides(user.id):
            return
        message = "This is the platform's last active ADMIN; make somebody else an ADMIN first"
        path = "role" if steps_down else "isActive"
        raise Conflict(message, details=[Problem(path=path, code="LAST_ADMIN", message=message)])
