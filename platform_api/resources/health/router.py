"""`/health`, `/api/health`, `/ready` and `/metrics`."""

from typing import Annotated

from fastapi import APIRouter, Depends, Request, Response, status
from prometheus_client import CONTENT_TYPE_LATEST

from platform_api.access.dependencies import PlatformDep
from platform_api.kit.envelope import errors
from platform_api.resources.health.metrics import Metrics
from platform_api.resources.health.schemas import Health, Readiness
from platform_api.resources.health.service import HealthChecks

router = APIRouter(tags=["Probes"])


def _checks(platform: PlatformDep) -> HealthChecks:
    return HealthChecks(sessions=platform.sessions, orchestrator=platform.orchestrator, started_at=platform.started_at)


ChecksDep = Annotated[HealthChecks, Depends(_checks)]
_UNAVAILABLE = status.HTTP_503_SERVICE_UNAVAILABLE


@router.api_route("/api/health", methods=["GET"], include_in_schema=False)
@router.get("/health", responses={_UNAVAILABLE: {"model": Health, "description": "Something is down"}})
async def get_health(checks: ChecksDep, response: Response) -> Health:
    """Database, Prefect and workers, for people and monitoring; 503 when one is down."""
    health = await checks.health()
    response.status_code = status.HTTP_200_OK if health.status == "healthy" else _UNAVAILABLE
    return health


@router.get("/ready", responses={_UNAVAILABLE: {"model": Readiness, "description": "Send requests elsewhere"}})
async def get_readiness(checks: ChecksDep, response: Response) -> Readiness:
    """Whether requests can be answered, for balancers."""
    if await checks.ready():
        return Readiness(status="ready")
    response.status_code = _UNAVAILABLE
    return Readiness(status="unavailable")


_FIGURES = {"description": "Prometheus' text format", "content": {"text/plain": {"schema": {"type": "string"}}}}


@router.get("/metrics", response_class=Response, responses={200: _FIGURES, **errors(401, 403)})
async def get_metrics(request: Request) -> Response:
    """Requests, latencies, connections and open executions, for Prometheus. Needs the token of
    `TURBOCAT_METRICS_TOKEN` where one is set; without one only the machine itself may read."""
    metrics: Metrics = request.app.state.metrics
    metrics.check(request.scope)
    return Response(await metrics.text(), media_type=CONTENT_TYPE_LATEST)
