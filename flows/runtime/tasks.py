"""A run's top level in Prefect: each step is a task, so that the run's graph in the Prefect UI looks like the workflow.

The id of a step's task run follows from execution and path: a run that is taken up again goes on with the task runs
that it has, and edges lead to what ran before. Prefect follows the retry policies, so that its UI shows each attempt.

A Prefect that does not answer stops no run: what it cannot show now is run without it.
"""

import asyncio
import logging
from collections.abc import Iterator
from contextlib import AsyncExitStack, contextmanager
from typing import Any
from uuid import UUID, uuid5

from prefect.client.schemas.objects import FlowRunResult, State, TaskRunResult
from prefect.context import TaskRunContext
from prefect.states import Completed, Failed

from agents.spec import AgentType
from flows.errors import StepFailed
from flows.plan import PlanStep
from flows.runtime.activity import Activity
from flows.runtime.artifacts import Artifacts
from flows.runtime.chunks import ChunkedLoop
from flows.runtime.ports import Run, RunOutcome
from flows.runtime.retries import is_last, retry_delays
from flows.runtime.shown_run import ShownRun
from flows.runtime.stage import PlainStage
from flows.runtime.subflow import drive_as_subflow, find_subflow
from flows.runtime.surroundings import DriveNested, LoopStage, NestedEnd, Slot, Work
from flows.runtime.task_runs import TaskOptions, run_task, stopped_state
from flows.spec import StepType

PREFECT_GRACE_SECONDS = 10.0
"""Prefect's own timeout lies this much behind ours: it is the net, not the rule."""

_logger = logging.getLogger(__name__)


class TaskStage:
    """Shows the steps of a run's top level as tasks of the flow run in which it is made."""

    def __init__(self, artifacts: Artifacts, run: Run, activity: Activity) -> None:
        self._run = run
        self._activity = activity
        self._shown = ShownRun(artifacts, run, self._id)
        self._subflows: dict[str, UUID] = {}
        """In the graph a subflow stands in the place of its step's task."""

    async def run(self, step: PlanStep, made: int, slot: Slot, work: Work) -> Any:
        """Runs the step as a task, which enters Prefect with its first slot and gives it up between attempts."""
        attempts = _Attempts(step, made, slot, work, self._activity)
        async with attempts.permit:
            await attempts.permit.take()
            try:
                with _shown_if_prefect_answers(step):
                    await run_task(
                        attempts.make,
                        self._id(step.step_key),
                        self._options(step, made, attempts),
                        after=self._edges(step),
                        known_at_once=self._is_nested(step),
                    )
            finally:
                self._shown.ended(step, attempts.ending())
        if not attempts.are_over():
            self._shown.ended(step, "run without Prefect")
            return await PlainStage().run(step, attempts.number, slot, work)
        output = attempts.result()
        self._shown.data(step, output)
        return output

    async def skipped(self, step: PlanStep, reason: str) -> None:
        """A task that ends at once as Skipped, for the sake of its edges."""
        self._shown.ended(step, "skipped")
        await self._mark(step, "Skipped", reason)

    async def recalled(self, step: PlanStep) -> None:
        """Shows what a repeated run takes over; a run that goes on has its task of before."""
        if self._run.active_seconds == 0:
            await self._mark(step, "Cached", "Taken over from the run that this one repeats")
        elif self._is_nested(step):
            with _shown_if_prefect_answers(step):
                subflow = await find_subflow(self._id(step.step_key))
                self._subflows |= {step.step_key: subflow} if subflow else {}

    def loop(self, path: str, total: int | None, bound: int) -> LoopStage:
        """A task for each chunk of the loop's items."""
        progress = self._shown.progress(path) if total else None
        return ChunkedLoop(path, total, bound, activity=self._activity, id_of=self._id, progress=progress)

    async def nested(self, run: Run, path: str, drive: DriveNested) -> NestedEnd:
        """A subflow in the place of its step's task."""

        async def drive_known(flow_run_id: UUID | None) -> NestedEnd:
            if flow_run_id is not None:
                self._subflows[path] = flow_run_id
            return await drive(flow_run_id)

        return await drive_as_subflow(run, self._id(path), drive_known, self._activity)

    def over(self, outcome: RunOutcome) -> None:
        """The page that sums the run up."""
        self._shown.over(outcome)

    def _is_nested(self, step: PlanStep) -> bool:
        return step.type is StepType.AGENT and self._run.plan.agents[step.agent or ""].type is AgentType.WORKFLOW

    def _id(self, path: str) -> UUID:
        return uuid5(self._run.execution_id, path)

    def _edges(self, step: PlanStep) -> list[TaskRunResult | FlowRunResult]:
        """A subflow counts as a task: Prefect's UI lists no tasks of a run in which one comes after a flow run."""
        return [TaskRunResult(id=self._subflows.get(key) or self._id(key)) for key in dict.fromkeys(step.depends_on)]

    async def _mark(self, step: PlanStep, name: str, message: str) -> None:
        async def end() -> State[Any]:
            return Completed(name=name, message=message)

        options = TaskOptions(name=step.step_key, description=step.name, tags=_tags(step))
        with _shown_if_prefect_answers(step):
            await run_task(end, self._id(step.step_key), options, after=self._edges(step))

    def _options(self, step: PlanStep, made: int, attempts: "_Attempts") -> TaskOptions:
        most = step.retry.max_attempts if step.retry else 1
        return TaskOptions(
            name=step.step_key,
            description=step.name,
            tags=_tags(step),
            retries=max(most - made - 1, 0),
            retry_delay_seconds=(retry_delays(step.retry) or [])[made:] or None,
            retry_jitter_factor=step.retry.jitter or None if step.retry else None,
            retry_condition_fn=lambda *_: attempts.is_another_worth_it(),  # Prefect calls functions only
            timeout_seconds=step.timeout_seconds + PREFECT_GRACE_SECONDS if step.timeout_seconds else None,
        )


