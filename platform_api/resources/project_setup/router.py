"""`POST /projects`."""

from typing import Annotated

from fastapi import APIRouter, Response, status

from platform_api.access.dependencies import requires
from platform_api.access.permissions import Permission
from platform_api.access.recorded_route import RecordedRoute
from platform_api.access.scope import TenantScope
from platform_api.kit.envelope import errors, ok
from platform_api.kit.locking import etag
from platform_api.kit.schemas import Envelope
from platform_api.resources.project_setup.schemas import ProjectCreate, ProjectCreated
from platform_api.resources.project_setup.service import ProjectSetup

router = APIRouter(prefix="/projects", tags=["Projects"], route_class=RecordedRoute)


@router.post("", status_code=status.HTTP_201_CREATED, responses=errors(400, 401, 403, 409))
async def create_project(
    body: ProjectCreate, scope: Annotated[TenantScope, requires(Permission.PROJECTS_CREATE)], response: Response
) -> Envelope[ProjectCreated]:
    """Makes a project with a key of its own, which is in this answer alone, and where wanted with a first agent."""
    made = await ProjectSetup(scope).create(body)
    response.headers["ETag"] = etag(made.project.version)
    return ok(made)
