"""`/api-keys`."""

from typing import Annotated
from uuid import UUID

from fastapi import APIRouter, status

from platform_api.access.dependencies import requires
from platform_api.access.permissions import Permission
from platform_api.access.recorded_route import RecordedRoute
from platform_api.access.scope import TenantScope
from platform_api.db.models import ApiKey
from platform_api.kit.envelope import errors, ok, page_of
from platform_api.kit.pagination import PagingDep
from platform_api.kit.schemas import Envelope, PageEnvelope
from platform_api.kit.sorting import Sorting, sorting
from platform_api.resources.api_keys.schemas import ApiKeyCreate, ApiKeyView, IssuedApiKey
from platform_api.resources.api_keys.service import ApiKeyService

router = APIRouter(prefix="/api-keys", tags=["API keys"], route_class=RecordedRoute)

SORTABLE = {"createdAt": ApiKey.created_at, "name": ApiKey.name, "lastUsedAt": ApiKey.last_used_at}


@router.get("", responses=errors(400, 401, 403))
async def list_api_keys(
    scope: Annotated[TenantScope, requires(Permission.API_KEYS_READ)],
    paging: PagingDep,
    order: Annotated[Sorting, sorting(SORTABLE)],
) -> PageEnvelope[ApiKeyView]:
    """The caller's keys, and everybody's for administrators of the tenant; never the secrets."""
    keys, total = await ApiKeyService(scope).page(paging, order)
    return page_of(map(ApiKeyView.model_validate, keys), total, paging)


@router.post("", status_code=status.HTTP_201_CREATED, responses=errors(400, 401, 403))
async def create_api_key(
    body: ApiKeyCreate, scope: Annotated[TenantScope, requires(Permission.API_KEYS_CREATE)]
) -> Envelope[IssuedApiKey]:
    """Makes a key that acts as the caller within `scopes`; the key itself is in this answer alone. What a key makes
    ends no later than that key."""
    return ok(await ApiKeyService(scope).create(body))


@router.delete("/{key_id}", status_code=status.HTTP_204_NO_CONTENT, responses=errors(400, 401, 403, 404))
async def delete_api_key(key_id: UUID, scope: Annotated[TenantScope, requires(Permission.API_KEYS_DELETE)]) -> None:
    """Revokes a key; it is refused from now on."""
    await ApiKeyService(scope).revoke(key_id)


@router.post("/{key_id}/rotate", responses=errors(400, 401, 403, 404, 409))
async def rotate_api_key(
    key_id: UUID, scope: Annotated[TenantScope, requires(Permission.API_KEYS_UPDATE)]
) -> Envelope[IssuedApiKey]:
    """Gives the key a new secret, in this answer alone; the former one is refused from now on."""
    return ok(await ApiKeyService(scope).rotate(key_id))
