"""A nested run in Prefect: a subflow in the place of its step's task."""

import asyncio
import logging
from typing import Any
from uuid import UUID

from prefect import Flow
from prefect.client.orchestration import PrefectClient, get_client
from prefect.client.schemas.filters import FlowRunFilter, FlowRunFilterParentTaskRunId
from prefect.client.schemas.objects import FlowRun, State, StateType
from prefect.client.schemas.sorting import FlowRunSort
from prefect.flow_engine import run_flow_async
from prefect.states import Cancelled, Completed, Failed, Pending

from flows.plan import Plan
from flows.runtime.activity import Activity
from flows.runtime.ports import Run, RunOutcome
from flows.runtime.surroundings import DriveNested, NestedEnd
from flows.runtime.task_runs import stopped_state
from flows.states import ExecutionStatus

_logger = logging.getLogger(__name__)


async def drive_as_subflow(run: Run, parent: UUID, drive: DriveNested, activity: Activity) -> NestedEnd:
    """Drives a nested run as a flow run below the task run `parent`; one that was suspended is gone on with.

    Where Prefect does not answer it is driven without one.
    """
    ends: list[NestedEnd] = []
    failures: list[BaseException] = []

    async def nested() -> State[Any]:
        try:
            ends.append(await drive(flow_run.id))
        except asyncio.CancelledError as cancelled:
            failures.append(cancelled)
            return stopped_state(activity, "The run around it was stopped")
        except Exception as defect:
            failures.append(defect)
            return Failed(message=f"{type(defect).__name__}: the worker's log says more")
        return prefect_state(ends[0].outcome)

    flow = _flow(run.plan, nested)
    try:
        flow_run = await _flow_run(flow, run, parent)
        await run_flow_async(flow, flow_run=flow_run, parameters={}, return_type="state")
    except Exception:
        _logger.warning("Prefect does not show all of the nested run %s", run.execution_id, exc_info=True)
        if not failures and not ends:
            return await drive(None)
    if failures:
        raise failures[0]
    return ends[0]


def prefect_state(outcome: RunOutcome) -> State[Any]:
    """The Prefect state that says the same as a final outcome."""
    message = outcome.error["message"] if outcome.error else None
    match outcome.status:
        case ExecutionStatus.COMPLETED:
            return Completed(message="The run completed")
        case ExecutionStatus.CANCELLED:
            return Cancelled(message=message)
        case ExecutionStatus.TIMEOUT:
            return State(type=StateType.FAILED, name="TimedOut", message=message)
        case _:
            return Failed(message=message)


def _flow(plan: Plan, function: Any) -> Flow[Any, Any]:
    return Flow(
        fn=function,
        name=plan.workflow.flow_name,
        version=str(plan.workflow.version),
        description=plan.workflow.name,
        validate_parameters=False,
        persist_result=False,
        log_prints=False,
    )


async def find_subflow(parent: UUID) -> UUID | None:
    """The newest flow run below the task run `parent`."""
    async with get_client() as client:
        found = await _below(client, parent)
    return found[0].id if found else None


async def _flow_run(flow: Flow[Any, Any], run: Run, parent: UUID) -> FlowRun:
    async with get_client() as client:
        for found in await _below(client, parent):
            if found.state is not None and not found.state.is_final():
                await client.set_flow_run_state(found.id, Pending(), force=True)
                return await client.read_flow_run(found.id)
        return await client.create_flow_run(
            flow,
            name=f"{run.plan.workflow.slug}-{str(run.execution_id)[-8:]}",
            parent_task_run_id=parent,
            state=Pending(),
            tags=["turbocat", "nested"],
        )


async def _below(client: PrefectClient, parent: UUID) -> list[FlowRun]:
    mine = FlowRunFilter(parent_task_run_id=FlowRunFilterParentTaskRunId(any_=[parent]))
    return await client.read_flow_runs(flow_run_filter=mine, sort=FlowRunSort.EXPECTED_START_TIME_DESC)
