"""People."""

from datetime import datetime
from typing import Any, ClassVar

from sqlalchemy import Index, text
from sqlalchemy.orm import defer

from platform_api.db.enums import PlatformRole
from platform_api.db.models.base import Changeable, Row
from platform_api.db.models.columns import LIVING, choice, flag, instant, json_object


class User(Changeable, Row, table=True):
    """A person, member of any number of tenants.

    A tenant's scope sees the users who are its members, without `password_hash` (no grant: a plain `select(User)` is
    refused there; select with `options(*PROFILE)` of this package), and may change `full_name`, `avatar_url`,
    `preferences` and `version`. All else is done in a system scope.

    Failed logins are not counted here: they count per address, with an account or without one, in the audit log.
    """

    __tablename__ = "users"
    __table_args__: ClassVar[Any] = (
        Index("uq_users_email", text("lower(email)"), unique=True, postgresql_where=LIVING),
        Index("ix_users_created_at", "created_at"),
    )

    email: str
    password_hash: str
    full_name: str
    avatar_url: str | None = None
    role: PlatformRole = choice(PlatformRole, "platform_role", PlatformRole.USER, index=True)
    is_active: bool = flag(True)
    email_verified_at: datetime | None = instant()
    last_login_at: datetime | None = instant()
    preferences: dict[str, Any] = json_object()


PROFILE = (defer(User.password_hash),)  # type: ignore[arg-type]  # SQLModel types a column by its value
"""Options for `select(User)` in a tenant's scope: everything that the scope may read."""
