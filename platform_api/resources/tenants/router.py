"""`/tenants`."""

from typing import Annotated

from fastapi import APIRouter, Response

from platform_api.access.dependencies import requires
from platform_api.access.permissions import Permission
from platform_api.access.scope import TenantScope
from platform_api.db.models import Tenant
from platform_api.kit.envelope import errors, ok
from platform_api.kit.locking import IfMatch, etag, expected_version
from platform_api.kit.schemas import Envelope
from platform_api.resources.tenants.schemas import TenantPatch, TenantView
from platform_api.resources.tenants.service import CurrentTenant

router = APIRouter(prefix="/tenants", tags=["Tenants"])


@router.get("/current")
async def get_current_tenant(
    scope: Annotated[TenantScope, requires(Permission.TENANTS_READ)], response: Response
) -> Envelope[TenantView]:
    """The tenant that the caller is in."""
    return _answer(await CurrentTenant(scope).get(), response)


@router.patch("/current", responses=errors(409))
async def update_current_tenant(
    patch: TenantPatch,
    scope: Annotated[TenantScope, requires(Permission.TENANTS_UPDATE)],
    response: Response,
    if_match: IfMatch = None,
) -> Envelope[TenantView]:
    """Changes the tenant that the caller is in."""
    expected = expected_version(if_match, patch.version)
    return _answer(await CurrentTenant(scope).update(patch, expected=expected), response)


def _answer(tenant: Tenant, response: Response) -> Envelope[TenantView]:
    response.headers["ETag"] = etag(tenant.version)
    return ok(TenantView.model_validate(tenant))
