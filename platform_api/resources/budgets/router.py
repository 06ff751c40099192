"""`/projects/{id}/usage`."""

from typing import Annotated
from uuid import UUID

from fastapi import APIRouter, Query

from platform_api.access.dependencies import requires
from platform_api.access.permissions import Permission
from platform_api.access.scope import TenantScope
from platform_api.kit.envelope import errors, ok
from platform_api.kit.schemas import Envelope
from platform_api.resources.budgets.schemas import ProjectUsageView, UsagePeriod
from platform_api.resources.budgets.service import ProjectUsage

router = APIRouter(prefix="/projects", tags=["Projects"])


@router.get("/{project_id}/usage", responses=errors(400, 401, 403, 404))
async def get_project_usage(
    project_id: UUID,
    scope: Annotated[TenantScope, requires(Permission.PROJECTS_READ)],
    wanted: Annotated[UsagePeriod, Query()],
) -> Envelope[ProjectUsageView]:
    """What the project's runs have used of models today, this month or ever (in UTC), and how much of its budget."""
    return ok(await ProjectUsage(scope).of(project_id, wanted.period))
