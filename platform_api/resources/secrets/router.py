"""`/secrets` and `/projects/{id}/secrets`: names go out, values only come in."""

from typing import Annotated
from uuid import UUID

from fastapi import APIRouter, status

from platform_api.access.dependencies import PlatformDep, requires
from platform_api.access.permissions import Permission
from platform_api.access.scope import TenantScope
from platform_api.db.models import Secret
from platform_api.kit.envelope import errors, ok, page_of
from platform_api.kit.pagination import PagingDep
from platform_api.kit.schemas import Envelope, PageEnvelope
from platform_api.kit.sorting import Sorting, SortOrder, sorting
from platform_api.resources.secrets.schemas import SecretName, SecretValue, SecretView
from platform_api.resources.secrets.service import SecretService

router = APIRouter(tags=["Secrets"])

Reader = Annotated[TenantScope, requires(Permission.SECRETS_READ)]
Editor = Annotated[TenantScope, requires(Permission.SECRETS_UPDATE)]
Deleter = Annotated[TenantScope, requires(Permission.SECRETS_DELETE)]
SORTABLE = {"name": Secret.name, "createdAt": Secret.created_at, "updatedAt": Secret.updated_at}
Order = Annotated[Sorting, sorting(SORTABLE, "name", SortOrder.ASC)]


@router.get("/secrets", responses=errors(400, 401, 403))
async def list_secrets(scope: Reader, paging: PagingDep, order: Order) -> PageEnvelope[SecretView]:
    """Names of the secrets of the whole tenant; values are never shown."""
    secrets, total = await SecretService(scope).page(paging, order)
    return page_of(map(SecretView.model_validate, secrets), total, paging)


@router.put("/secrets/{name}", responses=errors(400, 401, 403))
async def put_secret(name: SecretName, body: SecretValue, scope: Editor, shared: PlatformDep) -> Envelope[SecretView]:
    """Makes a secret of the whole tenant or replaces its value; runs that start from now on use it."""
    secret = await SecretService(scope).put(name, body.value.get_secret_value(), shared.cipher)
    return ok(SecretView.model_validate(secret))


@router.delete("/secrets/{name}", status_code=status.HTTP_204_NO_CONTENT, responses=errors(400, 401, 403, 404))
async def delete_secret(name: SecretName, scope: Deleter) -> None:
    """Destroys a secret of the whole tenant."""
    await SecretService(scope).delete(name)


@router.get("/projects/{project_id}/secrets", responses=errors(400, 401, 403, 404))
async def list_project_secrets(
    project_id: UUID, scope: Reader, paging: PagingDep, order: Order
) -> PageEnvelope[SecretView]:
    """Names of a project's secrets; values are never shown."""
    secrets, total = await SecretService(scope, project_id).page(paging, order)
    return page_of(map(SecretView.model_validate, secrets), total, paging)


@router.put("/projects/{project_id}/secrets/{name}", responses=errors(400, 401, 403, 404))
async def put_project_secret(
    project_id: UUID, name: SecretName, body: SecretValue, scope: Editor, shared: PlatformDep
) -> Envelope[SecretView]:
    """Makes a project's secret or replaces its value; inside the project it goes before the tenant's of that name."""
    secret = await SecretService(scope, project_id).put(name, body.value.get_secret_value(), shared.cipher)
    return ok(SecretView.model_validate(secret))


@router.delete(
    "/projects/{project_id}/secrets/{name}",
    status_code=status.HTTP_204_NO_CONTENT,
    responses=errors(400, 401, 403, 404),
)
async def delete_project_secret(project_id: UUID, name: SecretName, scope: Deleter) -> None:
    """Destroys a project's secret."""
    await SecretService(scope, project_id).delete(name)
