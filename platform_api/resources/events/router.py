"""`/events`."""

from typing import Annotated

from fastapi import APIRouter

from platform_api.access.dependencies import OrchestratorDep, SessionsDep, requires
from platform_api.access.permissions import Permission
from platform_api.access.recorded_route import RecordedRoute
from platform_api.access.scope import TenantScope
from platform_api.kit.envelope import errors, ok
from platform_api.kit.schemas import Envelope
from platform_api.resources.events.schemas import EventDelivered, EventDelivery
from platform_api.resources.events.service import Events
from platform_api.resources.executions.resumption import Resumption

router = APIRouter(tags=["Events"], route_class=RecordedRoute)

Sender = Annotated[TenantScope, requires(Permission.EVENTS_CREATE)]


@router.post("/events", responses=errors(400, 401, 403))
async def deliver_event(
    body: EventDelivery, scope: Sender, sessions: SessionsDep, orchestrator: OrchestratorDep
) -> Envelope[EventDelivered]:
    """Hands an event to every WAIT step of the tenant that waits for its type and whose `filter` holds for it."""
    resumption = Resumption(sessions=sessions, orchestrator=orchestrator)
    return ok(EventDelivered(delivered=await Events(scope, resumption).deliver(body.type, body.data)))
