"""Memberships and invitations of one tenant, and the one look-up of an invitation by its token."""

from dataclasses import dataclass
from datetime import datetime
from typing import Any
from uuid import UUID

from sqlalchemy import ColumnElement, Select, func, select, update
from sqlalchemy.ext.asyncio import AsyncSession
from sqlmodel import col

from platform_api.access.principal import TenantRole
from platform_api.db.conditions import contains_text
from platform_api.db.models import Invitation, Membership, User
from platform_api.db.repository import Repository
from platform_api.errors import NotFound
from platform_api.kit import clock
from platform_api.kit.pagination import Paging
from platform_api.kit.sorting import Sorting
from platform_api.resources.members.schemas import MemberFilters, MemberView

SORTABLE = {
    "createdAt": col(Membership.created_at),
    "role": col(Membership.role),
    "email": col(User.email),
    "fullName": col(User.full_name),
}


@dataclass(frozen=True, kw_only=True)
class Member:
    """A membership and as much of its user as the tenant sees."""

    membership: Membership
    email: str
    full_name: str
    avatar_url: str | None
    is_active: bool

    def view(self) -> MemberView:
        """The member in the contract."""
        row = self.membership
        return MemberView(
            user_id=row.user_id,
            email=self.email,
            full_name=self.full_name,
            avatar_url=self.avatar_url,
            is_active=self.is_active,
            role=row.role,
            version=row.version,
            created_at=row.created_at,
            updated_at=row.updated_at,
        )


class MemberRepository(Repository[Membership]):
    """Memberships of one tenant."""

    model = Membership
    label = "membership"

    async def filtered(self, filters: MemberFilters, paging: Paging, order: Sorting) -> tuple[list[Member], int]:
        """One page of the members that the filters leave, and how many there are."""
        statement = self._with_users(filters)
        total = (await self.session.execute(select(func.count()).select_from(statement.subquery()))).scalar_one()
        rows = statement.order_by(*order.order_by).limit(paging.page_size).offset(paging.offset)
        return [_member(row) for row in (await self.session.execute(rows)).all()], total

    async def of_user(self, user_id: UUID) -> Member:
        """One member; raises `NotFound`."""
        statement = self._with_users(MemberFilters()).where(col(Membership.user_id) == user_id)
        row = (await self.session.execute(statement)).one_or_none()
        if row is None:
            raise NotFound(f"There is no member {user_id}")
        return _member(row)

    async def has(self, user_id: UUID) -> bool:
        """Whether a user belongs to the tenant."""
        statement: Select[Any] = self.query().where(col(Membership.user_id) == user_id)
        return (await self.session.execute(statement)).first() is not None

    async def has_owner_besides(self, user_id: UUID) -> bool:
        """Whether somebody else who can log in is an OWNER."""
        statement = self._with_users(MemberFilters(role=(TenantRole.OWNER,))).where(
            col(Membership.user_id) != user_id, col(User.is_active).is_(True), col(User.deleted_at).is_(None)
        )
        return (await self.session.execute(statement.limit(1))).first() is not None

    def _with_users(self, filters: MemberFilters) -> Select[Any]:
        statement = (
            select(Membership, col(User.email), col(User.full_name), col(User.avatar_url), col(User.is_active))
            .join(User, col(User.id) == col(Membership.user_id))
            .where(col(Membership.tenant_id) == self.tenant_id, col(Membership.deleted_at).is_(None))
        )
        if filters.role:
            statement = statement.where(col(Membership.role).in_(filters.role))
        if filters.search:
            statement = statement.where(contains_text(filters.search, col(User.full_name), col(User.email)))
        return statement


class InvitationRepository(Repository[Invitation]):
    """Invitations of one tenant."""

    model = Invitation
    label = "invitation"

    async def open(self, paging: Paging) -> tuple[list[Invitation], int]:
        """One page of those that can still be accepted, newest first, and how many there are."""
        newest_first = (col(Invitation.id).desc(),)
        statement = self.query().where(*_open())
        return await self.page(statement, page=paging.page, page_size=paging.page_size, order_by=newest_first)

    async def count_open(self) -> int:
        """How many can still be accepted."""
        statement = select(func.count()).select_from(self.query().where(*_open()).subquery())
        return (await self.session.execute(statement)).scalar_one()

    async def times_since(self, email: str, since: datetime) -> list[datetime]:
        """When the address was invited after `since`, oldest first; also what was taken back counts."""
        statement = select(col(Invitation.created_at)).where(
            col(Invitation.tenant_id) == self.tenant_id, col(Invitation.email) == email
        )
        recent = statement.where(col(Invitation.created_at) > since).order_by(col(Invitation.created_at))
        return list((await self.session.execute(recent)).scalars())

    async def get_open(self, invitation_id: UUID) -> Invitation:
        """One that can still be accepted, held until the transaction ends; raises `NotFound`."""
        invitation = await self.get(invitation_id, lock=True)
        if invitation.accepted_at or invitation.revoked_at or invitation.expires_at <= clock.now():
            raise NotFound(f"There is no open invitation {invitation_id}")
        return invitation

    async def revoke(self, email: str) -> None:
        """Takes back what an address was sent; expired or not."""
        statement = update(Invitation).where(
            col(Invitation.tenant_id) == self.tenant_id,
            col(Invitation.email) == email,
            col(Invitation.accepted_at).is_(None),
            col(Invitation.revoked_at).is_(None),
        )
        await self.session.execute(statement.values(revoked_at=clock.now()))


class InvitationTokens:
    """Invitations by token, before the tenant is known."""

    def __init__(self, session: AsyncSession) -> None:
        self._session = session

    async def find(self, token_hash: str) -> Invitation | None:
        """The invitation while it can be accepted."""
        statement = select(Invitation).where(col(Invitation.token_hash) == token_hash, *_open())
        return (await self._session.execute(statement)).scalar_one_or_none()

    async def accept(self, token_hash: str) -> Invitation | None:
        """Uses the token up; None when it cannot be used, or somebody was faster."""
        statement = (
            update(Invitation)
            .where(col(Invitation.token_hash) == token_hash, *_open())
            .values(accepted_at=clock.now())
            .returning(Invitation)
        )
        return (await self._session.execute(statement)).scalar_one_or_none()


def _open() -> tuple[ColumnElement[bool], ...]:
    return (
        col(Invitation.accepted_at).is_(None),
        col(Invitation.revoked_at).is_(None),
        col(Invitation.expires_at) > clock.now(),
    )


def _member(row: Any) -> Member:
    membership, email, full_name, avatar_url, is_active = row
    return Member(membership=membership, email=email, full_name=full_name, avatar_url=avatar_url, is_active=is_active)
