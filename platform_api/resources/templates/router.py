"""`/templates`."""

from typing import Annotated, Any
from uuid import UUID

from fastapi import APIRouter, Body, Query, Response, status

from platform_api.access.dependencies import OrchestratorDep, PublicScope, SessionsDep, VisitorDep, requires
from platform_api.access.permissions import Permission
from platform_api.access.recorded_route import RecordedRoute
from platform_api.access.scope import TenantScope
from platform_api.db.models import Template
from platform_api.kit.envelope import errors, ok, page_of
from platform_api.kit.locking import IfMatch, etag, expected_version
from platform_api.kit.pagination import PagingDep
from platform_api.kit.schemas import Envelope, PageEnvelope
from platform_api.kit.sorting import Sorting, sorting
from platform_api.resources.agents.schemas import AgentView
from platform_api.resources.templates.filters import TemplateFilters
from platform_api.resources.templates.instantiation import Instantiator
from platform_api.resources.templates.repository import SORTABLE
from platform_api.resources.templates.schemas import (
    Instantiation,
    TemplateCreate,
    TemplateDetail,
    TemplateUpdate,
    TemplateView,
)
from platform_api.resources.templates.service import Catalogue, TemplateService
from platform_api.resources.workflows.registration import Registration
from platform_api.resources.workflows.schemas import WorkflowDetail

router = APIRouter(prefix="/templates", tags=["Templates"], route_class=RecordedRoute)

Creator = Annotated[TenantScope, requires(Permission.TEMPLATES_CREATE)]
Editor = Annotated[TenantScope, requires(Permission.TEMPLATES_UPDATE)]
Deleter = Annotated[TenantScope, requires(Permission.TEMPLATES_DELETE)]
Maker = Annotated[TenantScope, requires(Permission.TEMPLATES_EXECUTE)]
OPEN_TO_ALL: dict[str, Any] = {"security": [{}]}
"""Says in the document that the two kinds of login are not needed; it is added to them."""
InstantiationDep = Annotated[Instantiation, Body(default_factory=Instantiation)]


@router.get("", responses=errors(400, 401), openapi_extra=OPEN_TO_ALL)
async def list_templates(
    reader: VisitorDep,
    scope: PublicScope,
    filters: Annotated[TemplateFilters, Query()],
    paging: PagingDep,
    order: Annotated[Sorting, sorting(SORTABLE)],
) -> PageEnvelope[TemplateView]:
    """Public templates of all tenants; with a login also one's own private ones, and all of the tenant's for
    administrators."""
    templates, total = await Catalogue(scope, reader).page(filters, paging, order)
    return page_of(map(TemplateView.model_validate, templates), total, paging)


@router.post("", status_code=status.HTTP_201_CREATED, responses=errors(400, 401, 403))
async def create_template(body: TemplateCreate, scope: Creator, response: Response) -> Envelope[TemplateDetail]:
    """Makes a template; every problem of its definition is reported at once, with its path.

    Its steps name agents of the template itself; an id of any other agent is an `UNKNOWN_AGENT`.
    """
    return _answer(await TemplateService(scope).create(body), response)


@router.get("/{template_id}", responses=errors(400, 401, 403, 404), openapi_extra=OPEN_TO_ALL)
async def get_template(
    template_id: UUID, reader: VisitorDep, scope: PublicScope, response: Response
) -> Envelope[TemplateDetail]:
    """One template with what it makes; a public one needs no login."""
    return _answer(await Catalogue(scope, reader).get(template_id), response)


@router.patch("/{template_id}", responses=errors(400, 401, 403, 404, 409))
async def update_template(
    template_id: UUID, body: TemplateUpdate, scope: Editor, response: Response, if_match: IfMatch = None
) -> Envelope[TemplateDetail]:
    """Changes what the body names; a template of another tenant is a 404, public or not."""
    expected = expected_version(if_match, body.version)
    return _answer(await TemplateService(scope).update(template_id, body, expected=expected), response)


@router.delete("/{template_id}", status_code=status.HTTP_204_NO_CONTENT, responses=errors(400, 401, 403, 404, 409))
async def delete_template(template_id: UUID, scope: Deleter, if_match: IfMatch = None) -> None:
    """Deletes a template; what was made of it stays."""
    await TemplateService(scope).delete(template_id, expected=expected_version(if_match, None))


@router.post(
    "/{template_id}/instantiate",
    status_code=status.HTTP_201_CREATED,
    responses=errors(400, 401, 403, 404),
)
async def instantiate_template(
    template_id: UUID,
    body: InstantiationDep,
    scope: Maker,
    sessions: SessionsDep,
    orchestrator: OrchestratorDep,
    response: Response,
) -> Envelope[AgentView | WorkflowDetail]:
    """Makes the template's agent, or its workflow with all agents in it, in the caller's tenant: all or nothing.

    `customizations` are checked against the template's `parameters` and filled in. What is made is a DRAFT, so that
    nothing runs; the agents of a workflow are ACTIVE.
    """
    registration = Registration(sessions, orchestrator, scope.tenant_id)
    made = await Instantiator(scope, registration).make(template_id, body)
    response.headers["ETag"] = etag(made.version)
    return ok(made)


def _answer(template: Template, response: Response) -> Envelope[TemplateDetail]:
    response.headers["ETag"] = etag(template.version)
    return ok(TemplateDetail.model_validate(template))
