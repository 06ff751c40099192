"""What all steps of one run share, and the two seams at which kinds of step and Prefect come in."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from contextlib import AbstractAsyncContextManager, asynccontextmanager, nullcontext
from dataclasses import dataclass, field, replace
from datetime import datetime
from functools import cached_property
from typing import Any, Protocol
from uuid import UUID

from agents.providers.budget import BoundedBudget
from agents.result import Usage
from agents.spec import AgentSpec, AgentType, Limits
from flows.plan import PlanStep
from flows.runtime.activity import Activity
from flows.runtime.call_list import CallList
from flows.runtime.frames import Frame, Scope
from flows.runtime.graph import BodyShape
from flows.runtime.log import RunLog
from flows.runtime.ports import Ports, Run, RunOutcome, StepAttempt
from flows.spec import StepType

DEFAULT_CONCURRENCY = 32

Work = Callable[[int], Awaitable[Any]]
"""Makes the attempt of that number of a step and gives its output; raises `StepFailed`."""


class Limiter:
    """Bounds how many AGENT attempts of a run work at once; those of a nested run count in the outer one too.

    Containers, waits and nested runs take no slot, so that what they hold can always go on.
    """

    def __init__(self, slots: int, outer: "Limiter | None" = None) -> None:
        self._slots = asyncio.Semaphore(slots)
        self._outer = outer

    @asynccontextmanager
    async def slot(self) -> AsyncIterator[None]:
        """Waits for a slot and holds it."""
        async with self._slots, self._outer.slot() if self._outer else nullcontext():
            yield


class Spending:
    """What a run, or one attempt of a step, has used up; what a nested run uses counts in the step that runs it."""

    def __init__(self, outer: "Spending | None" = None) -> None:
        self.total = Usage()
        self.sandbox: str | None = None
        """Where code ran last."""
        self._outer = outer

    def add(self, usage: Usage) -> None:
        """So much more was used."""
        self.total = self.total + usage
        if self._outer is not None:
            self._outer.add(usage)

    def ran_in(self, sandbox: str) -> None:
        """Code runs there; what is around has records of its own."""
        self.sandbox = sandbox


@dataclass(frozen=True, kw_only=True)
class NestedEnd:
    """How a nested run ended; `outputs` are the values themselves, wherever the record keeps them."""

    outcome: RunOutcome
    outputs: Any


class Stage(Protocol):
    """Where the steps of a body appear beside our record: in Prefect, or nowhere. It follows a step's retry policy."""

    async def run(self, step: PlanStep, made: int, slot: "Slot", work: Work) -> Any:
        """Makes the step's attempts after those that were `made`, each in a slot.

        Gives the output of the last or raises its `StepFailed`.
        """
        ...

    async def skipped(self, step: PlanStep, reason: str) -> None:
        """The step will not run, because of a branch that was not taken."""
        ...

    async def recalled(self, step: PlanStep) -> None:
        """The step has run before and is not run again."""
        ...

    def loop(self, path: str, total: int | None, bound: int) -> "LoopStage":
        """Shows a loop of this body over `total` items (None: not known, at most `bound`)."""
        ...

    async def nested(self, run: Run, path: str, drive: "DriveNested") -> NestedEnd:
        """Lets a nested run drive itself."""
        ...

    def over(self, outcome: RunOutcome) -> None:
        """The run whose top level this is has ended so."""
        ...


class LoopStage(Protocol):
    """Where the items of one loop appear."""

    def began(self, index: int) -> None: ...

    def ended(self, index: int, *, failed: bool) -> None: ...

    async def close(self) -> None: ...


Slot = Callable[[], AbstractAsyncContextManager[Any]]
DriveNested = Callable[[UUID | None], Awaitable[NestedEnd]]
"""Called with the id under which Prefect knows the nested run, or None."""
DriveNestedIn = Callable[[Run, "StepAt", UUID | None], Awaitable[NestedEnd]]
"""Drives a run that is nested in another; the driver's, which knows of steps what steps need not know of it."""


class StepKind(Protocol):
    """Runs steps of one type. It keeps the records of its steps (see `record.recorded`)."""

    async def run(self, at: "StepAt") -> Any:
        """Makes one attempt and gives its output; raises `StepFailed`."""
        ...


