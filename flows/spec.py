"""The workflow language as users write it (JSON in camelCase). Shape only; meaning is checked by the compiler."""

from enum import StrEnum
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field
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
    default: Any = None
    """Output that dependants see when the step failed under CONTINUE."""
    timeout_seconds: float | None = Field(default=None, gt=0, le=7 * 24 * 3600)


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
