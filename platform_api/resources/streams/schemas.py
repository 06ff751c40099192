"""The events of an execution's stream, and the token that opens one."""

from typing import Annotated, Any, Literal
from uuid import UUID

from pydantic import Field, GetJsonSchemaHandler, RootModel
from pydantic.json_schema import JsonSchemaValue
from pydantic_core import CoreSchema

from flows.states import ExecutionStatus, StepStatus
from platform_api.db.enums import LogLevel
from platform_api.kit.schemas import UtcTime, View


class StreamTokenView(View):
    """A token for `?token=` of one execution's stream. A stream that is open when it ends goes on."""

    token: str
    expires_at: UtcTime


class _News(View):
    execution_id: UUID


class _Numbered(_News):
    seq: int = Field(description="number in the execution's one order of events and log lines; also the event's id")
    timestamp: UtcTime


class ExecutionStatusNews(_Numbered):
    """Where the run stands now. After a final status the stream ends."""

    status: ExecutionStatus
    error: dict[str, Any] | None = None


class StepStatusNews(_Numbered):
    """Where an attempt of a step stands now."""

    step_key: str
    path: str
    attempt: int
    status: StepStatus
    error: dict[str, Any] | None = None
    duration_ms: int | None = None


class LogNews(_Numbered):
    """A line of the log."""

    id: UUID
    level: LogLevel
    message: str
    step_key: str | None
    step_run_id: UUID | None
    metadata: dict[str, Any]


class ProgressNews(_Numbered):
    """How far a loop is; `total` is null where that is not known."""

    path: str
    done: int
    total: int | None


class ApprovalRequestedNews(_Numbered):
    """A WAIT step asks for an answer."""

    step_key: str
    path: str
    kind: str
    message: str | None
    schema_: dict[str, Any] | None = Field(alias="schema", description="JSON Schema of the answer")
    due_at: UtcTime | None


class TokenNews(_News):
    """A piece of a model's answer. Told live only: the whole is the step's output."""

    step_key: str
    path: str
    text: str


class _JsonText:
    """Says in the document that a `data:` line is a text which holds JSON."""

    def __get_pydantic_json_schema__(self, core: CoreSchema, handler: GetJsonSchemaHandler) -> JsonSchemaValue:
        return {"type": "string", "contentMediaType": "application/json", "contentSchema": handler(core)}


_JSON_TEXT = _JsonText()


class ExecutionStatusEvent(View):
    """`event: execution.status`."""

    event: Literal["execution.status"]
    data: Annotated[ExecutionStatusNews, _JSON_TEXT]


class StepStatusEvent(View):
    """`event: step.status`."""

    event: Literal["step.status"]
    data: Annotated[StepStatusNews, _JSON_TEXT]


class LogEvent(View):
    """`event: log`."""

    event: Literal["log"]
    data: Annotated[LogNews, _JSON_TEXT]


class TokenEvent(View):
    """`event: token`."""

    event: Literal["token"]
    data: Annotated[TokenNews, _JSON_TEXT]


class ProgressEvent(View):
    """`event: progress`."""

    event: Literal["progress"]
    data: Annotated[ProgressNews, _JSON_TEXT]


class ApprovalRequestedEvent(View):
    """`event: approval.requested`."""

    event: Literal["approval.requested"]
    data: Annotated[ApprovalRequestedNews, _JSON_TEXT]


class StreamEvent(
    RootModel[
        Annotated[
            ExecutionStatusEvent | StepStatusEvent | LogEvent | TokenEvent | ProgressEvent | ApprovalRequestedEvent,
            Field(discriminator="event"),
        ]
    ]
):
    """One event of the stream: its `event:` line, and its `data:` line as JSON."""
