"""What clients send and get about workflows."""

from enum import StrEnum
from typing import Any, Literal
from uuid import UUID

from pydantic import Field, GetJsonSchemaHandler, RootModel
from pydantic.json_schema import JsonSchemaValue
from pydantic_core import CoreSchema

from agents.spec import AgentType
from flows.spec import Schedule, StepSpec, StepType, WorkflowLimits
from flows.states import StepStatus
from platform_api.db.enums import ResourceStatus
from platform_api.kit.fields import Description, JsonObject, Name, Tags, Version
from platform_api.kit.schemas import Body, UtcTime, View


class WorkflowHead(Body):
    """What describes a workflow, beside what it does. A change takes only the fields that were sent."""

    name: Name = Field(default_factory=str)
    description: Description | None = None
    tags: Tags = Field(default_factory=list)
    is_public: bool = Field(default_factory=bool)
    project_id: UUID | None = None
    schedule: Schedule | None = None
    status: ResourceStatus | None = None
    version: Version | None = None


class WorkflowWhole(WorkflowHead):
    """The same for a whole workflow: its name is needed."""

    name: Name


class _Definition(Body):
    input_schema: JsonObject | None = Field(default=None, description="JSON Schema 2020-12; defaults are applied")
    limits: WorkflowLimits = Field(default_factory=WorkflowLimits)
    steps: list[StepSpec] = Field(default_factory=list)
    output: Any = Field(
        default=None, description="template over the steps' outputs; by default those of the last steps"
    )


class WorkflowCopy(Body):
    """What a duplicate is called."""

    name: Name | None = Field(default=None, description="the source's with “(copy)” behind it when left out")


class WorkflowShape(_Definition):
    """A whole workflow, as the document shows it."""

    name: Name
    description: Description | None = None
    tags: Tags = Field(default_factory=list)
    is_public: bool = False
    project_id: UUID | None = Field(default=None, description="the project that it belongs to")
    schedule: Schedule | None = None
    status: ResourceStatus | None = Field(default=None, description="DRAFT or ACTIVE at first")
    version: Version | None = None


class WorkflowChangeShape(_Definition, WorkflowHead):
    """Any part of a workflow, as the document shows it; what is left out stays."""


class WorkflowDocument(RootModel[dict[str, Any]]):
    """A workflow as it was sent. It is checked as a whole, so that all problems are reported together."""

    @classmethod
    def __get_pydantic_json_schema__(cls, schema: CoreSchema, handler: GetJsonSchemaHandler) -> JsonSchemaValue:
        """Shows the shape that the checks will hold it against."""
        return handler(WorkflowShape.__pydantic_core_schema__)


class WorkflowChange(RootModel[dict[str, Any]]):
    """A change of a workflow as it was sent."""

    @classmethod
    def __get_pydantic_json_schema__(cls, schema: CoreSchema, handler: GetJsonSchemaHandler) -> JsonSchemaValue:
        """Shows the shape that the checks will hold it against."""
        return handler(WorkflowChangeShape.__pydantic_core_schema__)


class ScheduleView(View):
    """When a workflow starts by itself."""

    cron: str | None
    interval_seconds: int | None
    timezone: str
    enabled: bool


class WorkflowView(View):
    """A workflow without its steps."""

    id: UUID
    user_id: UUID
    project_id: UUID | None
    parent_id: UUID | None = Field(description="the workflow that this one was duplicated from")
    name: str
    slug: str
    description: str | None
    status: ResourceStatus
    tags: list[str]
    is_public: bool
    input_schema: dict[str, Any] | None
    output: Any
    limits: dict[str, Any]
    schedule: ScheduleView | None
    version: int
    created_at: UtcTime
    updated_at: UtcTime


class AgentSummary(View):
    """The agent of a step."""

    id: UUID
    name: str
    type: AgentType
    status: ResourceStatus
    version: int


class StepView(StepSpec):
    """A step as it was written, with its agent."""

    agent: AgentSummary | None


class WorkflowDetail(WorkflowView):
    """A workflow with its steps."""

    steps: list[StepView]


class WorkflowVersionView(View):
    """One frozen version of a workflow."""

    id: UUID
    workflow_id: UUID
    version: int
    definition: dict[str, Any]
    created_by: UUID | None
    created_at: UtcTime


class GraphFormat(StrEnum):
    """Nodes and edges for a canvas, a text diagram, a picture."""

    JSON = "json"
    MERMAID = "mermaid"
    SVG = "svg"


class PositionView(View):
    """Where a node's upper left corner lies, in pixels; nodes are 200 wide and 56 high."""

    x: float
    y: float


class NodeView(View):
    """A step; `status` is that of the execution that was asked for."""

    id: str = Field(description="the step's key")
    type: StepType
    name: str
    position: PositionView
    status: StepStatus | None
    nested: int = Field(description="how many steps are inside a LOOP or PARALLEL, at whatever depth")


class EdgeView(View):
    """`target` waits for `source`; `kind` says where `source` names it."""

    source: str
    target: str
    kind: Literal["dependency", "then", "else", "case", "default", "fallback"]
    label: str | None = Field(description="for people: `then`, `case 0`; null of a plain dependency")


class GraphView(View):
    """A workflow as a canvas wants it."""

    nodes: list[NodeView]
    edges: list[EdgeView]


class ProblemView(View):
    """One thing wrong: where, which rule, what to change."""

    path: str
    code: str
    message: str


class ExecutionPlan(View):
    """In which order a definition would run."""

    steps: list[str]
    stages: list[list[str]]
    nested: dict[str, list[list[str]]] = Field(description="stages of what is inside each LOOP and branch, by its path")


class ValidationView(View):
    """What is wrong with a definition, and what it would run when nothing is."""

    valid: bool
    problems: list[ProblemView]
    execution_plan: ExecutionPlan | None
