"""All tables. `metadata` knows every one of them once this package is imported."""

from platform_api.db.models.agents import Agent, AgentVersion
from platform_api.db.models.api_keys import ApiKey
from platform_api.db.models.audit_logs import AuditLog
from platform_api.db.models.base import Changeable, Row, TenantRow, metadata
from platform_api.db.models.budgets import BudgetLease, Charge
from platform_api.db.models.deployments import Deployment
from platform_api.db.models.execution_records import Artifact, ExecutionEvent, ExecutionLog
from platform_api.db.models.executions import Execution, StepRun, StepWait
from platform_api.db.models.idempotency_keys import IdempotencyKey
from platform_api.db.models.llm_providers import LlmProvider
from platform_api.db.models.projects import KeyCheck, Project, Secret
from platform_api.db.models.sessions import OneTimeToken, UserSession
from platform_api.db.models.templates import Template
from platform_api.db.models.tenants import Invitation, Membership, Tenant
from platform_api.db.models.users import PROFILE, User
from platform_api.db.models.webhooks import Webhook
from platform_api.db.models.workers import Worker
from platform_api.db.models.workflows import Workflow, WorkflowStep, WorkflowVersion

__all__ = [
    "PROFILE",
    "Agent",
    "AgentVersion",
    "ApiKey",
    "Artifact",
    "AuditLog",
    "BudgetLease",
    "Changeable",
    "Charge",
    "Deployment",
    "Execution",
    "ExecutionEvent",
    "ExecutionLog",
    "IdempotencyKey",
    "Invitation",
    "KeyCheck",
    "LlmProvider",
    "Membership",
    "OneTimeToken",
    "Project",
    "Row",
    "Secret",
    "StepRun",
    "StepWait",
    "Template",
    "Tenant",
    "TenantRow",
    "User",
    "UserSession",
    "Webhook",
    "Worker",
    "Workflow",
    "WorkflowStep",
    "WorkflowVersion",
    "metadata",
]
