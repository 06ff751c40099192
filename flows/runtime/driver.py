"""Drives one run, whose top level is a body like any other; settles the outcome, or leaves it when only waits remain.

What stops a run:

    a step fails                          FAILED, the other steps are cancelled
    its time is over                      TIMEOUT; time in which it was suspended does not count
    the task is cancelled                 CANCELLED; for a nested run by what stops the outer one
    nothing but waits is left             PAUSED: open records stay open, whoever takes the run up goes on with them
    the task is cancelled by WORKER_LOST  nothing is recorded: the run is found as one whose process is gone
"""

import asyncio
import contextlib
from collections.abc import Callable, Mapping
from typing import Any
from uuid import UUID

from agents.errors import AgentError
from agents.providers.budget import BoundedBudget, Unbounded
from flows.compiler.expressions import render
from flows.errors import ExpressionFailed, StepFailed
from flows.runtime.activity import Activity, Departure
from flows.runtime.body import Body
from flows.runtime.condition import ConditionKind
from flows.runtime.log import RunLog
from flows.runtime.loop import LoopKind
from flows.runtime.parallel import ParallelKind
from flows.runtime.ports import LogLine, Ports, Run, RunOutcome
from flows.runtime.record import INLINE_BYTES, error_record, unbroken
from flows.runtime.stage import PlainStage
from flows.runtime.step import WORKER_LOST, AgentKind
from flows.runtime.storable import storable_json
from flows.runtime.surroundings import (
    DEFAULT_CONCURRENCY,
    Limiter,
    NestedEnd,
    Spending,
    Stage,
    StepAt,
    StepKind,
    Surroundings,
)
from flows.runtime.wait import WaitSteps
from flows.spec import StepType
from flows.states import ExecutionStatus

KINDS: Mapping[StepType, StepKind] = {
    StepType.AGENT: AgentKind(),
    StepType.CONDITION: ConditionKind(),
    StepType.LOOP: LoopKind(),
    StepType.PARALLEL: ParallelKind(),
}

WaitsOf = Callable[[], StepKind]
"""Makes what runs the WAIT steps of one run."""

StagesOf = Callable[[Run, Activity], Stage]
"""Makes what shows the top level of one run."""


def plain_stage(_run: Run, _activity: Activity) -> Stage:
    """Shows nothing."""
    return PlainStage()


