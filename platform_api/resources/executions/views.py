"""Rows as they are shown."""

from collections.abc import Callable, Iterable
from datetime import datetime
from decimal import Decimal
from typing import Any, Literal
from uuid import UUID

from agents.calls import Call
from flows.spec import WaitKind
from platform_api.db.models import Execution, ExecutionLog, StepRun, StepWait, Workflow
from platform_api.kit import clock
from platform_api.resources.executions.ages import AT_ONCE
from platform_api.resources.executions.schemas import (
    AgentTestView,
    CallView,
    ExecutionCancelled,
    ExecutionResumed,
    ExecutionRetried,
    ExecutionRow,
    ExecutionStarted,
    ExecutionView,
    LogView,
    NestedUsage,
    StepRunView,
    StepUsage,
    UsageView,
    WaitView,
    WorkflowSummary,
)

RunUrl = Callable[[UUID], str]
"""Where a person sees a flow run in the Prefect UI."""

_DERIVED = frozenset({"workflow", "queue_ms", "usage", "prefect_url", "waits"})


def started(execution: Execution) -> ExecutionStarted:
    """The answer to a start."""
    assert execution.workflow_id is not None
    assert execution.workflow_version is not None
    return ExecutionStarted(
        execution_id=execution.id,
        status=execution.status,
        workflow_id=execution.workflow_id,
        workflow_version=execution.workflow_version,
        trigger_type=execution.trigger_type,
        environment=execution.environment,
        priority=execution.priority,
        tags=execution.tags,
        run_at=due_at(execution),
        created_at=execution.created_at,
    )


def retried_view(execution: Execution, *, reused: int) -> ExecutionRetried:
    """The answer to a retry that has taken over so many records."""
    assert execution.retry_of is not None
    return ExecutionRetried(**dict(started(execution)), retry_of=execution.retry_of, reused_steps=reused)


def cancelled_view(execution: Execution) -> ExecutionCancelled:
    """The answer to a cancel."""
    assert execution.cancel_requested_at is not None
    return ExecutionCancelled(
        execution_id=execution.id, status=execution.status, cancel_requested_at=execution.cancel_requested_at
    )


def row_view(execution: Execution, workflow: Workflow | None, run_url: RunUrl) -> ExecutionRow:
    """An execution in a list; limits are part of the plan, which lists do not read."""
    return ExecutionRow(**_columns(ExecutionRow, execution), **_derived(execution, workflow, run_url, limits={}))


def full_view(
    execution: Execution, workflow: Workflow | None, run_url: RunUrl, waits: Iterable[StepWait]
) -> ExecutionView:
    """An execution with inputs, outputs, how much of its limits it used, and what it waits for."""
    limits = execution.plan.get("limits") or {}
    derived = _derived(execution, workflow, run_url, limits=limits)
    return ExecutionView(**_columns(ExecutionView, execution), **derived, waits=[wait_view(wait) for wait in waits])


def wait_view(wait: StepWait) -> WaitView:
    """What an execution waits for."""
    return WaitView(
        execution_id=wait.execution_id,
        path=wait.path,
        kind=WaitKind(wait.kind),
        message=wait.message,
        form=wait.form,
        assignees=wait.assignees,
        due_at=wait.due_at,
        requested_at=wait.created_at,
    )


def resumed_view(wait: StepWait) -> ExecutionResumed:
    """The wait that was answered."""
    assert wait.answered_at is not None
    return ExecutionResumed(
        execution_id=wait.execution_id, path=wait.path, kind=WaitKind(wait.kind), answered_at=wait.answered_at
    )


def step_view(step: StepRun) -> StepRunView:
    """One attempt of a step."""
    usage = StepUsage(
        prompt_tokens=step.prompt_tokens,
        completion_tokens=step.completion_tokens,
        total_cost=_usd(step.cost),
        sandbox=step.sandbox,
    )
    columns = {name: getattr(step, name) for name in StepRunView.model_fields if name not in ("usage", "calls")}
    return StepRunView(**columns, usage=usage, calls=[_call_view(Call.model_validate(each)) for each in step.calls])


def _call_view(call: Call) -> CallView:
    nested = call.nested
    usage = nested and NestedUsage(
        prompt_tokens=nested.prompt_tokens, completion_tokens=nested.completion_tokens, total_cost=_usd(nested.cost)
    )
    return CallView(**call.model_dump(exclude={"nested", "cost"}), nested=usage, cost=_usd(call.cost))


def log_view(line: ExecutionLog) -> LogView:
    """One log line."""
    return LogView(
        id=line.id,
        seq=line.seq,
        level=line.level,
        message=line.message,
        step_key=line.step_key,
        step_run_id=line.step_run_id,
        metadata=line.metadata_,
        timestamp=line.created_at,
    )


def tested_view(execution: Execution, lines: Iterable[ExecutionLog], sandbox: str | None) -> AgentTestView:
    """How the test of an agent went."""
    return AgentTestView(
        execution_id=execution.id,
        status=execution.status,
        output=execution.outputs,
        error=execution.error,
        logs=[log_view(line) for line in lines],
        usage=_usage(execution, execution.plan.get("limits") or {}),
        sandbox=sandbox,
        duration_ms=execution.duration_ms,
    )


def due_at(execution: Execution) -> datetime | None:
    """When the run may start, if it was accepted for later and that is still to come."""
    is_for_later = execution.queued_at > execution.created_at + AT_ONCE
    return execution.queued_at if is_for_later and execution.queued_at > clock.now() else None


def _columns(model: type[ExecutionRow], execution: Execution) -> dict[str, Any]:
    return {name: getattr(execution, name) for name in model.model_fields if name not in _DERIVED}


def _derived(
    execution: Execution, workflow: Workflow | None, run_url: RunUrl, *, limits: dict[str, Any]
) -> dict[str, Any]:
    run_id = execution.prefect_flow_run_id
    return {
        "workflow": WorkflowSummary.model_validate(workflow) if workflow else None,
        "queue_ms": _queue_ms(execution),
        "usage": _usage(execution, limits),
        "prefect_url": run_url(run_id) if run_id else None,
    }


def _queue_ms(execution: Execution) -> int | None:
    if execution.started_at is None:
        return None
    return max(0, round((execution.started_at - execution.queued_at).total_seconds() * 1000))


def _usage(execution: Execution, limits: dict[str, Any]) -> UsageView:
    tokens = execution.prompt_tokens + execution.completion_tokens
    of_tokens = _percent(tokens, limits.get("maxTokens"))
    of_cost = _percent(_usd(execution.cost), limits.get("maxCost"))
    return UsageView(
        prompt_tokens=execution.prompt_tokens,
        completion_tokens=execution.completion_tokens,
        total_cost=_usd(execution.cost),
        percent_of_token_limit=of_tokens,
        percent_of_cost_limit=of_cost,
        exceeded=_exceeded(of_tokens, of_cost),
    )


def _percent(used: float | None, limit: float | None) -> float | None:
    return round(100 * used / limit, 2) if used is not None and limit else None


def _exceeded(of_tokens: float | None, of_cost: float | None) -> Literal["tokens", "cost"] | None:
    if of_tokens is not None and of_tokens > 100:
        return "tokens"
    return "cost" if of_cost is not None and of_cost > 100 else None


def _usd(cost: Decimal | None) -> float | None:
    return None if cost is None else float(cost)
