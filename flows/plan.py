"""What a run runs: immutable, serialisable, stored with the execution. Later edits change nothing of it."""

from collections.abc import Iterator, Mapping
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field
from pydantic.alias_generators import to_camel

from agents.spec import AgentSpec
from flows.spec import RetryPolicy, StepType, WaitConfig, WorkflowLimits
from flows.states import OnError


class _Frozen(BaseModel):
    model_config = ConfigDict(frozen=True, alias_generator=to_camel, populate_by_name=True)


class PlanCase(_Frozen):
    """One arm of a condition. `when` is an expression; None always holds, and stands last."""

    when: str | None
    then: tuple[str, ...] = ()


class PlanLoop(_Frozen):
    """A LOOP's body. Exactly one of `items` (a document to render) and `condition` (an expression) is set."""

    items: Any = None
    condition: str | None = None
    steps: tuple["PlanStep", ...]
    max_concurrency: int = 8
    batch_size: int = 1
    max_iterations: int = 10_000
    collect: Any = None


class PlanParallel(_Frozen):
    """A PARALLEL's branches in written order."""

    branches: Mapping[str, tuple["PlanStep", ...]]
    wait: Literal["all", "any"] = "all"
    max_concurrency: int | None = None


class PlanStep(_Frozen):
    """One step, ready to run.

    `depends_on` holds its direct dependencies as written, each once; templates name only steps among the ancestors.
    """

    step_key: str
    name: str
    type: StepType
    agent: str | None = None
    """Key into `Plan.agents`."""
    inputs: dict[str, Any] = Field(default_factory=dict)
    config: dict[str, Any] = Field(default_factory=dict)
    depends_on: tuple[str, ...] = ()
    """Includes the conditions of `gates` and the steps of `fallback_of`."""
    gates: tuple[str, ...] = ()
    """CONDITION steps that name this one: it runs only when one of them chose it."""
    fallback_of: tuple[str, ...] = ()
    """Steps whose `fallback` this is: it runs only when one of them failed."""
    fallback: str | None = None
    cases: tuple[PlanCase, ...] = ()
    """Of a CONDITION."""
    loop: PlanLoop | None = None
    parallel: PlanParallel | None = None
    wait: WaitConfig | None = None
    on_error: OnError = OnError.FAIL
    retry: RetryPolicy | None = None
    """Set exactly when `on_error` is RETRY."""
    continue_on_failure: bool = False
    """Whether the run goes on when the last attempt failed (CONTINUE, or RETRY with `afterRetries: CONTINUE`)."""
    default: Any = None
    timeout_seconds: float | None = None
    """The tightest of step's and agent's limit; None means only the run's. Of a WAIT step none counts: see `wait`."""
    fused_into: str | None = None
    """The DATA step that computes this one's table as a part of its own query; this one only plans it."""
    lazy_inputs: tuple[str, ...] = ()
    """Inputs that are the output of a step which was fused into this one."""
    replays: bool = False
    """Whether those plans are of another run: what is computed is what that run read, or nothing."""
    repeatable: bool = True
    """False for what must not be done twice unasked (an API agent's POST): a worker lost in it fails the run."""


class PlanWorkflow(_Frozen):
    """Names of what is run, for Prefect and for `{{ workflow.* }}`."""

    id: str
    name: str
    slug: str
    version: int
    tenant_id: str
    tenant_slug: str
    tags: tuple[str, ...] = ()
    project_id: str | None = None
    """Whose secrets the inputs of steps may name, beside those of the whole tenant."""

    @property
    def flow_name(self) -> str:
        """The Prefect name of flow and deployment: `<tenant-slug>--<workflow-slug>`."""
        return f"{self.tenant_slug}--{self.slug}"


class Plan(_Frozen):
    """Steps in topological order with the agents that they run."""

    format: int = 1
    workflow: PlanWorkflow
    input_schema: dict[str, Any] | None = None
    limits: WorkflowLimits = WorkflowLimits()
    agents: Mapping[str, AgentSpec] = Field(default_factory=dict)
    steps: tuple[PlanStep, ...] = ()
    output: Any = None
    children: Mapping[str, "Plan"] = Field(default_factory=dict)
    """What each WORKFLOW agent of this plan runs, by the agent's key in `agents`; they have children of their own."""

    def family(self) -> Iterator["Plan"]:
        """This plan and all that are nested in it."""
        yield self
        for child in self.children.values():
            yield from child.family()

    def final_steps(self) -> tuple[str, ...]:
        """Keys of the steps that nothing depends on: their outputs are the run's when `output` is not written."""
        needed = {key for step in self.steps for key in step.depends_on}
        return tuple(step.step_key for step in self.steps if step.step_key not in needed)
