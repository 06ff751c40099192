"""What proves who calls, for a time: refresh tokens and one-time tokens. No tenant's scope sees these tables."""

from datetime import datetime
from uuid import UUID

from sqlmodel import Field

from platform_api.db.enums import TokenPurpose
from platform_api.db.models.base import Row
from platform_api.db.models.columns import choice, instant, reference


class UserSession(Row, table=True):
    """One refresh token. The tokens that followed each other by rotation share `family_id`."""

    __tablename__ = "sessions"

    user_id: UUID = reference("users.id", "CASCADE")
    tenant_id: UUID = reference("tenants.id", "CASCADE")
    family_id: UUID = Field(index=True)
    refresh_hash: str = Field(index=True, unique=True)
    ip_address: str | None = None
    user_agent: str | None = None
    expires_at: datetime = instant(index=True)
    rotated_at: datetime | None = instant()
    revoked_at: datetime | None = instant()


class OneTimeToken(Row, table=True):
    """A token sent by mail, good for one use."""

    __tablename__ = "one_time_tokens"

    user_id: UUID = reference("users.id", "CASCADE")
    purpose: TokenPurpose = choice(TokenPurpose, "token_purpose")
    token_hash: str = Field(index=True, unique=True)
    expires_at: datetime = instant()
    used_at: datetime | None = instant()
