"""The workflow language as users write it (JSON in camelCase). Shape only; meaning is checked by the compiler."""

from enum import StrEnum
from typing import Annotated, Any, Literal

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field
from pydantic.alias_generators import to_camel

from agents.spec import Limits
from flows.states import OnError

StepKey = str


class StepType(StrEnum):
    """The kinds of step."""

    AGENT = "AGENT"
    CONDITION = "CONDITION"
    LOOP = "LOOP"
    PARALLEL = "PARALLEL"
    WAIT = "WAIT"


class _Spec(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid", alias_generator=to_camel, populate_by_name=True)


class RetryPolicy(_Spec):
    """Waits `delaySeconds * backoff**n` between attempts, at most `maxDelaySeconds`, give or take `jitter`'s share."""

    max_attempts: int = Field(default=3, ge=1, le=50)
    delay_seconds: float = Field(default=1.0, ge=0, le=86_400)
    backoff: float = Field(default=2.0, ge=1, le=10)
    max_delay_seconds: float = Field(default=60.0, ge=0, le=86_400)
    jitter: float = Field(default=0.0, ge=0, le=1)
    retry_on: tuple[str, ...] = ()
    """Error codes worth another attempt; empty means all of them."""


class StepSpec(_Spec):
    """One step of a definition."""

    step_key: StepKey = Field(min_length=1, max_length=100)
    name: str | None = Field(default=None, max_length=200)
    type: StepType = StepType.AGENT
    agent_id: str | None = None
    inputs: dict[str, Any] = Field(default_factory=dict)
    config: dict[str, Any] = Field(default_factory=dict)
    depends_on: tuple[StepKey, ...] = ()
    on_error: OnError = OnError.FAIL
    retry: RetryPolicy | None = None
    after_retries: Literal["FAIL", "CONTINUE"] = "FAIL"
    fallback: StepKey | None = None
    """A step beside this one that runs only when this one has failed; the failure is then dealt with."""
    default: Any = None
    """Output that dependants see when the step failed under CONTINUE."""
    timeout_seconds: float | None = Field(default=None, gt=0, le=7 * 24 * 3600)
    materialize: bool = False
    """Of a DATA step: its rows are kept even where the one step that reads them could compute them itself."""


class ConditionCase(_Spec):
    """One arm of a CONDITION with `cases`; the first whose `when` holds is taken."""

    when: str = Field(min_length=1)
    then: tuple[StepKey, ...] = ()


class ConditionConfig(_Spec):
    """Either `expression` with `then` and `else`, or `cases` with `default`; the keys are of steps beside it."""

    expression: str | None = None
    then: tuple[StepKey, ...] = ()
    otherwise: tuple[StepKey, ...] = Field(default=(), alias="else")
    cases: tuple[ConditionCase, ...] = ()
    default: tuple[StepKey, ...] = ()


class LoopConfig(_Spec):
    """Either `items` or `while`. `items` is an expression (with or without braces) or a list with templates in it.

    With `batchSize` over 1 the nested steps run once per batch and `item` is a list of so many.
    """

    items: Any = None
    while_: str | None = Field(default=None, alias="while")
    steps: tuple[StepSpec, ...] = ()
    max_concurrency: int = Field(default=8, ge=1, le=1000)
    batch_size: int = Field(default=1, ge=1, le=100_000)
    max_iterations: int = Field(default=10_000, ge=1, le=1_000_000)
    collect: Any = None
    """A template over one iteration's steps; None collects the output of its last step."""


class Branch(_Spec):
    """One branch of a PARALLEL step."""

    steps: tuple[StepSpec, ...] = ()


class ParallelConfig(_Spec):
    """Named branches that run at once. With `any` the first that ends well wins and the others are cancelled."""

    branches: dict[str, Branch] = Field(default_factory=dict)
    wait: Literal["all", "any"] = "all"
    max_concurrency: int | None = Field(default=None, ge=1, le=1000)


class WaitKind(StrEnum):
    """What a WAIT step waits for."""

    DURATION = "duration"
    UNTIL = "until"
    APPROVAL = "approval"
    INPUT = "input"
    EVENT = "event"


def _number_or_text(value: Any) -> Any:
    """One finding for what is neither, instead of one for each."""
    if value is None or isinstance(value, str) or (isinstance(value, int | float) and not isinstance(value, bool)):
        return value
    raise ValueError("write a number of seconds, or a template that gives one")


class WaitConfig(_Spec):
    """What each kind needs: `seconds`, `at`, `message`, `schema`, `eventType`. Texts may hold templates."""

    kind: WaitKind
    seconds: Annotated[float | str | None, BeforeValidator(_number_or_text)] = None
    at: str | None = None
    message: str | None = None
    form: dict[str, Any] | None = Field(default=None, alias="schema")
    """JSON Schema of what an `input` step is answered with."""
    assignees: tuple[str, ...] = ()
    """Ids of users and roles in the tenant that may answer; empty: whoever may resume the execution."""
    timeout_seconds: float | None = Field(default=None, gt=0, le=366 * 24 * 3600)
    on_timeout: Literal["FAIL", "CONTINUE", "APPROVE", "REJECT"] = "FAIL"
    on_reject: Literal["FAIL", "CONTINUE"] = "FAIL"
    event_type: str | None = None
    filter: str | None = None
    """An expression over `event` (`{type, data}`) and what the step sees; the first event that fits is taken."""


class WorkflowLimits(Limits):
    """Limits of a run, and how many of its steps may run at once."""

    max_concurrency: int | None = Field(default=None, ge=1, le=1000)


class Schedule(_Spec):
    """When a workflow starts by itself: either a cron line or an interval."""

    cron: str | None = None
    interval_seconds: int | None = Field(default=None, ge=1, le=366 * 24 * 3600)
    timezone: str = "UTC"
    enabled: bool = True


class WorkflowDefinition(_Spec):
    """The part of a workflow that a version freezes."""

    input_schema: dict[str, Any] | None = None
    limits: WorkflowLimits = WorkflowLimits()
    steps: tuple[StepSpec, ...] = ()
    output: Any = None
    """A template over the steps' outputs; None means the outputs of the last steps by key."""