@contextmanager
def _shown_if_prefect_answers(step: PlanStep) -> Iterator[None]:
    """What Prefect's client raises is no failure of the step, whose own are kept by what makes its attempts."""
    try:
        yield
    except Exception:
        _logger.warning("Prefect does not show all of step %s", step.step_key, exc_info=True)


def _tags(step: PlanStep) -> list[str]:
    return ["turbocat", step.type.value.lower()]


class _Permit:
    """A slot that can be given up and taken again."""

    def __init__(self, slot: Slot) -> None:
        self._slot = slot
        self._held: AsyncExitStack | None = None

    async def __aenter__(self) -> None:
        """Nothing is held at first."""

    async def __aexit__(self, *_: object) -> None:
        await self.give_back()

    async def take(self) -> None:
        if self._held is None:
            held = AsyncExitStack()
            await held.enter_async_context(self._slot())
            self._held = held

    async def give_back(self) -> None:
        held, self._held = self._held, None
        if held is not None:
            await held.aclose()


class _Attempts:
    """What Prefect calls for each attempt of a step, and what came of the last."""

    def __init__(self, step: PlanStep, made: int, slot: Slot, work: Work, activity: Activity) -> None:
        self.permit = _Permit(slot)
        self._step = step
        self._made = made
        self.number = made
        """Of the last attempt that was made."""
        self._work = work
        self._activity = activity
        self._output: Any = None
        self._failure: BaseException | None = None

    async def make(self) -> State[Any] | None:
        """Makes one attempt; a state is what Prefect is to show."""
        context = TaskRunContext.get()
        self.number = self._made + (context.task_run.run_count if context else 1)
        self._failure = None
        await self.permit.take()
        try:
            self._output = await self._work(self.number)
        except StepFailed as failed:
            self._failure = failed
            return _failed_state(failed)
        except asyncio.CancelledError as cancelled:
            self._failure = cancelled
            return stopped_state(self._activity, "The run was stopped")
        except Exception as defect:
            self._failure = defect
            return Failed(message=f"{type(defect).__name__}: the worker's log says more")
        finally:
            await self.permit.give_back()
        return None

    def is_another_worth_it(self) -> bool:
        """Whether the policy names the failure of the attempt that was just made."""
        failure = self._failure
        return isinstance(failure, StepFailed) and not is_last(self._step.retry, self.number, failure.code)

    def are_over(self) -> bool:
        """Whether the policy wants no other attempt; Prefect may have gone before it made the last."""
        return self.number > self._made and not self.is_another_worth_it()

    def ending(self) -> str:
        """How the last attempt ended, in a word or two."""
        failure = self._failure
        if self.number == self._made:
            return "not run"
        if isinstance(failure, StepFailed):
            return "timed out" if failure.code == "TIMEOUT" else "failed"
        if isinstance(failure, asyncio.CancelledError):
            return "waiting" if self._activity.departure else "cancelled"
        return "completed" if failure is None else "failed"

    def result(self) -> Any:
        """The output of the last attempt; raises what it raised."""
        if self._failure is not None:
            raise self._failure
        return self._output


def _failed_state(failed: StepFailed) -> State[Any]:
    name = "TimedOut" if failed.code == "TIMEOUT" else "Failed"
    return Failed(name=name, message=f"{failed.code}: {failed.error['message']}")
