"""`/users/me`, and `/users` for the platform's ADMIN."""

from typing import Annotated
from uuid import UUID

from fastapi import APIRouter, Query, Response

from platform_api.access.dependencies import requires, requires_for_account
from platform_api.access.permissions import Permission
from platform_api.access.scope import AccountScope, TenantScope
from platform_api.db.models import User
from platform_api.kit.envelope import errors, ok, page_of
from platform_api.kit.locking import IfMatch, etag, expected_version
from platform_api.kit.pagination import PagingDep
from platform_api.kit.schemas import Envelope, PageEnvelope
from platform_api.kit.sorting import Sorting, sorting
from platform_api.resources.tenants.schemas import TenantMembership
from platform_api.resources.users.administration import UserAdministration
from platform_api.resources.users.repository import SORTABLE
from platform_api.resources.users.schemas import ProfilePatch, UserFilters, UserPatch, UserView
from platform_api.resources.users.service import Profile, own_tenants

router = APIRouter(prefix="/users", tags=["Users"])


@router.get("/me")
async def get_own_profile(
    scope: Annotated[TenantScope, requires(Permission.PROFILE_READ)], response: Response
) -> Envelope[UserView]:
    """The caller's own profile."""
    return _answer(await Profile(scope).get(), response)


@router.patch("/me", responses=errors(409))
async def update_own_profile(
    patch: ProfilePatch,
    scope: Annotated[TenantScope, requires(Permission.PROFILE_UPDATE)],
    response: Response,
    if_match: IfMatch = None,
) -> Envelope[UserView]:
    """Changes name, picture or preferences; `avatarUrl: null` removes the picture."""
    expected = expected_version(if_match, patch.version)
    return _answer(await Profile(scope).update(patch, expected=expected), response)


@router.get("/me/tenants")
async def list_own_tenants(
    scope: Annotated[AccountScope, requires_for_account(Permission.PROFILE_READ)],
) -> Envelope[list[TenantMembership]]:
    """Every tenant that the caller belongs to, with their role there."""
    return ok(await own_tenants(scope))


@router.get("")
async def list_users(
    scope: Annotated[AccountScope, requires_for_account(Permission.USERS_READ)],
    filters: Annotated[UserFilters, Query()],
    paging: PagingDep,
    order: Annotated[Sorting, sorting(SORTABLE)],
) -> PageEnvelope[UserView]:
    """The users of all tenants. For the platform's ADMIN."""
    rows, total = await UserAdministration(scope).page(filters, paging, order)
    return page_of(map(UserView.model_validate, rows), total, paging)


@router.get("/{user_id}", responses=errors(404))
async def get_user(
    user_id: UUID, scope: Annotated[AccountScope, requires_for_account(Permission.USERS_READ)], response: Response
) -> Envelope[UserView]:
    """One user. For the platform's ADMIN."""
    return _answer(await UserAdministration(scope).get(user_id), response)


@router.patch("/{user_id}", responses=errors(404, 409))
async def update_user(
    user_id: UUID,
    patch: UserPatch,
    scope: Annotated[AccountScope, requires_for_account(Permission.USERS_UPDATE)],
    response: Response,
    if_match: IfMatch = None,
) -> Envelope[UserView]:
    """Changes a user's name or platform role, deactivates or activates them, all at once in force. The last active
    ADMIN stays one (409). For the platform's ADMIN."""
    expected = expected_version(if_match, patch.version)
    return _answer(await UserAdministration(scope).update(user_id, patch, expected=expected), response)


def _answer(user: User, response: Response) -> Envelope[UserView]:
    response.headers["ETag"] = etag(user.version)
    return ok(UserView.model_validate(user))
