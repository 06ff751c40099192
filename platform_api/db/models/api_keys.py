"""Keys for programs."""

from datetime import datetime
from uuid import UUID

from sqlmodel import Field

from platform_api.db.models.base import Changeable, TenantRow
from platform_api.db.models.columns import big_count, instant, optional_strings, reference


class ApiKey(Changeable, TenantRow, table=True):
    """A key, kept as SHA-256. With `project_id` it acts inside that project, else as its user.

    `scopes` None means no limit beside the role.
    """

    __tablename__ = "api_keys"

    user_id: UUID = reference("users.id", "CASCADE")
    project_id: UUID | None = reference("projects.id", "CASCADE")
    name: str
    key_prefix: str = Field(index=True)
    key_hash: str = Field(index=True, unique=True)
    scopes: list[str] | None = optional_strings()
    expires_at: datetime | None = instant(index=True)
    last_used_at: datetime | None = instant()
    usage_count: int = big_count()
    rate_limit_per_minute: int | None = None
    revoked_at: datetime | None = instant()
