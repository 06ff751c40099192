"""`/executions`, and what starts and lists them below `/workflows/{id}` and `/agents/{id}`."""

from typing import Annotated
from uuid import UUID

from fastapi import APIRouter, Body, Query, Response, status

from flows.states import is_final
from platform_api.access.dependencies import OrchestratorDep, Platform, PlatformDep, SessionsDep, permits, requires
from platform_api.access.permissions import Permission
from platform_api.access.principal import Principal
from platform_api.access.recorded_route import RecordedRoute
from platform_api.access.scope import TenantScope
from platform_api.db.models import Execution
from platform_api.kit.envelope import errors, ok, page_of
from platform_api.kit.pagination import PagingDep
from platform_api.kit.schemas import Envelope, PageEnvelope
from platform_api.kit.sorting import Sorting, sorting
from platform_api.resources.executions.agent_tests import AgentTester
from platform_api.resources.executions.answering import Answering
from platform_api.resources.executions.cancelling import Cancelling
from platform_api.resources.executions.delivery import AdmissionLimits, Delivery
from platform_api.resources.executions.filters import ExecutionFilters, HistoryFilters, LogFilters
from platform_api.resources.executions.launch import Launcher
from platform_api.resources.executions.previewing import Previewing
from platform_api.resources.executions.resumption import Resumption
from platform_api.resources.executions.retrying import Retrying
from platform_api.resources.executions.schemas import (
    AgentTest,
    AgentTestView,
    ExecutionCancelled,
    ExecutionResume,
    ExecutionResumed,
    ExecutionRetried,
    ExecutionRetry,
    ExecutionRow,
    ExecutionsRetried,
    ExecutionStart,
    ExecutionStarted,
    ExecutionView,
    LogView,
    StepPreview,
    StepPreviewView,
    StepRunView,
)
from platform_api.resources.executions.service import ExecutionService
from platform_api.resources.executions.views import (
    cancelled_view,
    full_view,
    log_view,
    resumed_view,
    row_view,
    started,
    step_view,
)

router = APIRouter(tags=["Executions"], route_class=RecordedRoute)

Reader = Annotated[TenantScope, requires(Permission.EXECUTIONS_READ)]
Starter = Annotated[TenantScope, requires(Permission.WORKFLOWS_EXECUTE)]
Resumer = Annotated[TenantScope, requires(Permission.EXECUTIONS_RESUME)]
Retrier = Annotated[TenantScope, requires(Permission.EXECUTIONS_EXECUTE)]
Canceller = Annotated[TenantScope, requires(Permission.EXECUTIONS_CANCEL)]
Tester = Annotated[Principal, permits(Permission.AGENTS_EXECUTE)]
Viewer = Annotated[Principal, permits(Permission.EXECUTIONS_READ)]
SORTABLE = {
    "createdAt": Execution.created_at,
    "startedAt": Execution.started_at,
    "completedAt": Execution.completed_at,
    "durationMs": Execution.duration_ms,
    "status": Execution.status,
}
StartDep = Annotated[ExecutionStart, Body(default_factory=ExecutionStart)]
RetryDep = Annotated[ExecutionRetry, Body(default_factory=ExecutionRetry)]
OrderDep = Annotated[Sorting, sorting(SORTABLE)]


@router.post(
    "/workflows/{workflow_id}/execute",
    status_code=status.HTTP_201_CREATED,
    responses=errors(400, 401, 402, 403, 404, 409),
)
async def execute_workflow(
    workflow_id: UUID, body: StartDep, scope: Starter, shared: PlatformDep
) -> Envelope[ExecutionStarted]:
    """Starts an ACTIVE workflow as it is now. The run is accepted even while Prefect is away, and starts later then."""
    delivery = _delivery(shared, scope)
    return ok(started(await Launcher(scope, delivery).start(workflow_id, body)))


@router.post(
    "/agents/{agent_id}/test",
    responses={
        **errors(400, 401, 402, 403, 404, 409),
        status.HTTP_202_ACCEPTED: {
            "model": Envelope[AgentTestView],
            "description": "The test goes on: `GET /executions/{executionId}` tells how it ends",
        },
    },
)
async def test_agent(
    agent_id: UUID, body: AgentTest, caller: Tester, shared: PlatformDep, response: Response
) -> Envelope[AgentTestView]:
    """Runs the agent once, now, under its limits, and waits for the end, for a minute at most unless set otherwise.

    An agent without a `timeoutSeconds` gets that minute. A DRAFT or INACTIVE agent is tested by those who may change
    it, an ARCHIVED one by nobody (409).
    """
    seconds = shared.settings.runs.agent_test_seconds
    tester = AgentTester(shared.sessions, shared.orchestrator, caller, seconds)
    tested = await tester.run(agent_id, body.input)
    if not is_final(tested.status):
        response.status_code = status.HTTP_202_ACCEPTED
    return ok(tested)


@router.get("/workflows/{workflow_id}/executions", responses=errors(400, 401, 403, 404))
async def list_workflow_executions(
    workflow_id: UUID,
    scope: Reader,
    filters: Annotated[HistoryFilters, Query()],
    paging: PagingDep,
    order: OrderDep,
    orchestrator: OrchestratorDep,
) -> PageEnvelope[ExecutionRow]:
    """One workflow's executions, newest first."""
    rows, total = await ExecutionService(scope).history(workflow_id, filters, paging, order)
    return page_of((row_view(*row, orchestrator.run_url) for row in rows), total, paging)


