"""Makes a Prefect flow: its name, version and typed parameters now, its steps when it runs."""

import inspect
import logging
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from functools import partial
from typing import Any

from prefect import Flow
from prefect.client.schemas.objects import FlowRun, State
from prefect.context import FlowRunContext, TaskRunContext
from prefect.logging import get_run_logger

from flows.plan import Plan
from flows.runtime.artifacts import Artifacts
from flows.runtime.driver import RunDriver
from flows.runtime.log import RunLog
from flows.runtime.ports import LogLine, Ports, Run, RunOutcome
from flows.runtime.subflow import prefect_state
from flows.runtime.suspension import suspended
from flows.runtime.tasks import TaskStage
from flows.states import ExecutionStatus

OpenRun = Callable[[FlowRun], Awaitable[tuple[Run, Ports]]]
"""Finds the execution behind a flow run, or makes the row of one that was started elsewhere."""

_LEVELS = {"DEBUG": logging.DEBUG, "INFO": logging.INFO, "WARN": logging.WARNING, "ERROR": logging.ERROR}


@dataclass(frozen=True, kw_only=True)
class FlowHeader:
    """What Prefect must know of a flow before it runs. `parameters` are the names in the workflow's input schema."""

    name: str
    version: str
    description: str = ""
    parameters: tuple[str, ...] = ()

    @classmethod
    def of(cls, plan: Plan) -> "FlowHeader":
        """The header of the flow that runs `plan`."""
        return cls(
            name=plan.workflow.flow_name,
            version=str(plan.workflow.version),
            description=plan.workflow.name,
            parameters=tuple((plan.input_schema or {}).get("properties", {})),
        )


def build_flow(header: FlowHeader, open_run: OpenRun) -> Flow[Any, Any]:
    """The flow. Its parameters are taken from the flow run's record by `open_run`, not from the call."""

    async def run(**_parameters: Any) -> State[Any]:
        context = FlowRunContext.get()
        if context is None or context.flow_run is None:
            raise RuntimeError("this flow runs only inside a Prefect flow run")
        flow_run = context.flow_run
        opened, ports = await open_run(flow_run)
        outcome = await _drive(opened, ports, flow_run)
        if outcome.status is ExecutionStatus.PAUSED:
            return await suspended(flow_run.id, await ports.journal.question(opened.execution_id), ports.now())
        return prefect_state(outcome)

    names = [inspect.Parameter(name, inspect.Parameter.KEYWORD_ONLY, default=None) for name in header.parameters]
    run.__signature__ = inspect.Signature(names)  # type: ignore[attr-defined]  # how inspect lets a signature be given
    return Flow(
        fn=run,
        name=header.name,
        version=header.version,
        description=header.description,
        validate_parameters=False,
        persist_result=False,
        log_prints=False,
    )


async def _drive(run: Run, ports: Ports, flow_run: FlowRun) -> RunOutcome:
    flow_logger = get_run_logger()

    async def write(lines: list[LogLine]) -> None:
        await ports.journal.logged(run.execution_id, lines)

    def mirror(level: str, message: str, step_key: str | None) -> None:
        number = _LEVELS.get(level, logging.INFO)
        if TaskRunContext.get() is not None:
            get_run_logger().log(number, message)
        else:
            flow_logger.log(number, f"{step_key}: {message}" if step_key else message)

    async with (
        Artifacts(ports.results.locate) as artifacts,
        ports.claim(run.execution_id),
        RunLog(write, mirror) as log,
    ):
        driver = RunDriver(run, ports, log, stages=partial(TaskStage, artifacts))
        return await driver.drive(flow_run_id=flow_run.id, run_count=flow_run.run_count)
