"""`POST /agents/{id}/estimate` and `POST /workflows/{id}/estimate`."""

from typing import Annotated
from uuid import UUID

from fastapi import APIRouter, Body

from platform_api.access.dependencies import requires
from platform_api.access.permissions import Permission
from platform_api.access.recorded_route import RecordedRoute
from platform_api.access.scope import TenantScope
from platform_api.kit.envelope import errors, ok
from platform_api.kit.schemas import Envelope
from platform_api.resources.estimates.schemas import AgentEstimateBody, EstimateView, WorkflowEstimateBody
from platform_api.resources.estimates.service import Estimates

router = APIRouter(tags=["Estimates"], route_class=RecordedRoute)

InputsDep = Annotated[WorkflowEstimateBody, Body(default_factory=WorkflowEstimateBody)]
GivenDep = Annotated[AgentEstimateBody, Body(default_factory=AgentEstimateBody)]


@router.post("/agents/{agent_id}/estimate", responses=errors(400, 401, 403, 404, 409))
async def estimate_agent(
    agent_id: UUID, body: GivenDep, scope: Annotated[TenantScope, requires(Permission.AGENTS_READ)]
) -> Envelope[EstimateView]:
    """What one run of the agent will ask of models and what that will cost; nothing is run."""
    return ok(await Estimates(scope).of_agent(agent_id, body.input))


@router.post("/workflows/{workflow_id}/estimate", responses=errors(400, 401, 403, 404, 409))
async def estimate_workflow(
    workflow_id: UUID, body: InputsDep, scope: Annotated[TenantScope, requires(Permission.WORKFLOWS_READ)]
) -> Envelope[EstimateView]:
    """The same for a run of the workflow as it is now, a DRAFT too, with its loops and retries; nothing is run."""
    return ok(await Estimates(scope).of_workflow(workflow_id, body.inputs))
