"""Runs one body: the top level of a run, one iteration of a loop, one branch.

Each step is an asyncio task from when it is ready. The end of a step starts those that follow; nothing polls, and
nothing looks over all steps.
"""

import asyncio
import logging
from typing import Any

from flows.errors import StepFailed
from flows.plan import PlanStep
from flows.runtime.frames import Frame
from flows.runtime.graph import BodyGraph, BodyShape, Ending, Moves, Skip
from flows.runtime.ports import FinishedStep, StepAttempt
from flows.runtime.record import unbroken
from flows.runtime.stage import PlainStage
from flows.runtime.surroundings import Stage, Surroundings, attempts_made, step_at
from flows.spec import StepType
from flows.states import FAILED_STEPS, StepStatus

_logger = logging.getLogger(__name__)
_DEFECT = {"code": "INTERNAL_ERROR", "message": "The step ended in an unexpected way; the worker's log says how"}


class Body:
    """One run of a body. Whoever runs it counts as at work, and rests while its steps work."""

    def __init__(self, steps: BodyShape, frame: Frame, around: Surroundings, stage: Stage | None = None) -> None:
        self._steps = steps
        self._frame = frame
        self._around = around
        self._stage: Stage = stage or PlainStage()
        self._graph = BodyGraph(steps)
        self._tasks: set[asyncio.Task[None]] = set()
        self._ended: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._failure: StepFailed | None = None
        self._recorded: set[str] = set()
        """Steps that have a record, or get one from what works on them."""

    async def run(self) -> None:
        """Until all steps have ended. Raises `StepFailed` with the path of the step that failed as `stepKey`.

        Whatever ends it, no step of it works on then, and those that never began are recorded as skipped.
        """
        self._failure = self._failed_before()
        try:
            if self._failure is None:
                with self._around.activity.resting():
                    self._advance(self._graph.begin())
                    await self._ended
        except asyncio.CancelledError as cancelled:
            await self._close(str(cancelled) or "The run was stopped before this step")
            raise
        if self._failure is not None:
            await self._close(f"Step {self._failure.error['stepKey']} failed")
            raise self._failure

    async def last_output(self) -> Any:
        """The output of the last step that ran, None when none did."""
        step = self._graph.last_that_ran()
        return await self._frame.output(step.step_key, self._around.ports.results) if step else None

    def _advance(self, moves: Moves) -> None:
        for step in moves.ready:
            self._around.activity.begin()
            task = asyncio.create_task(self._step(step), name=self._frame.path(step.step_key))
            self._tasks.add(task)
            task.add_done_callback(self._step_is_over)
        self._settle()

    def _step_is_over(self, task: asyncio.Task[None]) -> None:
        self._tasks.discard(task)
        self._around.activity.end()
        if not task.cancelled() and (error := task.exception()):
            _logger.error("The step %s ended in an unexpected way", task.get_name(), exc_info=error)
            self._fail(StepFailed(task.get_name(), _DEFECT))
        self._settle()

    def _settle(self) -> None:
        if self._ended.done():
            return
        if self._failure is not None or (self._graph.is_finished and not self._tasks):
            self._ended.set_result(None)

    async def _step(self, step: PlanStep) -> None:
        try:
            moves = await self._moves_after(step)
        except StepFailed as failed:
            self._fail(failed)
            return
        if self._failure is None:
            self._advance(moves)
            await self._record_skips(moves.skipped)

    async def _moves_after(self, step: PlanStep) -> Moves:
        """Runs the step, or takes its end from the record."""
        finished = self._around.run.past.finished.get(self._frame.path(step.step_key))
        try:
            if finished is not None:
                return await self._recall(step, finished)
            output = await self._run(step)
        except StepFailed as failed:
            return self._deal_with(step, failed)
        self._frame.put(step.step_key, output)
        return self._ran(step, output)

    async def _run(self, step: PlanStep) -> Any:
        around = self._around
        kind = around.kinds[step.type]

        async def attempt(number: int) -> Any:
            if self._failure is not None:
                raise asyncio.CancelledError(
                    f"Step {self._failure.step_key} failed"
                )  # while this one waited for a slot
            self._recorded.add(step.step_key)
            return await kind.run(step_at(step, self._frame, around, self._stage, number))

        made = attempts_made(around, self._frame.path(step.step_key))
        return await self._stage.run(step, made, around.slot(step), attempt)

    async def _recall(self, step: PlanStep, finished: FinishedStep) -> Moves:
        await self._stage.recalled(step)
        if finished.status is StepStatus.SKIPPED:
            return self._graph.ended(step.step_key, Ending.SKIPPED)
        if finished.status is not StepStatus.COMPLETED:
            raise StepFailed(self._frame.path(step.step_key), finished.error or _DEFECT)
        if finished.output_ref is None:
            self._frame.put(step.step_key, finished.output)
        else:
            self._frame.put_stored(step.step_key, finished.output_ref)
        is_read = step.type is StepType.CONDITION  # others' outputs are read when a step names them
        return self._ran(step, await self._frame.output(step.step_key, self._around.ports.results) if is_read else None)

    def _ran(self, step: PlanStep, output: Any) -> Moves:
        chosen = output["chosen"] if step.type is StepType.CONDITION else ()
        return self._graph.ended(step.step_key, Ending.RAN, chosen=chosen)

    def _deal_with(self, step: PlanStep, failed: StepFailed) -> Moves:
        if step.continue_on_failure:
            self._frame.put(step.step_key, step.default)
            return self._graph.ended(step.step_key, Ending.RAN, failed=True)
        if step.fallback is not None:
            return self._graph.ended(step.step_key, Ending.REPLACED, failed=True)
        raise failed

    def _fail(self, failed: StepFailed) -> None:
        if self._failure is None:
            path = failed.error.get("stepKey", failed.step_key)
            self._failure = StepFailed(path, {**failed.error, "stepKey": path})

    def _failed_before(self) -> StepFailed | None:
        """The failure that ended this body according to the record; what it stopped then is not begun again."""
        finished = self._around.run.past.finished
        for step in self._steps.steps if finished else ():
            end = finished.get(self._frame.path(step.step_key))
            if end is None or end.status not in FAILED_STEPS or step.continue_on_failure or step.fallback is not None:
                continue
            path = self._frame.path(step.step_key)
            self._fail(StepFailed(path, end.error or _DEFECT))
            return self._failure
        return None

    async def _close(self, reason: str) -> None:
        """Stops what still works, waits until it is recorded, and records what never began."""
        cancelled: asyncio.CancelledError | None = None
        while self._tasks:
            for task in self._tasks:
                task.cancel(reason)
            try:
                await asyncio.wait(set(self._tasks))
            except asyncio.CancelledError as again:
                cancelled = again
        if self._around.activity.departure is None:
            await self._write_skips([Skip(step, reason) for step in self._steps.steps])
        if cancelled is not None:
            raise cancelled

    async def _record_skips(self, skips: list[Skip]) -> None:
        fresh = [skip for skip in skips if not self._is_on_record(skip.step)]
        await self._write_skips(fresh)
        for skip in fresh:
            await self._stage.skipped(skip.step, skip.reason)

    async def _write_skips(self, skips: list[Skip]) -> None:
        by_reason: dict[str, list[PlanStep]] = {}
        for skip in skips:
            if not self._is_on_record(skip.step):
                by_reason.setdefault(skip.reason, []).append(skip.step)
        run = self._around.run
        for reason, steps in by_reason.items():
            self._recorded.update(step.step_key for step in steps)
            attempts = [self._never_made(step) for step in steps]
            await unbroken(self._around.ports.journal.steps_skipped(run.execution_id, attempts, reason=reason))

    def _never_made(self, step: PlanStep) -> StepAttempt:
        return StepAttempt(step_key=step.step_key, path=self._frame.path(step.step_key), attempt=1)

    def _is_on_record(self, step: PlanStep) -> bool:
        path, past = self._frame.path(step.step_key), self._around.run.past
        in_past = path in past.finished or path in past.attempts or path in past.open
        return in_past or step.step_key in self._recorded
