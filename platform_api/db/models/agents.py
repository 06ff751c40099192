"""Agents and their versions."""

from typing import Any, ClassVar
from uuid import UUID

from sqlalchemy import Index

from agents.spec import AgentType
from platform_api.db.enums import ResourceStatus
from platform_api.db.models.base import Changeable, TenantRow
from platform_api.db.models.columns import LIVING, choice, flag, json_object, json_value, reference, strings


class Agent(Changeable, TenantRow, table=True):
    """What does one kind of work. `parent_id` names the agent that it was duplicated from."""

    __tablename__ = "agents"
    __table_args__: ClassVar[Any] = (
        Index("ix_agents_tags", "tags", postgresql_using="gin"),
        Index("ix_agents_name", "name", postgresql_using="gin", postgresql_ops={"name": "gin_trgm_ops"}),
        Index(
            "ix_agents_description",
            "description",
            postgresql_using="gin",
            postgresql_ops={"description": "gin_trgm_ops"},
        ),
        Index(None, "created_at"),
        Index(None, "tenant_id", "created_at", "id", postgresql_where=LIVING),  # has lists in their usual order
        Index(None, "tenant_id", "is_public", "user_id", postgresql_where=LIVING),  # counts them for every caller
    )

    user_id: UUID = reference("users.id", "RESTRICT")
    project_id: UUID | None = reference("projects.id", "SET NULL")
    parent_id: UUID | None = reference("agents.id", "SET NULL")
    name: str
    description: str | None = None
    type: AgentType = choice(AgentType, "agent_type", index=True)
    status: ResourceStatus = choice(ResourceStatus, "resource_status", ResourceStatus.DRAFT, index=True)
    config: dict[str, Any] = json_object()
    input_schema: dict[str, Any] | None = json_value()
    output_schema: dict[str, Any] | None = json_value()
    limits: dict[str, Any] = json_object()
    tags: list[str] = strings()
    is_public: bool = flag(False, index=True)
    metrics: dict[str, Any] = json_object()


class AgentVersion(TenantRow, table=True):
    """An agent as it was at one version. The database refuses UPDATE."""

    __tablename__ = "agent_versions"
    __table_args__: ClassVar[Any] = (Index("uq_agent_versions_agent_id_version", "agent_id", "version", unique=True),)

    agent_id: UUID = reference("agents.id", "CASCADE", index=False)
    version: int
    snapshot: dict[str, Any] = json_object()
    created_by: UUID | None = reference("users.id", "RESTRICT")