@router.get("/executions", responses=errors(400, 401, 403))
async def list_executions(
    scope: Reader,
    filters: Annotated[ExecutionFilters, Query()],
    paging: PagingDep,
    order: OrderDep,
    orchestrator: OrchestratorDep,
) -> PageEnvelope[ExecutionRow]:
    """The executions of all workflows that the caller reads, newest first; without inputs and outputs."""
    rows, total = await ExecutionService(scope).page(filters, paging, order)
    return page_of((row_view(*row, orchestrator.run_url) for row in rows), total, paging)


@router.get("/executions/{execution_id}", responses=errors(400, 401, 403, 404))
async def get_execution(execution_id: UUID, scope: Reader, orchestrator: OrchestratorDep) -> Envelope[ExecutionView]:
    """One execution with its inputs, outputs, error, step counts, usage, waits and where it is in the Prefect UI."""
    service = ExecutionService(scope)
    execution, workflow = await service.get(execution_id)
    return ok(full_view(execution, workflow, orchestrator.run_url, await service.waits(execution)))


@router.post("/executions/retry", responses=errors(400, 401, 403))
async def retry_executions(
    scope: Retrier,
    filters: Annotated[ExecutionFilters, Query()],
    shared: PlatformDep,
) -> Envelope[ExecutionsRetried]:
    """Retries failed, cancelled and timed-out runs: those that the filters name and nobody has retried, oldest first.

    100 a call; `left` says how many more there are. A run that cannot be retried is answered with the reason.
    """
    delivery = _delivery(shared, scope)
    return ok(await Retrying(scope, delivery).retry_many(filters))


@router.post(
    "/executions/{execution_id}/retry",
    status_code=status.HTTP_201_CREATED,
    responses=errors(400, 401, 402, 403, 404, 409),
)
async def retry_execution(
    execution_id: UUID, body: RetryDep, scope: Retrier, shared: PlatformDep
) -> Envelope[ExecutionRetried]:
    """Goes on with a failed, cancelled or timed-out run as a new execution, linked by `retryOf`.

    Finished steps keep their results, only the rest runs. `fromStep` runs one step and what depends on it again, also
    of a completed run.
    """
    delivery = _delivery(shared, scope)
    return ok(await Retrying(scope, delivery).retry(execution_id, body))


@router.post(
    "/executions/{execution_id}/cancel",
    status_code=status.HTTP_202_ACCEPTED,
    responses=errors(400, 401, 403, 404, 409),
)
async def cancel_execution(
    execution_id: UUID, scope: Canceller, orchestrator: OrchestratorDep
) -> Envelope[ExecutionCancelled]:
    """Stops the run and everything that it has started, within 5 seconds. One that is over is refused (409)."""
    return ok(cancelled_view(await Cancelling(scope, orchestrator).cancel(execution_id)))


@router.post("/executions/{execution_id}/resume", responses=errors(400, 401, 403, 404, 409))
async def resume_execution(
    execution_id: UUID,
    body: ExecutionResume,
    scope: Resumer,
    sessions: SessionsDep,
    orchestrator: OrchestratorDep,
) -> Envelope[ExecutionResumed]:
    """Answers an open WAIT step of kind approval or input; the run goes on within a second.

    Those answer whom the step's `assignees` name, or who may run workflows where it names nobody. The first answer
    counts, a later one is refused (409).
    """
    resumption = Resumption(sessions=sessions, orchestrator=orchestrator)
    return ok(resumed_view(await Answering(scope, resumption).resume(execution_id, body)))


@router.get("/executions/{execution_id}/steps", responses=errors(400, 401, 403, 404))
async def list_execution_steps(execution_id: UUID, scope: Reader, paging: PagingDep) -> PageEnvelope[StepRunView]:
    """The execution's attempts of steps in the order of their start; a step that has not started has none."""
    steps, total = await ExecutionService(scope).steps(execution_id, paging)
    return page_of(map(step_view, steps), total, paging)


@router.post(
    "/executions/{execution_id}/preview",
    responses={
        **errors(400, 401, 403, 404, 409),
        status.HTTP_202_ACCEPTED: {
            "model": Envelope[StepPreviewView],
            "description": "It is still being computed: the same call, or `GET /executions/{executionId}`, tells more",
        },
    },
)
async def preview_step(
    execution_id: UUID, body: StepPreview, caller: Viewer, shared: PlatformDep, response: Response
) -> Envelope[StepPreviewView]:
    """The first rows of the table that a DATA step gave.

    Those of a step that was computed as a part of the next one (`fusedInto`) are computed now, once, by a run of their
    own, from what the step read. Where that is another or gone by now, `error` says so.
    """
    seconds = shared.settings.runs.agent_test_seconds
    shown = await Previewing(shared.sessions, shared.orchestrator, caller, seconds).show(execution_id, body.path)
    if not is_final(shown.status):
        response.status_code = status.HTTP_202_ACCEPTED
    return ok(shown)


@router.get("/executions/{execution_id}/logs", responses=errors(400, 401, 403, 404))
async def list_execution_logs(
    execution_id: UUID, scope: Reader, filters: Annotated[LogFilters, Query()], paging: PagingDep
) -> PageEnvelope[LogView]:
    """The execution's log lines in their order."""
    lines, total = await ExecutionService(scope).logs(execution_id, filters, paging)
    return page_of(map(log_view, lines), total, paging)


def _delivery(shared: Platform, scope: TenantScope) -> Delivery:
    return Delivery(
        sessions=shared.sessions,
        orchestrator=shared.orchestrator,
        tenant_id=scope.tenant_id,
        limits=AdmissionLimits.of(shared.settings.runs),
    )
