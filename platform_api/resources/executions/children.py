"""Nested runs: each WORKFLOW step has an execution of its own, linked to its parent's and to the step's path."""

from typing import Any
from uuid import UUID

from sqlalchemy import select
from sqlalchemy.orm import defer
from sqlmodel import col

from agents.result import Usage
from flows.plan import Plan
from flows.runtime.ports import Run, StepAttempt
from flows.states import OPEN, ExecutionStatus
from platform_api.db.models import Execution, ExecutionEvent
from platform_api.kit import clock
from platform_api.kit.ids import new_id
from platform_api.resources.executions.lineage import go_on_from
from platform_api.resources.executions.past import load_past
from platform_api.resources.executions.record import Record

LONGEST_LINEAGE = 50
"""Retries of retries that are gone back through."""


async def open_child(record: Record, attempt: StepAttempt, plan: Plan, inputs: dict[str, Any]) -> Run:
    """The child that `attempt` runs; `record` is the parent's. One that was interrupted has its past with it."""
    await record.flush()
    row = await _newest(record, record.row.id, attempt.path, OPEN)
    if row is None:
        row = _row(await _parent(record), attempt, plan, inputs)
        record.session.add(row)
        await record.session.flush()
        record.session.add(_admission(row))
        await _go_on_with_earlier(record, row, plan)
    kept = Plan.model_validate(row.plan)
    return Run(
        execution_id=row.id,
        plan=kept,
        inputs=row.inputs,
        environment=row.environment,
        trigger_type=row.trigger_type,
        request_id=row.request_id,
        past=await load_past(record.session, row.id, kept),
        active_seconds=row.active_ms / 1000,
        usage=Usage(prompt_tokens=row.prompt_tokens, completion_tokens=row.completion_tokens, cost=row.cost),
        depth=row.depth,
    )


async def _go_on_with_earlier(record: Record, row: Execution, plan: Plan) -> None:
    """In a retry the nested run goes on from that of the run before, unless that is repeated as a whole."""
    earlier = await _earlier(record, row)
    if earlier is None or earlier.status is ExecutionStatus.COMPLETED or earlier.inputs != row.inputs:
        return
    row.retry_of = earlier.id
    await record.session.flush()
    child = await record.beside(row.id)
    await go_on_from(child, earlier.id, Plan.model_validate(earlier.plan), plan)
    await child.close()
    await record.session.refresh(row)


async def _earlier(record: Record, row: Execution) -> Execution | None:
    """What the nearest run of the parent's lineage has run at the same place."""
    assert row.parent_execution_id is not None
    assert row.parent_path is not None
    parent: UUID | None = row.parent_execution_id
    for _ in range(LONGEST_LINEAGE):
        before = select(col(Execution.retry_of)).where(col(Execution.id) == parent)
        parent = (await record.session.execute(before)).scalar_one_or_none()
        found = await _newest(record, parent, row.parent_path, frozenset(ExecutionStatus)) if parent else None
        if parent is None or found is not None:
            return found
    return None


async def _newest(record: Record, parent_id: UUID, path: str, statuses: frozenset[ExecutionStatus]) -> Execution | None:
    mine = (col(Execution.parent_execution_id) == parent_id, col(Execution.parent_path) == path)
    statement = select(Execution).where(*mine, col(Execution.status).in_(statuses))
    found = await record.session.execute(statement.order_by(col(Execution.id).desc()).limit(1))
    return found.scalar_one_or_none()


async def _parent(record: Record) -> Execution:
    light = (defer(column, raiseload=True) for column in (Execution.plan, Execution.inputs, Execution.outputs))  # type: ignore[arg-type]
    return await record.session.get_one(Execution, record.row.id, options=tuple(light))


def _row(parent: Execution, attempt: StepAttempt, plan: Plan, inputs: dict[str, Any]) -> Execution:
    """It counts as submitted, since nobody but its parent's process ever runs it."""
    now = clock.now()
    return Execution(
        id=new_id(),
        tenant_id=parent.tenant_id,
        workflow_id=UUID(plan.workflow.id),
        workflow_version=plan.workflow.version,
        user_id=parent.user_id,
        parent_execution_id=parent.id,
        parent_path=attempt.path,
        depth=parent.depth + 1,
        trigger_type=parent.trigger_type,
        status=ExecutionStatus.PENDING,
        environment=parent.environment,
        priority=parent.priority,
        tags=parent.tags,
        plan=plan.model_dump(mode="json", by_alias=True),
        inputs=inputs,
        steps_total=len(plan.steps),
        queued_at=now,
        submitted_at=now,
        request_id=parent.request_id,
        last_seq=1,
    )


def _admission(row: Execution) -> ExecutionEvent:
    payload = {"status": row.status.value}
    return ExecutionEvent(tenant_id=row.tenant_id, execution_id=row.id, seq=1, type="execution.status", payload=payload)
