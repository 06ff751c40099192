"""What clients send and get about executions."""

from typing import Annotated, Any, Literal
from uuid import UUID

from pydantic import AwareDatetime, ConfigDict, Field, StrictBool

from agents.calls import CallKind, CallStatus
from flows.spec import WaitKind
from flows.states import Environment, ExecutionStatus, StepStatus, TriggerType
from platform_api.db.enums import LogLevel
from platform_api.kit.fields import JsonObject, Tags
from platform_api.kit.schemas import Body, UtcTime, View

Priority = Literal["high", "default", "low"]


class ExecutionStart(Body):
    """How a workflow is to be run."""

    inputs: JsonObject = Field(default_factory=dict, description="checked against `inputSchema`; defaults are applied")
    environment: Environment = Environment.DEVELOPMENT
    priority: Priority = "default"
    tags: Tags = Field(default_factory=list)
    run_at: Annotated[AwareDatetime | None, Field(description="not before this time; at once when left out")] = None


class ExecutionStarted(View):
    """An execution that has been accepted."""

    execution_id: UUID
    status: ExecutionStatus
    workflow_id: UUID
    workflow_version: int
    trigger_type: TriggerType
    environment: Environment
    priority: str
    tags: list[str]
    run_at: UtcTime | None
    created_at: UtcTime


class AgentTest(Body):
    """What an agent is tried out with."""

    model_config = ConfigDict(json_schema_extra={"examples": [{"input": {"city": "Lisbon", "days": 3}}]})

    input: JsonObject = Field(default_factory=dict, description="checked against the agent's `inputSchema`")


class StepPreview(Body):
    """Which step's table is to be seen."""

    path: str = Field(max_length=1_000, description="the step's path; that of its newest attempt is shown")


class StepPreviewView(View):
    """The first rows of a step's table; while `status` is PENDING or RUNNING they are not there yet."""

    path: str
    execution_id: UUID | None = Field(description="the run that computes them; null where the record has them")
    status: ExecutionStatus
    schema_: dict[str, Any] | None = Field(alias="schema", description="column to type")
    preview: list[dict[str, Any]] | None = Field(description="at most 20 rows, long cells cut")
    error: dict[str, Any] | None


class WorkflowSummary(View):
    """The workflow of an execution; its name as it is now."""

    id: UUID
    name: str
    slug: str


class UsageView(View):
    """Tokens and USD. `totalCost` is null when a model's price is unknown; percents are null without a limit."""

    prompt_tokens: int
    completion_tokens: int
    total_cost: float | None
    percent_of_token_limit: float | None
    percent_of_cost_limit: float | None
    exceeded: Literal["tokens", "cost"] | None


class LogView(View):
    """A log line; `seq` orders lines and events of one execution."""

    id: UUID
    seq: int
    level: LogLevel
    message: str
    step_key: str | None
    step_run_id: UUID | None
    metadata: dict[str, Any]
    timestamp: UtcTime


class AgentTestView(View):
    """How the test of an agent went; while `status` is PENDING or RUNNING the rest is not there yet.

    `output` is `{outputRef, bytes}` where it is too large for an answer. Of the log these are the first 500 lines.
    """

    execution_id: UUID = Field(description="the test is an execution like any other: `GET /executions/{id}`")
    status: ExecutionStatus
    output: Any
    error: dict[str, Any] | None
    logs: list[LogView]
    usage: UsageView
    sandbox: str | None = Field(description="where its code ran; `unsafe-local` is no sandbox at all")
    duration_ms: int | None


class ExecutionRow(View):
    """An execution in a list. `queueMs` is from when it could start to when it did."""

    id: UUID
    workflow_id: UUID | None
    workflow: WorkflowSummary | None
    workflow_version: int | None
    agent_id: UUID | None
    user_id: UUID | None
    retry_of: UUID | None
    parent_execution_id: UUID | None
    status: ExecutionStatus
    trigger_type: TriggerType
    environment: Environment
    priority: str
    tags: list[str]
    error: dict[str, Any] | None
    steps_total: int
    steps_completed: int
    steps_failed: int
    steps_skipped: int
    queued_at: UtcTime
    started_at: UtcTime | None
    completed_at: UtcTime | None
    queue_ms: int | None
    duration_ms: int | None
    usage: UsageView
    request_id: str | None
    prefect_flow_run_id: UUID | None
    prefect_url: str | None
    created_at: UtcTime
    updated_at: UtcTime


class WaitView(View):
    """What an execution, or a run nested in it, waits for.

    An `approval` or an `input` is answered with `path` at `POST /executions/{executionId}/resume`. The outer execution
    takes the answer too: `path`, or where several end so the path of the nested run's step, a dot, and `path`.
    """

    execution_id: UUID = Field(description="the execution that waits: this one, or one nested in it")
    path: str
    kind: WaitKind
    message: str | None
    form: dict[str, Any] | None = Field(alias="schema", description="JSON Schema of the data that an `input` wants")
    assignees: list[str] = Field(description="ids of users and roles that may answer; empty: who may run workflows")
    due_at: UtcTime | None
    requested_at: UtcTime


