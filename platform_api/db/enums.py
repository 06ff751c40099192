"""Enumerations that only the record knows; those of runs and agents live with `flows` and `agents`.

Members are stored by value, so the values are the labels of the PostgreSQL types.
"""

from enum import StrEnum


class PlatformRole(StrEnum):
    """Role of a user on the whole platform."""

    ADMIN = "ADMIN"
    USER = "USER"
    AGENT = "AGENT"


class TenantRole(StrEnum):
    """Role of a member inside one tenant."""

    OWNER = "OWNER"
    ADMIN = "ADMIN"
    EDITOR = "EDITOR"
    VIEWER = "VIEWER"


class TokenPurpose(StrEnum):
    """What a one-time token lets its bearer do."""

    RESET_PASSWORD = "RESET_PASSWORD"  # noqa: S105  # a purpose, not a password
    VERIFY_EMAIL = "VERIFY_EMAIL"


class ActorKind(StrEnum):
    """Who acted, as the audit log tells it."""

    USER = "user"
    KEY = "key"
    SYSTEM = "system"


class ResourceStatus(StrEnum):
    """Life of an agent or a workflow."""

    DRAFT = "DRAFT"
    ACTIVE = "ACTIVE"
    INACTIVE = "INACTIVE"
    ARCHIVED = "ARCHIVED"


class LogLevel(StrEnum):
    """Weight of a line in an execution's log."""

    DEBUG = "DEBUG"
    INFO = "INFO"
    WARN = "WARN"
    ERROR = "ERROR"
    FATAL = "FATAL"


class TemplateType(StrEnum):
    """What a template makes."""

    AGENT = "AGENT"
    WORKFLOW = "WORKFLOW"
    STEP = "STEP"


class DeploymentStatus(StrEnum):
    """What a deployment is doing."""

    STOPPED = "STOPPED"
    STARTING = "STARTING"
    RUNNING = "RUNNING"
    STOPPING = "STOPPING"
    FAILED = "FAILED"
    MAINTENANCE = "MAINTENANCE"


class HealthStatus(StrEnum):
    """How a deployment fares, from heartbeats and recent runs."""

    UNKNOWN = "UNKNOWN"
    HEALTHY = "HEALTHY"
    UNHEALTHY = "UNHEALTHY"
    DEGRADED = "DEGRADED"
