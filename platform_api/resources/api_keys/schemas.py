"""What clients send and get about keys."""

from datetime import datetime
from typing import Annotated
from uuid import UUID

from pydantic import AwareDatetime, Field, StringConstraints

from platform_api.kit.fields import Name
from platform_api.kit.schemas import Body, UtcTime, View

Scope = Annotated[str, StringConstraints(max_length=100)]


class ApiKeyCreate(Body):
    """A new key, which acts as its maker within `scopes`."""

    name: Name
    scopes: list[Scope] = Field(
        min_length=1, max_length=200, description="permissions such as `agents:read`; only ones that you have yourself"
    )
    expires_at: AwareDatetime | None = Field(default=None, description="when it stops working; never when left out")
    rate_limit_per_minute: int | None = Field(
        default=None,
        ge=1,
        le=1_000_000,
        description="calls a minute; what the platform allows each key is never exceeded",
    )


class ApiKeyState(View):
    """What the audit log keeps of a key."""

    user_id: UUID
    name: str
    key_prefix: str
    scopes: list[str] | None
    project_id: UUID | None
    expires_at: UtcTime | None
    rate_limit_per_minute: int | None


class ApiKeyView(ApiKeyState):
    """A key without its secret. `lastUsedAt` and `usageCount` lag by some seconds."""

    id: UUID
    last_used_at: UtcTime | None
    usage_count: int
    created_at: UtcTime


class IssuedApiKey(ApiKeyView):
    """A key with its secret, which is shown in this answer and never again."""

    key: str


def in_future(moment: datetime | None, now: datetime) -> bool:
    """Whether an expiry, if there is one, is still to come."""
    return moment is None or moment > now
