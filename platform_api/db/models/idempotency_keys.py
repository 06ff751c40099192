"""Answers kept for callers that try again."""

from datetime import datetime
from typing import Any, ClassVar
from uuid import UUID

from sqlalchemy import Index

from platform_api.db.models.base import TenantRow
from platform_api.db.models.columns import instant, reference


class IdempotencyKey(TenantRow, table=True):
    """The answer to one request. `response_body` is encrypted; without a `response_status` the request is going on.

    `user_id` is None for a project's key. The same key of one user in two tenants, or of two projects, is two keys.
    """

    __tablename__ = "idempotency_keys"
    __table_args__: ClassVar[Any] = (
        Index(
            "uq_idempotency_keys_user_id_project_id_key_tenant_id",
            "user_id",
            "project_id",
            "key",
            "tenant_id",
            unique=True,
            postgresql_nulls_not_distinct=True,
        ),
    )

    user_id: UUID | None = reference("users.id", "CASCADE", index=False)
    project_id: UUID | None = reference("projects.id", "CASCADE")
    key: str
    method: str
    path: str
    body_hash: str
    response_status: int | None = None
    response_body: bytes | None = None
    expires_at: datetime = instant(index=True)
