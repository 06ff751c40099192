"""Sessions in the contract."""

from uuid import UUID

from pydantic import Field

from platform_api.kit.schemas import UtcTime, View


class SessionView(View):
    """One login that is still good. Its `id` stays the same when its tokens are refreshed."""

    id: UUID
    tenant_id: UUID = Field(description="Tenant that its tokens are for")
    ip_address: str | None = Field(description="Where it was last refreshed from")
    user_agent: str | None = Field(description="What it was last refreshed with")
    created_at: UtcTime = Field(description="When it was opened")
    last_used_at: UtcTime = Field(description="When it was last refreshed")
    expires_at: UtcTime = Field(description="When it ends unless it is refreshed")
    current: bool = Field(description="Whether this call was made with it")
