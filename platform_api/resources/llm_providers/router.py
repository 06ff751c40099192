"""`/llm-providers`, apart from trying one out, which is `provider_tests`'s."""

from typing import Annotated
from uuid import UUID

from fastapi import APIRouter, Query, Response, status

from platform_api.access.dependencies import PlatformDep, requires
from platform_api.access.permissions import Permission
from platform_api.access.recorded_route import RecordedRoute
from platform_api.access.scope import TenantScope
from platform_api.db.models import LlmProvider
from platform_api.kit.envelope import errors, ok, page_of
from platform_api.kit.locking import IfMatch, etag, expected_version
from platform_api.kit.pagination import PagingDep
from platform_api.kit.schemas import Envelope, PageEnvelope
from platform_api.kit.sorting import Sorting, SortOrder, sorting
from platform_api.resources.llm_providers.schemas import (
    LlmProviderCreate,
    LlmProviderUpdate,
    LlmProviderView,
    ProviderFilters,
)
from platform_api.resources.llm_providers.service import LlmProviderService, shown

router = APIRouter(prefix="/llm-providers", tags=["LLM providers"], route_class=RecordedRoute)

Reader = Annotated[TenantScope, requires(Permission.LLM_PROVIDERS_READ)]
Creator = Annotated[TenantScope, requires(Permission.LLM_PROVIDERS_CREATE)]
Editor = Annotated[TenantScope, requires(Permission.LLM_PROVIDERS_UPDATE)]
Deleter = Annotated[TenantScope, requires(Permission.LLM_PROVIDERS_DELETE)]
SORTABLE = {
    "priority": LlmProvider.priority,
    "name": LlmProvider.name,
    "createdAt": LlmProvider.created_at,
    "updatedAt": LlmProvider.updated_at,
}


@router.post("", status_code=status.HTTP_201_CREATED, responses=errors(400, 401, 403, 409))
async def create_llm_provider(
    body: LlmProviderCreate, scope: Creator, shared: PlatformDep, response: Response
) -> Envelope[LlmProviderView]:
    """Makes a provider; its credentials are encrypted, opened by workers alone and never shown again."""
    return _answer(
        await LlmProviderService(scope, shared.settings.runs.egress_allow).create(body, shared.cipher), response
    )


@router.get("", responses=errors(400, 401, 403))
async def list_llm_providers(
    scope: Reader,
    filters: Annotated[ProviderFilters, Query()],
    paging: PagingDep,
    order: Annotated[Sorting, sorting(SORTABLE, "priority", SortOrder.ASC)],
) -> PageEnvelope[LlmProviderView]:
    """The tenant's providers in the order in which runs ask them."""
    providers, total = await LlmProviderService(scope).page(filters, paging, order)
    return page_of(map(shown, providers), total, paging)


@router.get("/{provider_id}", responses=errors(400, 401, 403, 404))
async def get_llm_provider(provider_id: UUID, scope: Reader, response: Response) -> Envelope[LlmProviderView]:
    """One provider, with the prices that its calls are counted with."""
    return _answer(await LlmProviderService(scope).get(provider_id), response)


@router.patch("/{provider_id}", responses=errors(400, 401, 403, 404, 409))
async def update_llm_provider(
    provider_id: UUID,
    body: LlmProviderUpdate,
    scope: Editor,
    shared: PlatformDep,
    response: Response,
    if_match: IfMatch = None,
) -> Envelope[LlmProviderView]:
    """Changes what the body names; calls that begin from now on see it. Credentials stay with their address."""
    service = LlmProviderService(scope, shared.settings.runs.egress_allow)
    expected = expected_version(if_match, body.version)
    return _answer(await service.update(provider_id, body, shared.cipher, expected=expected), response)


@router.delete("/{provider_id}", status_code=status.HTTP_204_NO_CONTENT, responses=errors(400, 401, 403, 404, 409))
async def delete_llm_provider(provider_id: UUID, scope: Deleter, if_match: IfMatch = None) -> None:
    """Deletes a provider and destroys its credentials; calls that have begun end as they would have."""
    await LlmProviderService(scope).delete(provider_id, expected=expected_version(if_match, None))


def _answer(provider: LlmProvider, response: Response) -> Envelope[LlmProviderView]:
    response.headers["ETag"] = etag(provider.version)
    return ok(shown(provider))
