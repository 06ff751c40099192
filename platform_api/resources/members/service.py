"""Members of the caller's tenant. A role that changes counts from the next request on: it is read for each."""

from functools import partial
from uuid import UUID

from agents.errors import Problem
from platform_api.access.principal import TenantRole
from platform_api.access.scope import AccountScope, TenantScope
from platform_api.db.models import Membership, User
from platform_api.db.repository import check_version
from platform_api.errors import Conflict
from platform_api.kit.mail import Post
from platform_api.kit.pagination import Paging
from platform_api.kit.sorting import Sorting
from platform_api.resources.audit_log.service import AuditLog
from platform_api.resources.members.mails import added_mail
from platform_api.resources.members.repository import InvitationRepository, Member, MemberRepository
from platform_api.resources.members.rules import check_grantable, check_manages, check_touchable, last_owner
from platform_api.resources.members.schemas import MemberFilters
from platform_api.resources.sessions.service import UserSessions
from platform_api.resources.tenants.service import Tenants


class MemberList:
    """Members as every member sees them."""

    def __init__(self, scope: TenantScope) -> None:
        self._members = MemberRepository(scope)

    async def page(self, filters: MemberFilters, paging: Paging, order: Sorting) -> tuple[list[Member], int]:
        """One page of the members that the filters leave."""
        return await self._members.filtered(filters, paging, order)


class Members:
    """Changes of who belongs to the tenant; they take turns, so that the last OWNER is always seen."""

    def __init__(self, scope: AccountScope) -> None:
        self._scope = scope
        self._caller = scope.principal
        self._members = MemberRepository(scope)
        self._audit = AuditLog(scope)

    async def add(self, user: User, role: TenantRole, post: Post) -> Member:
        """A user becomes a member, and is told so. Raises `Forbidden` or `Conflict`."""
        check_grantable(self._caller, role)
        tenant = await Tenants(self._scope).hold(self._scope.tenant_id)
        if await self._members.has(user.id):
            raise already_member()
        await self._members.add(Membership(tenant_id=tenant.id, user_id=user.id, role=role))
        await InvitationRepository(self._scope).revoke(user.email)
        await self._audit.record("member.add", "user", user.id, after={"email": user.email, "role": role})
        self._scope.after_commit(partial(post.post, added_mail(user.email, tenant.name)))
        return await self._members.of_user(user.id)

    async def change(self, user_id: UUID, role: TenantRole, *, expected: int | None) -> Member:
        """Gives a member another role. Raises `NotFound`, `Forbidden`, `VersionConflict` or `Conflict`."""
        await Tenants(self._scope).hold(self._scope.tenant_id)
        member = await self._members.of_user(user_id)
        membership, before = member.membership, member.membership.role
        check_touchable(self._caller, before)
        check_grantable(self._caller, role)
        check_version(membership.version, expected)
        if role is before:
            return member
        if before is TenantRole.OWNER:
            await self._check_another_owner(user_id)
        membership.role = role
        membership.version += 1
        await self._members.save(membership)
        await self._audit.record("member.update", "user", user_id, before={"role": before}, after={"role": role})
        return member

    async def remove(self, user_id: UUID, *, expected: int | None) -> None:
        """Ends a membership and its sessions; everybody may end their own. Raises as `change` does."""
        await Tenants(self._scope).hold(self._scope.tenant_id)
        membership = (await self._members.of_user(user_id)).membership
        if user_id != self._caller.user_id:
            check_manages(self._caller)
            check_touchable(self._caller, membership.role)
        check_version(membership.version, expected)
        if membership.role is TenantRole.OWNER:
            await self._check_another_owner(user_id)
        await self._members.soft_delete(membership)
        await UserSessions(self._scope).end_all(user_id, tenant_id=self._scope.tenant_id)
        await self._audit.record("member.remove", "user", user_id, before={"role": membership.role})

    async def _check_another_owner(self, user_id: UUID) -> None:
        if not await self._members.has_owner_besides(user_id):
            raise last_owner()


def already_member() -> Conflict:
    """The address is taken inside the tenant."""
    message = "This user is a member of the tenant already"
    return Conflict(message, details=[Problem(path="email", code="TAKEN", message=message)])
