"""Drives one run: starts each step as a Prefect task when all that it depends on has ended, and settles the outcome.

Tasks run on the flow's own event loop; the states of a step's dependencies are handed to Prefect as `wait_for`, so that
the run's graph in the Prefect UI looks like the workflow.
"""

import asyncio
from collections.abc import Sequence
from typing import Any, cast
from uuid import UUID, uuid4

from prefect import Task, allow_failure
from prefect.cache_policies import NO_CACHE
from prefect.client.schemas.objects import State
from prefect.context import TaskRunContext
from prefect.states import Cancelled, Failed
from prefect.task_engine import run_task_async

from flows.compiler.expressions import render
from flows.errors import ExpressionFailed, StepFailed
from flows.plan import PlanStep
from flows.runtime.log import RunLog
from flows.runtime.ports import Ports, Run, RunOutcome, StepAttempt
from flows.runtime.retries import is_worth_retrying, retry_delays
from flows.runtime.step import INLINE_BYTES, WORKER_LOST, StepRunner, Surroundings
from flows.runtime.storable import storable_json
from flows.states import ExecutionStatus

DEFAULT_CONCURRENCY = 32
PREFECT_GRACE_SECONDS = 10.0
"""Prefect's own timeout lies this much behind ours: it is the net, not the rule."""