class ExecutionView(ExecutionRow):
    """An execution with what went in and what came out, and what it waits for."""

    inputs: dict[str, Any]
    outputs: Any
    waits: list[WaitView]


class ExecutionResume(Body):
    """An answer to a WAIT step: `approved` to an approval, `data` to an input."""

    path: Annotated[str, Field(min_length=1, max_length=2_000, description="a bare key where only one step has it")]
    approved: StrictBool | None = None
    data: Any = Field(default=None, description="checked against the form's schema; its defaults are applied")
    comment: Annotated[str | None, Field(max_length=10_000)] = None


class ExecutionResumed(View):
    """The wait that was answered."""

    execution_id: UUID
    path: str
    kind: WaitKind
    answered_at: UtcTime


class ExecutionRetry(Body):
    """How a run is to go on. Steps that have finished keep their results; without anything only the rest runs."""

    from_step: Annotated[
        str | None,
        Field(min_length=1, max_length=2_000, description="a path, or a bare key where only one step has it"),
    ] = None
    inputs: Annotated[
        JsonObject | None, Field(description="other inputs: every step runs again, or those from `fromStep` on")
    ] = None
    workflow_version: Annotated[
        Annotated[int, Field(ge=1, le=2_147_483_647)] | Literal["latest"] | None,
        Field(description="another version of the workflow; the one that ran when left out"),
    ] = None


class ExecutionRetried(ExecutionStarted):
    """The new execution. `reusedSteps` are the records that it took over; `GET …/steps` shows them."""

    retry_of: UUID
    reused_steps: int


class RefusedRetry(View):
    """A run that was not retried: the code and message that a retry of it alone is refused with."""

    execution_id: UUID
    code: str
    message: str


class ExecutionsRetried(View):
    """What the call has started and what it could not. `left` runs fit the filters beyond the 100 of one call."""

    started: list[ExecutionRetried]
    refused: list[RefusedRetry]
    left: int


class ExecutionCancelled(View):
    """A run whose end was asked for. One that is RUNNING still is CANCELLED within 5 seconds."""

    execution_id: UUID
    status: ExecutionStatus
    cancel_requested_at: UtcTime


class StepUsage(View):
    """Tokens and USD of one attempt, and the sandbox in which code ran for it; `unsafe-local` is none at all."""

    prompt_tokens: int
    completion_tokens: int
    total_cost: float | None
    sandbox: str | None


class NestedUsage(View):
    """Tokens and USD of what a tool runs."""

    prompt_tokens: int
    completion_tokens: int
    total_cost: float | None


class CallView(View):
    """One call of a model or a tool. What the calls of a step used adds up to the step's `usage`.

    OTHERS is all calls beyond the first hundred. A step that runs a workflow has none: they are in the nested run.
    """

    number: int
    kind: CallKind
    status: CallStatus = Field(description="SKIPPED: not made; LOST: its process died, the tokens are what it had read")
    agent_id: str = Field(description="whose call it is: the step's agent's, or that of one which it calls as a tool")
    depth: int = Field(description="0 for the step's own agent, 1 for its tools, and so on")
    started_at: UtcTime | None
    duration_ms: int | None
    provider: str | None
    model: str | None = Field(description="that was asked at that provider")
    prompt_tokens: int
    completion_tokens: int
    cached_tokens: int = Field(description="of the prompt's, read from the provider's cache")
    cost: float | None = Field(description="USD; null with the reason in `unpriced`")
    unpriced: str | None = Field(description="why the cost is not known")
    is_estimate: bool = Field(description="whether the provider has not said, believably, how many tokens it were")
    finish_reason: str | None
    tool: str | None = Field(description="by the name that the model used")
    tool_agent_id: str | None = Field(description="the agent behind it")
    arguments: str | None = Field(description="their first 300 characters")
    argument_bytes: int | None
    nested: NestedUsage | None = Field(description="what the models behind a tool used, whose calls are listed too")
    code: str | None
    reason: str | None = Field(description="why it failed, or was not made")
    calls: int = Field(description="how many this stands for: 1 but for OTHERS")


class StepRunView(View):
    """One attempt of a step. A large output is not inline: `outputRef` says where it is, `preview` what it is like."""

    id: UUID
    step_key: str
    path: str
    attempt: int
    status: StepStatus
    input: Any
    output: Any
    output_ref: str | None
    reused_from: Annotated[UUID | None, Field(description="the step run of an earlier execution whose result it is")]
    preview: Any
    error: dict[str, Any] | None
    usage: StepUsage
    calls: list[CallView] = Field(description="of models and tools, in the order in which they began")
    started_at: UtcTime | None
    completed_at: UtcTime | None
    duration_ms: int | None
