"""What lists of executions and of log lines are narrowed to."""

from uuid import UUID

from pydantic import AwareDatetime, Field

from flows.states import ExecutionStatus, TriggerType
from platform_api.db.enums import LogLevel
from platform_api.kit.fields import Search
from platform_api.kit.filters import Filters, Several


class HistoryFilters(Filters):
    """Executions by how and when they ran; several statuses or triggers are alternatives."""

    status: Several[ExecutionStatus] = ()
    trigger_type: Several[TriggerType] = ()
    since: AwareDatetime | None = Field(default=None, alias="from", description="earliest time of creation")
    until: AwareDatetime | None = Field(default=None, alias="to", description="time of creation before which")


class ExecutionFilters(HistoryFilters):
    """The same over all workflows."""

    workflow_id: UUID | None = None
    parent_execution_id: UUID | None = Field(default=None, description="runs nested in this one, directly")


class LogFilters(Filters):
    """Log lines of at least `level`, of one step (its key or its path), from a time on."""

    level: LogLevel | None = Field(default=None, description="this level and what is graver")
    step_key: Search | None = None
    since: AwareDatetime | None = None
