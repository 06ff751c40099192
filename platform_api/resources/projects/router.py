"""`/projects`, apart from making one, which is `project_setup`'s."""

from typing import Annotated
from uuid import UUID

from fastapi import APIRouter, Query, Response, status

from platform_api.access.dependencies import requires
from platform_api.access.permissions import Permission
from platform_api.access.scope import TenantScope
from platform_api.db.models import Project
from platform_api.kit.envelope import errors, ok, page_of
from platform_api.kit.locking import IfMatch, etag, expected_version
from platform_api.kit.pagination import PagingDep
from platform_api.kit.schemas import Envelope, PageEnvelope
from platform_api.kit.sorting import Sorting, sorting
from platform_api.resources.projects.schemas import ProjectFilters, ProjectUpdate, ProjectView
from platform_api.resources.projects.service import ProjectService, shown

router = APIRouter(prefix="/projects", tags=["Projects"])

Reader = Annotated[TenantScope, requires(Permission.PROJECTS_READ)]
Editor = Annotated[TenantScope, requires(Permission.PROJECTS_UPDATE)]
Deleter = Annotated[TenantScope, requires(Permission.PROJECTS_DELETE)]
SORTABLE = {"createdAt": Project.created_at, "updatedAt": Project.updated_at, "name": Project.name}


@router.get("", responses=errors(400, 401, 403))
async def list_projects(
    scope: Reader,
    filters: Annotated[ProjectFilters, Query()],
    paging: PagingDep,
    order: Annotated[Sorting, sorting(SORTABLE)],
) -> PageEnvelope[ProjectView]:
    """The tenant's projects; `search` looks into name and description."""
    projects, total = await ProjectService(scope).page(filters, paging, order)
    return page_of(map(shown, projects), total, paging)


@router.get("/{project_id}", responses=errors(400, 401, 403, 404))
async def get_project(project_id: UUID, scope: Reader, response: Response) -> Envelope[ProjectView]:
    """One project."""
    return _answer(await ProjectService(scope).get(project_id), response)


@router.patch("/{project_id}", responses=errors(400, 401, 403, 404, 409))
async def update_project(
    project_id: UUID, body: ProjectUpdate, scope: Editor, response: Response, if_match: IfMatch = None
) -> Envelope[ProjectView]:
    """Changes what the body names; `budget: null` takes the budget away."""
    expected = expected_version(if_match, body.version)
    return _answer(await ProjectService(scope).update(project_id, body, expected=expected), response)


@router.delete("/{project_id}", status_code=status.HTTP_204_NO_CONTENT, responses=errors(400, 401, 403, 404, 409))
async def delete_project(project_id: UUID, scope: Deleter, if_match: IfMatch = None) -> None:
    """Deletes a project: its keys are refused at once and its secrets destroyed; agents and workflows stay."""
    await ProjectService(scope).delete(project_id, expected=expected_version(if_match, None))


def _answer(project: Project, response: Response) -> Envelope[ProjectView]:
    response.headers["ETag"] = etag(project.version)
    return ok(shown(project))
