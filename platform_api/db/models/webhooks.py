"""Addresses that start a workflow."""

from uuid import UUID

from sqlmodel import Field

from platform_api.db.models.base import Changeable, TenantRow
from platform_api.db.models.columns import flag, reference


class Webhook(Changeable, TenantRow, table=True):
    """The token of an address, kept as a hash. `secret` is encrypted; with it calls must be signed."""

    __tablename__ = "webhooks"

    workflow_id: UUID = reference("workflows.id", "CASCADE")
    token_hash: str = Field(index=True, unique=True)
    secret: bytes | None = None
    is_active: bool = flag(True)
