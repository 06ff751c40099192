"""Runs a function as a Prefect task under an id and with edges that we choose."""

import contextlib
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from typing import Any
from uuid import UUID

from prefect import Task
from prefect.cache_policies import NO_CACHE
from prefect.client.orchestration import get_client
from prefect.client.schemas.objects import FlowRunResult, State, StateType, TaskRun, TaskRunResult
from prefect.context import FlowRunContext, TaskRunContext
from prefect.exceptions import ObjectNotFound
from prefect.states import Cancelled, Pending
from prefect.task_engine import run_task_async

from flows.runtime.activity import Activity, Departure


@dataclass(frozen=True, kw_only=True)
class TaskOptions:
    """What Prefect is told of a task."""

    name: str
    description: str = ""
    tags: Sequence[str] = ()
    retries: int = 0
    retry_delay_seconds: list[float] | None = None
    retry_jitter_factor: float | None = None
    retry_condition_fn: Callable[..., bool] | None = None
    timeout_seconds: float | None = None


async def run_task(
    function: Callable[[], Awaitable[Any]],
    task_run_id: UUID,
    options: TaskOptions,
    *,
    after: Sequence[TaskRunResult | FlowRunResult] = (),
    known_at_once: bool = False,
) -> None:
    """Runs the task to its end, whatever that is; `after` are the runs that its edges come from.

    Task runs reach Prefect's tables a moment later, by way of events; `known_at_once` waits for that, for the sake of
    what refers to it.
    """
    task = _task(function, options)
    flow_context = FlowRunContext.get()
    task_run = await task.create_local_run(
        id=task_run_id, flow_run_context=flow_context, parent_task_run_context=TaskRunContext.get()
    )
    task_run.name = options.name
    task_run.task_inputs["wait_for"] = list(after)
    if known_at_once:
        await _make_known(task, task_run)
    await run_task_async(task, task_run=task_run, parameters={}, return_type="state")


def _task(function: Callable[[], Awaitable[Any]], options: TaskOptions) -> Task[Any, Any]:
    return Task(
        fn=function,
        name=options.name,
        task_run_name=options.name,
        description=options.description,
        tags=options.tags,
        retries=options.retries,
        retry_delay_seconds=options.retry_delay_seconds,
        retry_jitter_factor=options.retry_jitter_factor,
        retry_condition_fn=options.retry_condition_fn,
        timeout_seconds=options.timeout_seconds,
        persist_result=False,
        cache_policy=NO_CACHE,
        log_prints=False,
    )


async def _make_known(task: Task[Any, Any], task_run: TaskRun) -> None:
    """A run that is taken up again finds the task run of before."""
    async with get_client() as client:
        with contextlib.suppress(ObjectNotFound):
            await client.read_task_run(task_run.id)
            return
        await client.create_task_run(
            task,
            flow_run_id=task_run.flow_run_id,
            dynamic_key=str(task_run.id),
            id=task_run.id,
            name=task_run.name,
            extra_tags=task_run.tags,
            state=Pending(),
            task_inputs={name: list(each) for name, each in task_run.task_inputs.items()},
        )


def stopped_state(activity: Activity, reason: str) -> State[Any]:
    """How Prefect shows what was stopped: cancelled, or suspended where the run waits."""
    if activity.departure is Departure.SUSPENDED:
        return State(type=StateType.PAUSED, name="Suspended", message="The run waits")
    return Cancelled(message=reason)
