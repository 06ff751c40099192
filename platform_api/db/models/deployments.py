"""What runs in which environment."""

from datetime import datetime
from typing import Any, ClassVar
from uuid import UUID

from sqlalchemy import CheckConstraint

from flows.states import Environment
from platform_api.db.enums import DeploymentStatus, HealthStatus
from platform_api.db.models.base import Changeable, TenantRow
from platform_api.db.models.columns import choice, flag, instant, json_object, reference


class Deployment(Changeable, TenantRow, table=True):
    """A workflow or an agent (exactly one) in an environment. `env_vars` is encrypted."""

    __tablename__ = "deployments"
    __table_args__: ClassVar[Any] = (CheckConstraint("num_nonnulls(workflow_id, agent_id) = 1", name="one_target"),)

    user_id: UUID = reference("users.id", "RESTRICT")
    workflow_id: UUID | None = reference("workflows.id", "CASCADE")
    agent_id: UUID | None = reference("agents.id", "CASCADE")
    name: str
    environment: Environment = choice(Environment, "environment", Environment.DEVELOPMENT, index=True)
    status: DeploymentStatus = choice(DeploymentStatus, "deployment_status", DeploymentStatus.STOPPED, index=True)
    health_status: HealthStatus = choice(HealthStatus, "health_status", HealthStatus.UNKNOWN)
    config: dict[str, Any] = json_object()
    env_vars: bytes | None = None
    schedule_enabled: bool = flag(False)
    schedule_cron: str | None = None
    schedule_interval_seconds: int | None = None
    schedule_timezone: str | None = None
    concurrency_limit: int | None = None
    last_deployed_at: datetime | None = instant()
    status_reason: str | None = None
    prefect_deployment_id: UUID | None = None
