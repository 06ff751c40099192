"""`/workflows`."""

import asyncio
from typing import Annotated
from uuid import UUID

from fastapi import APIRouter, Body, Depends, Path, Query, Response, status
from fastapi.responses import PlainTextResponse

from platform_api.access.dependencies import CallerDep, OrchestratorDep, SessionsDep, requires
from platform_api.access.permissions import Permission
from platform_api.access.recorded_route import RecordedRoute
from platform_api.access.scope import TenantScope
from platform_api.db.models import Workflow
from platform_api.kit.envelope import errors, ok, page_of
from platform_api.kit.locking import IfMatch, etag
from platform_api.kit.pagination import PagingDep
from platform_api.kit.schemas import Envelope, PageEnvelope
from platform_api.kit.sorting import Sorting, sorting
from platform_api.resources.workflows.content import view
from platform_api.resources.workflows.filters import WorkflowFilters
from platform_api.resources.workflows.graph.mermaid import mermaid
from platform_api.resources.workflows.graph.svg import svg
from platform_api.resources.workflows.reader import WorkflowReader
from platform_api.resources.workflows.registration import Registration
from platform_api.resources.workflows.schemas import (
    GraphFormat,
    GraphView,
    ValidationView,
    WorkflowChange,
    WorkflowCopy,
    WorkflowDetail,
    WorkflowDocument,
    WorkflowVersionView,
    WorkflowView,
)
from platform_api.resources.workflows.service import WorkflowService
from platform_api.resources.workflows.validation import validate

router = APIRouter(prefix="/workflows", tags=["Workflows"], route_class=RecordedRoute)

Reader = Annotated[TenantScope, requires(Permission.WORKFLOWS_READ)]
Creator = Annotated[TenantScope, requires(Permission.WORKFLOWS_CREATE)]
Editor = Annotated[TenantScope, requires(Permission.WORKFLOWS_UPDATE)]
Deleter = Annotated[TenantScope, requires(Permission.WORKFLOWS_DELETE)]


def _registration(sessions: SessionsDep, orchestrator: OrchestratorDep, caller: CallerDep) -> Registration:
    return Registration(sessions, orchestrator, caller.tenant_id)


RegistrationDep = Annotated[Registration, Depends(_registration)]
CopyDep = Annotated[WorkflowCopy, Body(default_factory=WorkflowCopy)]
NumberPath = Annotated[int, Path(ge=1, le=2_147_483_647, description="The version's number")]
SORTABLE = {
    "createdAt": Workflow.created_at,
    "updatedAt": Workflow.updated_at,
    "name": Workflow.name,
    "status": Workflow.status,
}


@router.post("", status_code=status.HTTP_201_CREATED, responses=errors(400, 401, 403, 409))
async def create_workflow(
    body: WorkflowDocument, scope: Creator, registration: RegistrationDep, response: Response
) -> Envelope[WorkflowDetail]:
    """Makes a workflow with its steps; every problem of the definition is reported at once, with its path."""
    service = WorkflowService(scope, registration)
    return _answer(await service.create(body.root), response)


@router.post("/validate", responses=errors(400, 401, 403))
async def validate_workflow(body: WorkflowDocument, scope: Reader) -> Envelope[ValidationView]:
    """Checks a workflow without storing it, and says in which order its steps would run."""
    return ok(await validate(scope, body.root))


@router.get("", responses=errors(400, 401, 403))
async def list_workflows(
    scope: Reader,
    filters: Annotated[WorkflowFilters, Query()],
    paging: PagingDep,
    order: Annotated[Sorting, sorting(SORTABLE)],
) -> PageEnvelope[WorkflowView]:
    """The tenant's workflows that the caller reads, without their steps."""
    workflows, total = await WorkflowReader(scope).page(filters, paging, order)
    return page_of(map(view, workflows), total, paging)


@router.get("/{workflow_id}", responses=errors(400, 401, 403, 404))
async def get_workflow(workflow_id: UUID, scope: Reader, response: Response) -> Envelope[WorkflowDetail]:
    """One workflow with its steps, each with its agent."""
    reader = WorkflowReader(scope)
    return _answer(await reader.detail(await reader.get(workflow_id)), response)


@router.patch("/{workflow_id}", responses=errors(400, 401, 403, 404, 409))
async def update_workflow(
    workflow_id: UUID,
    body: WorkflowChange,
    scope: Editor,
    registration: RegistrationDep,
    response: Response,
    if_match: IfMatch = None,
) -> Envelope[WorkflowDetail]:
    """Changes what the body names; `steps` are always the whole list. Each change is a new version."""
    service = WorkflowService(scope, registration)
    return _answer(await service.update(workflow_id, body.root, if_match), response)


