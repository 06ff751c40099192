"""Workflows, their steps and their versions."""

from typing import Any, ClassVar
from uuid import UUID

from sqlalchemy import Index

from flows.spec import StepType
from flows.states import OnError
from platform_api.db.enums import ResourceStatus
from platform_api.db.models.base import Changeable, TenantRow
from platform_api.db.models.columns import (
    LIVING,
    choice,
    count,
    flag,
    json_as_written,
    json_object,
    json_value,
    reference,
    strings,
)


class Workflow(Changeable, TenantRow, table=True):
    """A graph of steps. `prefect_deployment_ids` maps environment to the id of its Prefect deployment."""

    __tablename__ = "workflows"
    __table_args__: ClassVar[Any] = (
        Index("uq_workflows_tenant_id_slug", "tenant_id", "slug", unique=True, postgresql_where=LIVING),
        Index("ix_workflows_tags", "tags", postgresql_using="gin"),
        Index("ix_workflows_name", "name", postgresql_using="gin", postgresql_ops={"name": "gin_trgm_ops"}),
        Index(None, "created_at"),
        Index(None, "tenant_id", "created_at"),
    )

    user_id: UUID = reference("users.id", "RESTRICT")
    project_id: UUID | None = reference("projects.id", "SET NULL")
    parent_id: UUID | None = reference("workflows.id", "SET NULL")
    name: str
    slug: str
    description: str | None = None
    status: ResourceStatus = choice(ResourceStatus, "resource_status", ResourceStatus.DRAFT, index=True)
    input_schema: dict[str, Any] | None = json_as_written()
    output: Any | None = json_value()
    limits: dict[str, Any] = json_object()
    schedule_enabled: bool = flag(False, index=True)
    schedule_cron: str | None = None
    schedule_interval_seconds: int | None = None
    schedule_timezone: str | None = None
    event_types: list[str] = strings()
    is_public: bool = flag(False)
    tags: list[str] = strings()
    prefect_deployment_ids: dict[str, Any] = json_object()


class WorkflowStep(TenantRow, table=True):
    """One step of a workflow's newest definition, at whatever depth; changed, deleted and versioned with its workflow.

    `parent_step_key` is the path of the body that it stands in (`each`, `both.left`), None for the outermost; the
    `config` of a container is without what is inside it.
    """

    __tablename__ = "workflow_steps"
    __table_args__: ClassVar[Any] = (
        Index(
            "uq_workflow_steps_workflow_id_parent_step_key_step_key",
            "workflow_id",
            "parent_step_key",
            "step_key",
            unique=True,
            postgresql_nulls_not_distinct=True,
        ),
        Index(None, "position"),
    )

    workflow_id: UUID = reference("workflows.id", "CASCADE", index=False)
    step_key: str
    parent_step_key: str | None = None
    name: str
    type: StepType = choice(StepType, "step_type", StepType.AGENT)
    agent_id: UUID | None = reference("agents.id", "RESTRICT")
    config: dict[str, Any] = json_object()
    inputs: dict[str, Any] = json_object()
    depends_on: list[str] = strings()
    position: int = count()
    on_error: OnError = choice(OnError, "on_error", OnError.FAIL)
    retry: dict[str, Any] | None = json_value()
    timeout_seconds: float | None = None


class WorkflowVersion(TenantRow, table=True):
    """A workflow's definition as it was at one version. The database refuses UPDATE."""

    __tablename__ = "workflow_versions"
    __table_args__: ClassVar[Any] = (
        Index("uq_workflow_versions_workflow_id_version", "workflow_id", "version", unique=True),
    )

    workflow_id: UUID = reference("workflows.id", "CASCADE", index=False)
    version: int
    definition: dict[str, Any] = json_object()
    created_by: UUID | None = reference("users.id", "RESTRICT")