@dataclass(frozen=True, kw_only=True)
class Surroundings:
    """One run, as its steps see it."""

    run: Run
    ports: Ports
    log: RunLog
    limiter: Limiter
    activity: Activity
    kinds: Mapping[StepType, StepKind]
    drive_nested: "DriveNestedIn"
    usage: Spending = field(default_factory=Spending)
    budget: BoundedBudget = field(default_factory=lambda: BoundedBudget(Limits(), "workflow"))
    """What all its steps together may use of models."""
    shapes: dict[int, BodyShape] = field(default_factory=dict)

    @cached_property
    def left_open(self) -> set[str]:
        """Paths of records that were open when this process took the run up, and that it has not gone on with yet."""
        return set(self.run.past.open)

    def shape(self, steps: tuple[PlanStep, ...]) -> BodyShape:
        """The shape of a body of the plan, made once."""
        shape = self.shapes.get(id(steps))
        if shape is None:
            shape = self.shapes[id(steps)] = BodyShape(steps)
        return shape

    def is_nested(self, step: PlanStep) -> bool:
        """Whether a step runs a workflow, which has a record of its own."""
        return step.type is StepType.AGENT and self.agent(step).type is AgentType.WORKFLOW

    def agent(self, step: PlanStep) -> AgentSpec:
        """The agent that an AGENT step runs."""
        return self.run.plan.agents[step.agent or ""]

    def slot(self, step: PlanStep) -> Slot:
        """What one attempt of a step has to hold."""
        if step.type is not StepType.AGENT or self.is_nested(step):
            return nullcontext
        return self.limiter.slot

    @cached_property
    def fixed_names(self) -> Mapping[str, Any]:
        """The names that hold everywhere, inside an agent's config too."""
        run, workflow = self.run, self.run.plan.workflow
        return {
            "env": dict(self.ports.environment_variables),
            "execution": {
                "id": str(run.execution_id),
                "environment": run.environment,
                "triggerType": run.trigger_type,
            },
            "workflow": {
                "id": workflow.id,
                "name": workflow.name,
                "slug": workflow.slug,
                "version": workflow.version,
            },
        }

    def root_frame(self) -> Frame:
        """The frame of the run's top level."""
        return Frame(names={**self.fixed_names, "inputs": self.run.inputs})


@dataclass(frozen=True, kw_only=True)
class StepAt:
    """One attempt of a step at its place in a run."""

    step: PlanStep
    frame: Frame
    around: Surroundings
    stage: Stage
    attempt: StepAttempt
    begun_at: datetime
    """When its record was opened."""
    usage: Spending = field(default_factory=Spending)
    """Grows while the attempt works, so that its record is right however it ends."""
    calls: CallList = field(default_factory=CallList)
    """What that was used for, call by call."""

    @property
    def path(self) -> str:
        """The step's path in the run."""
        return self.attempt.path

    async def scope(self, document: Any, **extra: Any) -> Scope:
        """The names that the templates in `document` can use."""
        return await self.frame.scope(document, self.around.ports.results, **extra)

    async def expression_scope(self, expression: str, **extra: Any) -> Scope:
        """The names that an expression without braces can use."""
        return await self.scope(f"{{{{ {expression} }}}}", **extra)


def attempts_made(around: Surroundings, path: str) -> int:
    """How many attempts of a step have ended before this process took the run up."""
    past = around.run.past
    interrupted = past.open.get(path)
    return interrupted.attempt - 1 if interrupted else past.attempts.get(path, 0)


def step_at(step: PlanStep, frame: Frame, around: Surroundings, stage: Stage, number: int) -> StepAt:
    """The attempt of that number; an interrupted one is gone on with."""
    path = frame.path(step.step_key)
    agent = around.agent(step) if step.type is StepType.AGENT else None
    attempt = StepAttempt(
        step_key=step.step_key,
        path=path,
        attempt=number,
        agent=agent.id if agent else None,
        light=agent is None or _is_light(agent),
    )
    begun_at = around.ports.now()
    interrupted = around.run.past.open.get(path)
    if interrupted and interrupted.attempt == number:
        attempt = replace(attempt, step_run_id=interrupted.step_run_id)
        begun_at = interrupted.begun_at or begun_at
    return StepAt(step=step, frame=frame, around=around, stage=stage, attempt=attempt, begun_at=begun_at)


def _is_light(agent: AgentSpec) -> bool:
    """Whether it reaches nothing outside of the worker that doing it twice could change."""
    return agent.type in (AgentType.DATA, AgentType.CODE) and not agent.has_network