@router.put("/{workflow_id}", responses=errors(400, 401, 403, 404, 409))
async def replace_workflow(
    workflow_id: UUID,
    body: WorkflowDocument,
    scope: Editor,
    registration: RegistrationDep,
    response: Response,
    if_match: IfMatch = None,
) -> Envelope[WorkflowDetail]:
    """Changes the whole workflow to what the body says; what is left out falls back to its default."""
    service = WorkflowService(scope, registration)
    return _answer(await service.replace(workflow_id, body.root, if_match), response)


@router.delete("/{workflow_id}", status_code=status.HTTP_204_NO_CONTENT, responses=errors(400, 401, 403, 404, 409))
async def delete_workflow(
    workflow_id: UUID,
    scope: Deleter,
    registration: RegistrationDep,
    if_match: IfMatch = None,
) -> None:
    """Deletes a workflow; its Prefect deployments and its schedule go with it."""
    service = WorkflowService(scope, registration)
    await service.delete(workflow_id, if_match)


@router.get("/{workflow_id}/versions", responses=errors(400, 401, 403, 404))
async def list_workflow_versions(
    workflow_id: UUID, scope: Reader, paging: PagingDep
) -> PageEnvelope[WorkflowVersionView]:
    """The workflow's versions, newest first, each as it was."""
    versions, total = await WorkflowReader(scope).versions(workflow_id, paging)
    return page_of(map(WorkflowVersionView.model_validate, versions), total, paging)


@router.get("/{workflow_id}/versions/{number}", responses=errors(400, 401, 403, 404))
async def get_workflow_version(workflow_id: UUID, number: NumberPath, scope: Reader) -> Envelope[WorkflowVersionView]:
    """One version of the workflow, as it was."""
    return ok(WorkflowVersionView.model_validate(await WorkflowReader(scope).version(workflow_id, number)))


@router.post("/{workflow_id}/versions/{number}/restore", responses=errors(400, 401, 403, 404, 409))
async def restore_workflow_version(
    workflow_id: UUID,
    number: NumberPath,
    scope: Editor,
    registration: RegistrationDep,
    response: Response,
    if_match: IfMatch = None,
) -> Envelope[WorkflowDetail]:
    """Makes a new version with that version's inputs, limits, steps and output, checked as if they were sent now.

    Name, description, tags, visibility, schedule and status stay as they are. What is the same already stays too.
    """
    service = WorkflowService(scope, registration)
    return _answer(await service.restore(workflow_id, number, if_match), response)


@router.post("/{workflow_id}/duplicate", status_code=status.HTTP_201_CREATED, responses=errors(400, 401, 403, 404, 409))
async def duplicate_workflow(
    workflow_id: UUID,
    body: CopyDep,
    scope: Creator,
    registration: RegistrationDep,
    response: Response,
) -> Envelope[WorkflowDetail]:
    """Makes a private DRAFT of the caller's that does the same; `parentId` is the source, its schedule is off.

    Its version is the highest of the whole lineage and one more. An agent that the caller may not use is a 400.
    """
    service = WorkflowService(scope, registration)
    return _answer(await service.duplicate(workflow_id, body), response)


@router.get(
    "/{workflow_id}/graph",
    response_model=Envelope[GraphView],
    responses={
        200: {
            "description": "JSON in its envelope; a Mermaid flowchart or an SVG picture as they are",
            "content": {
                "text/plain": {"schema": {"type": "string"}, "example": 'flowchart LR\n  n0["Load"]\n'},
                "image/svg+xml": {"schema": {"type": "string"}},
            },
        },
        **errors(400, 401, 403, 404),
    },
)
async def get_workflow_graph(
    workflow_id: UUID,
    scope: Reader,
    form: Annotated[GraphFormat, Query(alias="format", description="form of the answer")] = GraphFormat.JSON,
    execution_id: Annotated[
        UUID | None, Query(alias="executionId", description="shows the version that it ran, with each step's status")
    ] = None,
) -> Envelope[GraphView] | Response:
    """The workflow's steps and what waits for what, laid out from left to right."""
    graph = await WorkflowReader(scope).graph(workflow_id, execution_id)
    if form is GraphFormat.MERMAID:
        return PlainTextResponse(mermaid(graph))
    if form is GraphFormat.SVG:
        return Response(await asyncio.to_thread(svg, graph), media_type="image/svg+xml")
    return ok(GraphView.model_validate(graph))


def _answer(workflow: WorkflowDetail, response: Response) -> Envelope[WorkflowDetail]:
    response.headers["ETag"] = etag(workflow.version)
    return ok(workflow)
