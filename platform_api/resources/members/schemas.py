"""Members and invitations in the contract."""

from enum import StrEnum
from uuid import UUID

from pydantic import Field, SecretStr

from platform_api.access.principal import TenantRole
from platform_api.kit.fields import Search, Version
from platform_api.kit.filters import Filters, Several
from platform_api.kit.schemas import Body, UtcTime, View
from platform_api.resources.auth.schemas import PASSWORD_RULES, EmailAddress, TokenOnly
from platform_api.resources.users.schemas import FullName


class MemberFilters(Filters):
    """What a list of members is narrowed to."""

    role: Several[TenantRole] = Field(default=(), description="Role in the tenant, or several of them")
    search: Search | None = Field(default=None, description="Text that name or address contain")


class MemberAdd(Body):
    """Somebody who shall belong to the tenant."""

    email: EmailAddress
    role: TenantRole


class MemberPatch(Body):
    """The role that a member shall have; a `version` makes the change conditional on it."""

    role: TenantRole
    version: Version | None = None


class MemberView(View):
    """A user inside one tenant. `version` counts the changes of the membership."""

    user_id: UUID
    email: str
    full_name: str
    avatar_url: str | None
    is_active: bool = Field(description="False where the platform's administrator has deactivated the user")
    role: TenantRole
    version: int
    created_at: UtcTime = Field(description="When they joined")
    updated_at: UtcTime


class Standing(StrEnum):
    """Whether somebody belongs to the tenant already."""

    MEMBER = "MEMBER"
    INVITED = "INVITED"


class AddedMember(View):
    """What became of an address: its user is a member now, or has been sent an invitation."""

    status: Standing
    email: str
    role: TenantRole
    user_id: UUID | None = Field(description="The member; null where an invitation was sent")
    full_name: str | None
    version: int | None
    invitation_id: UUID | None = Field(description="The invitation; null for a member")
    expires_at: UtcTime | None = Field(description="When the invitation is over")
    created_at: UtcTime


class InvitationView(View):
    """An invitation that was neither accepted nor taken back; its token is only in the mail."""

    id: UUID
    email: str
    role: TenantRole
    invited_by: UUID | None
    expires_at: UtcTime
    created_at: UtcTime


class Acceptance(TokenOnly):
    """The token of an invitation. Who has no confirmed account yet also sends a password and a name; otherwise both
    are left alone."""

    password: SecretStr | None = Field(default=None, max_length=1000, description=PASSWORD_RULES)
    full_name: FullName | None = None
