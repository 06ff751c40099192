"""Keys in the database."""

from typing import Any
from uuid import UUID

from sqlalchemy import Select
from sqlmodel import col

from platform_api.db.models import ApiKey
from platform_api.db.repository import Repository


class ApiKeyRepository(Repository[ApiKey]):
    """Keys of one tenant that are not revoked."""

    model = ApiKey
    label = "API key"

    def query(self) -> Select[tuple[ApiKey]]:
        """Revoked keys are kept for the audit log's sake and never read."""
        return super().query().where(col(ApiKey.revoked_at).is_(None))

    def of(self, user_id: UUID | None) -> Select[Any]:
        """One user's keys, or all of the tenant for None."""
        return self.query() if user_id is None else self.query().where(col(ApiKey.user_id) == user_id)
