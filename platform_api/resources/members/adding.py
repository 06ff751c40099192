"""One address, two ways into a tenant: as a member at once, or by an invitation.

Anybody can register with anybody's address, so an account whose address was never proven is nobody's: the mailbox gets
an invitation, and only who reads it joins.
"""

from platform_api.access.scope import AccountScope
from platform_api.kit.links import Links
from platform_api.kit.mail import Post
from platform_api.resources.members.invitations import Invitations
from platform_api.resources.members.schemas import AddedMember, MemberAdd, Standing
from platform_api.resources.members.service import Members
from platform_api.resources.users.service import Users, normalise_email


async def add_or_invite(scope: AccountScope, wanted: MemberAdd, *, post: Post, links: Links) -> AddedMember:
    """Adds the user who has proven the address, or invites it. Raises `Forbidden` or `Conflict`."""
    user = await Users(scope).find_by_email(wanted.email)
    if user is None or user.email_verified_at is None:
        invitation = await Invitations(scope).send(normalise_email(wanted.email), wanted.role, post=post, links=links)
        return AddedMember(
            status=Standing.INVITED,
            email=invitation.email,
            role=invitation.role,
            user_id=None,
            full_name=None,
            version=None,
            invitation_id=invitation.id,
            expires_at=invitation.expires_at,
            created_at=invitation.created_at,
        )
    member = await Members(scope).add(user, wanted.role, post)
    return AddedMember(
        status=Standing.MEMBER,
        email=member.email,
        role=member.membership.role,
        user_id=user.id,
        full_name=member.full_name,
        version=member.membership.version,
        invitation_id=None,
        expires_at=None,
        created_at=member.membership.created_at,
    )
