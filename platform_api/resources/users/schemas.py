"""People in the contract."""

from typing import Annotated, Any
from uuid import UUID

from pydantic import Field, HttpUrl, SecretStr, StringConstraints

from platform_api.access.principal import PlatformRole
from platform_api.kit.fields import Search, Version
from platform_api.kit.filters import Filters, Several
from platform_api.kit.schemas import Body, UtcTime, View

FullName = Annotated[str, StringConstraints(strip_whitespace=True, min_length=1, max_length=200)]
AvatarUrl = Annotated[HttpUrl, Field(max_length=2000)]


class UserView(View):
    """A user as they see themselves."""

    id: UUID
    email: str
    full_name: str
    avatar_url: str | None
    role: PlatformRole
    is_active: bool
    email_verified_at: UtcTime | None
    last_login_at: UtcTime | None
    preferences: dict[str, Any]
    version: int
    created_at: UtcTime
    updated_at: UtcTime


class ProfilePatch(Body):
    """What one may change of oneself; a `version` makes the change conditional on it."""

    full_name: FullName | None = None
    avatar_url: AvatarUrl | None = None
    preferences: dict[str, Any] | None = None
    version: Version | None = None


class UserFilters(Filters):
    """What a list of users is narrowed to."""

    role: Several[PlatformRole] = Field(default=(), description="Role on the platform, or several of them")
    is_active: bool | None = Field(default=None, description="Whether they may log in")
    search: Search | None = Field(default=None, description="Text that name or address contain")


class UserPatch(Body):
    """What the platform's ADMIN may change of a user; a `version` makes the change conditional on it."""

    full_name: FullName | None = None
    role: PlatformRole | None = None
    is_active: bool | None = Field(default=None, description="False ends every session and refuses logins and keys")
    version: Version | None = None


class PasswordChange(Body):
    """The password as it is, and as it shall be."""

    current_password: SecretStr = Field(max_length=1000)
    new_password: SecretStr = Field(
        max_length=1000, description="At least 8 characters with upper, lower, digit and special; at most 72 bytes"
    )
