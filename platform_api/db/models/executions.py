"""The record of runs. Only the journal writes these tables' statuses."""

from datetime import datetime
from decimal import Decimal
from typing import Any, ClassVar
from uuid import UUID

from sqlalchemy import CheckConstraint, Index, text
from sqlmodel import Field

from flows.states import Environment, ExecutionStatus, StepStatus, TriggerType
from platform_api.db.models.base import TenantRow
from platform_api.db.models.columns import (
    big_count,
    choice,
    count,
    instant,
    json_list,
    json_object,
    json_value,
    money,
    reference,
    set_by_database,
    strings,
)

OPEN = text("status IN ('RUNNING', 'PAUSED')")
"""Condition of the index that finds what an agent is doing now."""

UNCLOSED = text("closed_at IS NULL")


class Execution(TenantRow, table=True):
    """One run of a workflow or an agent. `plan` is what it runs, fixed at its start.

    `last_seq` is the highest number given to an event or log line: a writer takes its numbers with
    `UPDATE … SET last_seq = last_seq + n RETURNING last_seq`. `submitted_at` is when Prefect had accepted the run.
    `cost` is NULL when the price of a model is unknown. `parent_path` is the step of the parent that runs it.
    `active_ms` is how long it ran before `resumed_at`, waits left out; `losses` how often its worker died. A suspended
    run goes on at `wake_at`, whatever it waits for: the time of something inside it is over then.
    """

    __tablename__ = "executions"
    __table_args__: ClassVar[Any] = (
        Index(
            "uq_executions_prefect_flow_run_id_prefect_run_count",
            "prefect_flow_run_id",
            "prefect_run_count",
            unique=True,
        ),
        Index(None, "workflow_id", "created_at"),
        Index(None, "tenant_id", "created_at"),
        Index(None, "tenant_id", "submitted_at"),  # counts the starts of a minute
        Index(None, "created_at"),
        CheckConstraint("priority IN ('high', 'default', 'low')", name="priority"),
    )

    workflow_id: UUID | None = reference("workflows.id", "SET NULL", index=False)
    workflow_version: int | None = None
    agent_id: UUID | None = reference("agents.id", "SET NULL")
    deployment_id: UUID | None = reference("deployments.id", "SET NULL")
    user_id: UUID | None = reference("users.id", "SET NULL")
    retry_of: UUID | None = reference("executions.id", "SET NULL")
    parent_execution_id: UUID | None = reference("executions.id", "SET NULL")
    parent_path: str | None = None
    depth: int = count()
    trigger_type: TriggerType = choice(TriggerType, "trigger_type", TriggerType.MANUAL)
    status: ExecutionStatus = choice(ExecutionStatus, "execution_status", ExecutionStatus.PENDING, index=True)
    environment: Environment = choice(Environment, "environment", Environment.DEVELOPMENT)
    priority: str = Field(default="default", sa_column_kwargs={"server_default": "default"})
    tags: list[str] = strings()
    plan: dict[str, Any] = json_object()
    inputs: dict[str, Any] = json_object()
    outputs: Any | None = json_value()
    error: dict[str, Any] | None = json_value()
    steps_total: int = count()
    steps_completed: int = count()
    steps_failed: int = count()
    steps_skipped: int = count()
    queued_at: datetime = set_by_database()
    submitted_at: datetime | None = instant()
    started_at: datetime | None = instant()
    completed_at: datetime | None = instant(index=True)
    cancel_requested_at: datetime | None = instant()
    suspended_at: datetime | None = instant()
    resumed_at: datetime | None = instant()
    wake_at: datetime | None = instant()
    active_ms: int = big_count()
    losses: int = count()
    duration_ms: int | None = None
    prompt_tokens: int = big_count()
    completion_tokens: int = big_count()
    cost: Decimal | None = money()
    request_id: str | None = None
    prefect_flow_run_id: UUID | None = None
    prefect_run_count: int | None = None
    last_seq: int = big_count()


class StepRun(TenantRow, table=True):
    """One attempt of a step. `path` is its place inside loops and branches (`each[3].fetch`), `agent_id` whom it ran.

    `output` is inline up to 64 KiB; what is larger lies in the result store under `output_ref`. `reused_from` is
    the step run of an earlier execution whose result a retry took over; it counts no usage of its own. `calls` are
    those of models and tools (`agents.calls`); what they have used adds up to what the step has.
    """

    __tablename__ = "step_runs"
    __table_args__: ClassVar[Any] = (
        Index("uq_step_runs_execution_id_path_attempt", "execution_id", "path", "attempt", unique=True),
        Index(None, "agent_id", "started_at"),
        Index("ix_step_runs_agent_id_open", "agent_id", postgresql_where=OPEN),
    )

    execution_id: UUID = reference("executions.id", "CASCADE", index=False)
    agent_id: UUID | None = reference("agents.id", "SET NULL", index=False)
    step_key: str
    path: str
    attempt: int = count(1)
    status: StepStatus = choice(StepStatus, "step_status", StepStatus.PENDING)
    input: Any | None = json_value()
    output: Any | None = json_value()
    output_ref: str | None = None
    reused_from: UUID | None = None
    preview: Any | None = json_value()
    error: dict[str, Any] | None = json_value()
    started_at: datetime | None = instant()
    completed_at: datetime | None = instant()
    duration_ms: int | None = None
    prompt_tokens: int = big_count()
    completion_tokens: int = big_count()
    cost: Decimal | None = money()
    calls: list[Any] = json_list()
    sandbox: str | None = None
    """Where the code of its agent ran, whatever came of it; None where none did."""


class StepWait(TenantRow, table=True):
    """What a WAIT step waits for, and what it got. Open while `closed_at` is NULL; answered at most once.

    `due_at` ends a duration and gives up the other kinds. `via` is REST, PREFECT or EVENT.
    """

    __tablename__ = "step_waits"
    __table_args__: ClassVar[Any] = (
        Index("ix_step_waits_execution_id_path", "execution_id", "path", unique=True),
        Index("ix_step_waits_due_at_open", "due_at", postgresql_where=UNCLOSED),
        Index("ix_step_waits_event_type_open", "tenant_id", "event_type", postgresql_where=UNCLOSED),
        CheckConstraint("kind IN ('duration', 'until', 'approval', 'input', 'event')", name="kind"),
        CheckConstraint("via IN ('REST', 'PREFECT', 'EVENT')", name="via"),
    )

    execution_id: UUID = reference("executions.id", "CASCADE", index=False)
    step_run_id: UUID = reference("step_runs.id", "CASCADE")
    path: str
    kind: str
    due_at: datetime | None = instant()
    message: str | None = None
    form: dict[str, Any] | None = json_value()
    assignees: list[str] = strings()
    event_type: str | None = None
    filter: str | None = None
    answer: dict[str, Any] | None = json_value()
    answered_at: datetime | None = instant()
    answered_by: UUID | None = reference("users.id", "SET NULL")
    via: str | None = None
    closed_at: datetime | None = instant()
