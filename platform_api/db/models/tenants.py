"""Tenants, who belongs to them, and who was asked to."""

from datetime import datetime
from typing import Any, ClassVar
from uuid import UUID

from sqlalchemy import Index, text
from sqlmodel import Field

from platform_api.db.enums import TenantRole
from platform_api.db.models.base import Changeable, Row, TenantRow
from platform_api.db.models.columns import LIVING, choice, instant, json_object, reference


class Tenant(Changeable, Row, table=True):
    """One customer. A tenant's scope sees its own row alone and may change name, settings and version."""

    __tablename__ = "tenants"
    __table_args__: ClassVar[Any] = (Index("uq_tenants_slug", "slug", unique=True, postgresql_where=LIVING),)

    slug: str
    name: str
    settings: dict[str, Any] = json_object()


class Membership(Changeable, TenantRow, table=True):
    """A user's role inside one tenant."""

    __tablename__ = "memberships"
    __table_args__: ClassVar[Any] = (
        Index("uq_memberships_tenant_id_user_id", "tenant_id", "user_id", unique=True, postgresql_where=LIVING),
    )

    user_id: UUID = reference("users.id", "CASCADE")
    role: TenantRole = choice(TenantRole, "tenant_role", TenantRole.VIEWER)


class Invitation(TenantRow, table=True):
    """An address that may join with a role, until it is accepted, revoked or over; at most one is open per address."""

    __tablename__ = "invitations"
    __table_args__: ClassVar[Any] = (
        Index(
            "uq_invitations_tenant_id_email",
            "tenant_id",
            "email",
            unique=True,
            postgresql_where=text("accepted_at IS NULL AND revoked_at IS NULL"),
        ),
    )

    email: str
    role: TenantRole = choice(TenantRole, "tenant_role", TenantRole.VIEWER)
    invited_by: UUID | None = reference("users.id", "SET NULL")
    token_hash: str = Field(index=True, unique=True)
    expires_at: datetime = instant()
    accepted_at: datetime | None = instant()
    revoked_at: datetime | None = instant()
