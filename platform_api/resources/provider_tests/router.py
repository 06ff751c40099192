"""`POST /llm-providers/{id}/test`."""

from typing import Annotated
from uuid import UUID

from fastapi import APIRouter, Body, Response, status

from flows.states import is_final
from platform_api.access.dependencies import PlatformDep, permits
from platform_api.access.permissions import Permission
from platform_api.access.principal import Principal
from platform_api.access.recorded_route import RecordedRoute
from platform_api.kit.envelope import errors, ok
from platform_api.kit.schemas import Envelope
from platform_api.resources.provider_tests.schemas import ProviderTest, ProviderTestView
from platform_api.resources.provider_tests.service import ProviderTester

router = APIRouter(prefix="/llm-providers", tags=["LLM providers"], route_class=RecordedRoute)

Tester = Annotated[Principal, permits(Permission.LLM_PROVIDERS_EXECUTE)]
TestDep = Annotated[ProviderTest, Body(default_factory=ProviderTest)]


@router.post(
    "/{provider_id}/test",
    responses={
        **errors(400, 401, 403, 404),
        status.HTTP_202_ACCEPTED: {
            "model": Envelope[ProviderTestView],
            "description": "The test goes on: `GET /executions/{executionId}` tells how it ends",
        },
    },
)
async def test_llm_provider(
    provider_id: UUID, body: TestDep, caller: Tester, shared: PlatformDep, response: Response
) -> Envelope[ProviderTestView]:
    """Asks the provider, active or not, which models it has and one of them a tiny question, which may cost a little.

    An answer with `ok: false` is a success of the test: `error` says what to change.
    """
    seconds = shared.settings.runs.agent_test_seconds
    tester = ProviderTester(shared.sessions, shared.orchestrator, caller, seconds)
    tested = await tester.run(provider_id, body.model)
    if not is_final(tested.status):
        response.status_code = status.HTTP_202_ACCEPTED
    return ok(tested)