class RunDriver:
    """One run, once. `drive` returns the outcome; it is recorded by then."""

    def __init__(self, run: Run, ports: Ports, log: RunLog) -> None:
        self._run = run
        self._ports = ports
        self._outputs: dict[str, Any] = {}
        self._surroundings = Surroundings(run=run, ports=ports, log=log, outputs=self._outputs)
        self._states: dict[str, State[Any]] = {}
        self._errors: dict[str, dict[str, Any]] = {}
        self._failure: dict[str, Any] | None = None
        self._tasks: dict[str, asyncio.Task[None]] = {}
        self._started: set[str] = set()
        self._slots = asyncio.Semaphore(run.plan.limits.max_concurrency or DEFAULT_CONCURRENCY)

    async def drive(self, *, flow_run_id: UUID, run_count: int) -> RunOutcome:
        """Runs all steps; a step that fails under FAIL stops the others, a cancellation stops all."""
        execution_id = self._run.execution_id
        await self._ports.journal.run_started(execution_id, prefect_flow_run_id=flow_run_id, run_count=run_count)
        outcome = await self._settled()
        await self._record_skipped()
        await self._surroundings.log.flush()
        await self._ports.journal.run_finished(execution_id, outcome)
        return outcome

    async def _settled(self) -> RunOutcome:
        seconds = self._run.plan.limits.timeout_seconds
        try:
            async with asyncio.timeout(seconds):
                await self._run_steps()
        except TimeoutError:
            message = f"The run was stopped after its {seconds:g} s"
            return RunOutcome(status=ExecutionStatus.TIMEOUT, error={"code": "TIMEOUT", "message": message})
        except asyncio.CancelledError as cancelled:
            _acknowledge_cancellation()
            return _cancelled(str(cancelled))
        if self._failure:
            return RunOutcome(status=ExecutionStatus.FAILED, error=self._failure)
        return await self._completed()

    async def _run_steps(self) -> None:
        for step in self._run.plan.steps:
            waits_for = [self._tasks[key] for key in step.depends_on]
            self._tasks[step.step_key] = asyncio.create_task(self._step(step, waits_for), name=step.step_key)
        try:
            await asyncio.gather(*self._tasks.values(), return_exceptions=True)
        finally:
            await self._stop("The run was stopped")

    async def _step(self, step: PlanStep, waits_for: Sequence[asyncio.Task[None]]) -> None:
        if waits_for:
            await asyncio.wait(waits_for)
        async with self._slots:
            if self._failure:
                return
            self._started.add(step.step_key)
            state = await self._run_task(step)
        self._states[step.step_key] = state
        if self._failure is None and not state.is_completed() and not state.is_cancelled():
            await self._settle_failure(step, state)

    async def _run_task(self, step: PlanStep) -> State[Any]:
        wait_for = [allow_failure(self._states[key]) for key in step.depends_on]
        task = self._prefect_task(step)
        ended = await run_task_async(task, task_run_id=uuid4(), parameters={}, wait_for=wait_for, return_type="state")
        return cast(State[Any], ended)

    def _prefect_task(self, step: PlanStep) -> Task[Any, Any]:
        runner = StepRunner(step, self._surroundings)
        attempts = step.retry.max_attempts if step.retry else 1

        async def attempt() -> Any:
            context = TaskRunContext.get()
            number = context.task_run.run_count if context else 1
            try:
                self._outputs[step.step_key] = await runner.attempt(number)
            except asyncio.CancelledError:
                return Cancelled(message="The run was stopped")
            except StepFailed as failed:
                self._errors[step.step_key] = failed.error
                return _failed_state(failed)
            return None

        def is_worth_another(*_: object) -> bool:
            code = self._errors[step.step_key]["code"]
            return step.retry is not None and is_worth_retrying(step.retry, code)

        return Task(
            fn=attempt,
            name=step.step_key,
            task_run_name=step.step_key,
            description=step.name,
            tags=["turbocat", step.type.value.lower()],
            retries=attempts - 1,
            retry_delay_seconds=retry_delays(step.retry),
            retry_jitter_factor=step.retry.jitter or None if step.retry else None,
            retry_condition_fn=is_worth_another,
            timeout_seconds=step.timeout_seconds + PREFECT_GRACE_SECONDS if step.timeout_seconds else None,
            persist_result=False,
            cache_policy=NO_CACHE,
            log_prints=False,
        )

    async def _settle_failure(self, step: PlanStep, state: State[Any]) -> None:
        defect = {"code": "INTERNAL_ERROR", "message": "The step ended in an unexpected way; the worker's log says how"}
        error = self._errors.get(step.step_key, defect)
        if step.continue_on_failure and error is not defect:
            self._outputs[step.step_key] = step.default
            return
        self._failure = {**error, "stepKey": step.step_key}
        self._surroundings.log.add("ERROR", self._failure["message"], step_key=step.step_key)
        await self._stop(f"Step {step.step_key} failed", spare=step.step_key)

    async def _stop(self, reason: str, *, spare: str | None = None) -> None:
        """Cancels what still runs and waits until it has stopped and is recorded."""
        open_tasks = [task for key, task in self._tasks.items() if key != spare and not task.done()]
        for task in open_tasks:
            task.cancel(reason)
        if spare is None and open_tasks:
            await asyncio.wait(open_tasks)

    async def _record_skipped(self) -> None:
        reason = f"Step {self._failure['stepKey']} failed" if self._failure else "The run was stopped before this step"
        skipped = [
            StepAttempt(step_key=step.step_key, path=step.step_key, attempt=1)
            for step in self._run.plan.steps
            if step.step_key not in self._started
        ]
        if skipped:
            await self._ports.journal.steps_skipped(self._run.execution_id, skipped, reason=reason)

    async def _completed(self) -> RunOutcome:
        plan = self._run.plan
        try:
            if plan.output is None:
                outputs: Any = {key: self._outputs.get(key) for key in plan.final_steps()}
            else:
                outputs = render(plan.output, self._surroundings.scope())
        except ExpressionFailed as failed:
            error = {"code": failed.code, "message": failed.message, "path": "output"}
            return RunOutcome(status=ExecutionStatus.FAILED, error=error)
        shown = self._surroundings.log.masking.json(outputs)
        return RunOutcome(status=ExecutionStatus.COMPLETED, outputs=await self._storable(shown))

    async def _storable(self, outputs: Any) -> Any:
        payload = storable_json(outputs)
        if len(payload) <= INLINE_BYTES:
            return outputs
        return {"outputRef": await self._ports.results.keep_json(payload), "bytes": len(payload)}


def _failed_state(failed: StepFailed) -> State[Any]:
    name = "TimedOut" if failed.code == "TIMEOUT" else "Failed"
    return Failed(name=name, message=f"{failed.code}: {failed.error['message']}")


def _acknowledge_cancellation() -> None:
    """Takes the request back, so that the run can still record how it ended."""
    current = asyncio.current_task()
    if current:
        current.uncancel()


def _cancelled(reason: str) -> RunOutcome:
    if reason.startswith(WORKER_LOST):
        message = "The worker stopped while the run was going on; start it again"
        return RunOutcome(status=ExecutionStatus.FAILED, error={"code": WORKER_LOST, "message": message})
    error = {"code": "CANCELLED", "message": reason or "The run was cancelled"}
    return RunOutcome(status=ExecutionStatus.CANCELLED, error=error)