class RunDriver:
    """One run, once. `drive` returns the outcome; it is recorded by then.

    A nested run shares its step's activity, limiter and log masking, and leaves it to the outermost to be suspended.
    """

    def __init__(
        self,
        run: Run,
        ports: Ports,
        log: RunLog,
        *,
        waits: WaitsOf = WaitSteps,
        stages: StagesOf = plain_stage,
        step: StepAt | None = None,
    ) -> None:
        outer = step.around if step else None
        slots = run.plan.limits.max_concurrency or DEFAULT_CONCURRENCY
        self._run = run
        self._ports = ports
        self._waits = waits
        self._stages = stages
        self._outermost = outer is None
        self._activity = outer.activity if outer else Activity(ports.now)
        self._around = Surroundings(
            run=run,
            ports=ports,
            log=log,
            limiter=Limiter(slots, outer.limiter if outer else None),
            activity=self._activity,
            kinds={**KINDS, StepType.WAIT: waits()},
            drive_nested=self._drive_nested,
            usage=Spending(step.usage if step else None),
            budget=BoundedBudget(
                run.plan.limits, "workflow", outer=ports.budget_around(run, outer.budget if outer else Unbounded())
            ),
        )
        self._around.usage.add(run.usage)
        self._around.budget.recall(run.usage)
        self._frame = self._around.root_frame()
        shape = self._around.shape(run.plan.steps)
        self._stage = stages(run, self._activity)
        self._body = Body(shape, self._frame, self._around, self._stage)
        self._cancelled: asyncio.CancelledError | None = None
        self.outputs: Any = None
        """The run's outputs as they are, when it has completed; the record may hold a reference to them."""

    async def drive(self, *, flow_run_id: UUID | None, run_count: int) -> RunOutcome:
        """Runs all steps and records how it ended; one that is left to wait gives PAUSED.

        A nested run raises `CancelledError` when it was cancelled or left; any run does when it is lost.
        """
        journal, execution_id = self._ports.journal, self._run.execution_id
        await journal.run_started(execution_id, prefect_flow_run_id=flow_run_id, run_count=run_count)
        try:
            outcome = await self._settled()
        except asyncio.CancelledError:
            if self._activity.departure is Departure.SUSPENDED:
                await self._suspended()
            raise
        if outcome.status is ExecutionStatus.PAUSED:
            await self._suspended()
            return outcome
        await self._around.log.flush()
        await unbroken(journal.run_finished(execution_id, outcome))
        self._stage.over(outcome)
        if self._cancelled is not None and not self._outermost:
            raise self._cancelled
        return outcome

    async def _suspended(self) -> None:
        await self._around.log.flush()
        wake_at = self._activity.wake_at if self._outermost else None
        await unbroken(self._ports.journal.run_suspended(self._run.execution_id, wake_at=wake_at))

    async def _settled(self) -> RunOutcome:
        seconds = self._run.plan.limits.timeout_seconds
        left = None if seconds is None else max(seconds - self._run.active_seconds, 0.0)
        steps = asyncio.create_task(self._run_body())
        watched = {steps, asyncio.create_task(self._activity.only_waits())} if self._outermost else {steps}
        try:
            await asyncio.wait(watched, timeout=left, return_when=asyncio.FIRST_COMPLETED)
            if not steps.done() and any(task.done() for task in watched):
                return await self._left_waiting(steps)
            return await self._ended(steps, f"The run was stopped after its {seconds or 0:g} s")
        except asyncio.CancelledError as cancelled:
            self._cancelled = cancelled
            return await self._stopped(steps, str(cancelled))
        finally:
            for task in watched - {steps}:
                task.cancel()

    async def _run_body(self) -> None:
        if not self._outermost:
            await self._body.run()
            return
        with self._activity.working():
            await self._body.run()

    async def _ended(self, steps: asyncio.Task[None], out_of_time: str) -> RunOutcome:
        if not steps.done():
            await _stop(steps, out_of_time)
            if steps.cancelled():
                return RunOutcome(status=ExecutionStatus.TIMEOUT, error={"code": "TIMEOUT", "message": out_of_time})
        try:
            await steps
        except StepFailed as failed:
            self._around.log.add("ERROR", failed.error["message"], step_key=failed.error["stepKey"])
            return RunOutcome(status=ExecutionStatus.FAILED, error=failed.error)
        return await self._completed()

    async def _left_waiting(self, steps: asyncio.Task[None]) -> RunOutcome:
        self._activity.departure = Departure.SUSPENDED
        await _stop(steps, "The run waits")
        if steps.cancelled():
            return RunOutcome(status=ExecutionStatus.PAUSED)
        self._activity.departure = None
        return await self._ended(steps, "")

    async def _stopped(self, steps: asyncio.Task[None], reason: str) -> RunOutcome:
        if self._outermost:
            self._activity.departure = Departure.LOST if reason.startswith(WORKER_LOST) else None
        await _stop(steps, reason)
        if self._activity.departure is not None:
            raise asyncio.CancelledError(reason)
        if self._outermost:
            _acknowledge_cancellation()
        error = {"code": "CANCELLED", "message": reason or "The run was cancelled"}
        return RunOutcome(status=ExecutionStatus.CANCELLED, error=error)

    async def _completed(self) -> RunOutcome:
        plan = self._run.plan
        try:
            if plan.output is None:
                outputs: Any = {key: await self._frame.output(key, self._ports.results) for key in plan.final_steps()}
            else:
                outputs = render(plan.output, await self._frame.scope(plan.output, self._ports.results))
        except ExpressionFailed as failed:
            error = {"code": failed.code, "message": failed.message, "path": "output"}
            return RunOutcome(status=ExecutionStatus.FAILED, error=error)
        self.outputs = self._around.log.masking.json(outputs)
        try:
            return RunOutcome(status=ExecutionStatus.COMPLETED, outputs=await self._storable(self.outputs))
        except AgentError as failed:
            return RunOutcome(status=ExecutionStatus.FAILED, error={**error_record(failed), "path": "output"})

    async def _storable(self, outputs: Any) -> Any:
        payload = storable_json(outputs)
        if len(payload) <= INLINE_BYTES:
            return outputs
        return {"outputRef": await self._ports.results.keep_json(payload), "bytes": len(payload)}

    async def _drive_nested(self, run: Run, step: StepAt, flow_run_id: UUID | None) -> NestedEnd:
        """Drives a run inside a step of this one; its log is its own, what is masked is masked in both."""
        outer = self._around.log

        async def write(lines: list[LogLine]) -> None:
            await self._ports.journal.logged(run.execution_id, lines)

        async with self._ports.claim(run.execution_id), outer.nested(write) as log:
            stages = plain_stage if flow_run_id is None else self._stages
            driver = RunDriver(run, self._ports, log, waits=self._waits, stages=stages, step=step)
            outcome = await driver.drive(flow_run_id=flow_run_id, run_count=1)
        return NestedEnd(outcome=outcome, outputs=driver.outputs)


async def _stop(steps: asyncio.Task[None], reason: str) -> None:
    """Cancels the run's body and waits until it has stopped, however often that is asked for."""
    steps.cancel(reason)
    while not steps.done():
        with contextlib.suppress(asyncio.CancelledError):
            await asyncio.wait([steps])


def _acknowledge_cancellation() -> None:
    """Takes the request back, so that the run can still record how it ended."""
    current = asyncio.current_task()
    while current and current.cancelling():
        current.uncancel()
