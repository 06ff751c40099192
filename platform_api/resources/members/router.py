"""`/tenants/current/members`, `/tenants/current/invitations`, `/auth/accept-invitation`."""

from typing import Annotated
from uuid import UUID

from fastapi import APIRouter, Query, Response, status

from platform_api.access.dependencies import PlatformDep, requires, requires_for_account
from platform_api.access.permissions import Permission
from platform_api.access.recorded_route import RecordedRoute
from platform_api.access.scope import AccountScope, TenantScope
from platform_api.kit.envelope import errors, ok, page_of
from platform_api.kit.locking import IfMatch, etag, expected_version
from platform_api.kit.pagination import PagingDep
from platform_api.kit.schemas import Envelope, PageEnvelope
from platform_api.kit.sorting import Sorting, sorting
from platform_api.resources.auth.schemas import SignedInView
from platform_api.resources.members.adding import add_or_invite
from platform_api.resources.members.invitations import Invitations, Joining
from platform_api.resources.members.repository import SORTABLE, Member
from platform_api.resources.members.schemas import (
    Acceptance,
    AddedMember,
    InvitationView,
    MemberAdd,
    MemberFilters,
    MemberPatch,
    MemberView,
)
from platform_api.resources.members.service import MemberList, Members

router = APIRouter(tags=["Members"], route_class=RecordedRoute)

MEMBERS = "/tenants/current/members"
INVITATIONS = "/tenants/current/invitations"


@router.get(MEMBERS)
async def list_members(
    scope: Annotated[TenantScope, requires(Permission.MEMBERS_READ)],
    filters: Annotated[MemberFilters, Query()],
    paging: PagingDep,
    order: Annotated[Sorting, sorting(SORTABLE)],
) -> PageEnvelope[MemberView]:
    """Who belongs to the tenant that the caller is in."""
    rows, total = await MemberList(scope).page(filters, paging, order)
    return page_of([row.view() for row in rows], total, paging)


@router.post(MEMBERS, status_code=status.HTTP_201_CREATED, responses=errors(409))
async def add_member(
    body: MemberAdd,
    scope: Annotated[AccountScope, requires_for_account(Permission.MEMBERS_CREATE)],
    platform: PlatformDep,
) -> Envelope[AddedMember]:
    """Adds the user who has confirmed an address, or sends an invitation where there is none; both get a
    mail. Another invitation of the same address takes the place of the first, at most five within an hour
    (429). Only an OWNER makes OWNERs (403)."""
    return ok(await add_or_invite(scope, body, post=platform.post, links=platform.links))


@router.patch(MEMBERS + "/{user_id}", responses=errors(404, 409))
async def update_member(
    user_id: UUID,
    body: MemberPatch,
    scope: Annotated[AccountScope, requires_for_account(Permission.MEMBERS_UPDATE)],
    response: Response,
    if_match: IfMatch = None,
) -> Envelope[MemberView]:
    """Gives a member another role, from their next request on. Only an OWNER makes or changes OWNERs (403); the last
    OWNER stays one (409)."""
    expected = expected_version(if_match, body.version)
    return _answer(await Members(scope).change(user_id, body.role, expected=expected), response)


@router.delete(MEMBERS + "/{user_id}", status_code=status.HTTP_204_NO_CONTENT, responses=errors(404, 409))
async def remove_member(
    user_id: UUID,
    scope: Annotated[AccountScope, requires_for_account(Permission.MEMBERS_DELETE)],
    if_match: IfMatch = None,
) -> None:
    """Ends a membership and its sessions at once. Every member may leave; OWNERs and ADMINs remove others, and only an
    OWNER removes OWNERs (403). The last OWNER cannot leave (409)."""
    await Members(scope).remove(user_id, expected=expected_version(if_match, None))


@router.get(INVITATIONS)
async def list_invitations(
    scope: Annotated[TenantScope, requires(Permission.INVITATIONS_READ)], paging: PagingDep
) -> PageEnvelope[InvitationView]:
    """Invitations that can still be accepted, newest first."""
    rows, total = await Invitations(scope).page(paging)
    return page_of([InvitationView.model_validate(row) for row in rows], total, paging)


@router.delete(INVITATIONS + "/{invitation_id}", status_code=status.HTTP_204_NO_CONTENT, responses=errors(404))
async def revoke_invitation(
    invitation_id: UUID, scope: Annotated[TenantScope, requires(Permission.INVITATIONS_DELETE)]
) -> None:
    """Takes an invitation back: its token works no more."""
    await Invitations(scope).revoke(invitation_id)


@router.post("/auth/accept-invitation")
async def accept_invitation(body: Acceptance, platform: PlatformDep) -> Envelope[SignedInView]:
    """Joins the tenant of an invitation with the token of the mail, and logs in there. An address without
    an account gets one with `password` and `fullName`; so does one whose account nobody has confirmed: what
    it was opened with is worthless then. A token works once, within seven days; one that does not is a 400
    on `token`."""
    joining = Joining(sessions=platform.sessions, tokens=platform.tokens, passwords=platform.passwords)
    return ok(SignedInView.model_validate(await joining.accept(body)))


def _answer(member: Member, response: Response) -> Envelope[MemberView]:
    response.headers["ETag"] = etag(member.membership.version)
    return ok(member.view())
