"""What clients send and get about agents."""

from enum import StrEnum
from typing import Any
from uuid import UUID

from pydantic import Field

from agents.spec import AgentType, Limits
from platform_api.db.enums import ResourceStatus
from platform_api.kit.fields import Description, JsonObject, Name, Tags, Version
from platform_api.kit.schemas import Body, UtcTime, View


class AgentCreate(Body):
    """A new agent; it starts as DRAFT, version 1."""

    name: Name
    description: Description | None = None
    type: AgentType
    config: JsonObject = Field(description="what the agent does, in the form of its type")
    input_schema: JsonObject | None = Field(default=None, description="JSON Schema 2020-12 of the inputs")
    output_schema: JsonObject | None = Field(default=None, description="JSON Schema 2020-12 of the output")
    tags: Tags = Field(default_factory=list)
    is_public: bool = Field(default=False, description="whether every member of the tenant reads and uses it")
    limits: Limits = Field(default_factory=Limits)
    project_id: UUID | None = Field(default=None, description="the project that it belongs to")


class AgentReplace(AgentCreate):
    """The whole of an agent: what is left out falls back to its default. Status stays unless it is named."""

    status: ResourceStatus | None = None
    version: Version | None = None


class AgentUpdate(Body):
    """Changes to an agent: what is left out stays. The defaults below are never stored."""

    name: Name = Field(default_factory=str)
    description: Description | None = None
    type: AgentType | None = Field(default=None, description="cannot change; accepted when it is the same")
    config: JsonObject = Field(default_factory=dict)
    input_schema: JsonObject | None = None
    output_schema: JsonObject | None = None
    tags: Tags = Field(default_factory=list)
    is_public: bool = Field(default_factory=bool)
    limits: Limits = Field(default_factory=Limits)
    project_id: UUID | None = None
    status: ResourceStatus | None = None
    version: Version | None = None


class AgentCopy(Body):
    """What a duplicate is called."""

    name: Name | None = Field(default=None, description="the source's with “(copy)” behind it when left out")


class AgentSnapshot(View):
    """What a version of an agent freezes."""

    name: str
    description: str | None
    type: AgentType
    status: ResourceStatus
    config: dict[str, Any]
    input_schema: dict[str, Any] | None
    output_schema: dict[str, Any] | None
    limits: dict[str, Any]
    tags: list[str]
    is_public: bool
    project_id: UUID | None = None


class RuntimeState(StrEnum):
    """What an agent is doing: a step of it runs, a run of it waits, it may not run (not ACTIVE), or none of these."""

    RUNNING = "running"
    PAUSED = "paused"
    STOPPED = "stopped"
    IDLE = "idle"


class AgentHealth(View):
    """How an agent's newest runs went: up to 100 attempts of steps that completed, failed or ran out of time."""

    runs: int = Field(description="how many attempts the figures are made of")
    success_rate: float | None = Field(description="share that completed, from 0 to 1; null without a run")
    last_run_at: UtcTime | None = Field(description="when the newest of them started")
    mean_duration_ms: int | None
    consecutive_failures: int = Field(description="failures since the newest success")


class AgentView(AgentSnapshot):
    """An agent as it stands; `runtimeState` and `health` are derived from its runs when it is read."""

    id: UUID
    user_id: UUID | None
    parent_id: UUID | None = Field(description="the agent that this one was duplicated from")
    version: int
    runtime_state: RuntimeState
    health: AgentHealth
    created_at: UtcTime
    updated_at: UtcTime


class AgentVersionView(View):
    """One frozen version of an agent."""

    id: UUID
    agent_id: UUID
    version: int
    snapshot: dict[str, Any]
    created_by: UUID | None
    created_at: UtcTime
