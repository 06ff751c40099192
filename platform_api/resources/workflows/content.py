"""Between a workflow's rows, its frozen definition, and what is shown of it."""

from collections.abc import Mapping
from typing import Any
from uuid import UUID

from flows.compiler.nesting import Body, all_bodies, body_of, own_config
from flows.compiler.shape import agent_of, rewritten_config
from flows.spec import Schedule, WorkflowDefinition
from platform_api.db.models import Agent, Workflow, WorkflowStep
from platform_api.kit.ids import new_id
from platform_api.resources.workflows.schemas import (
    AgentSummary,
    ScheduleView,
    StepView,
    WorkflowDetail,
    WorkflowHead,
    WorkflowView,
)

_PLAIN = frozenset({"name", "description", "tags", "is_public", "project_id", "status"})


def apply_head(workflow: Workflow, head: WorkflowHead, names: frozenset[str] | set[str]) -> None:
    """Writes the fields `names` of `head` to the row; a status of None stands for no change."""
    for name in names & _PLAIN:
        value = getattr(head, name)
        if name != "status" or value is not None:
            setattr(workflow, name, value)
    if "schedule" in names:
        _apply_schedule(workflow, head.schedule)


def apply_definition(workflow: Workflow, definition: WorkflowDefinition) -> None:
    """Writes to the row what it keeps of its definition."""
    workflow.input_schema = definition.input_schema
    workflow.output = definition.output
    workflow.limits = definition.limits.model_dump(mode="json", by_alias=True, exclude_none=True)


def step_rows(workflow: Workflow, definition: WorkflowDefinition, agents: Mapping[str, Agent]) -> list[WorkflowStep]:
    """The definition's steps at every depth as rows."""
    return [
        _row(workflow, body, position, agents)
        for body in all_bodies(body_of(definition))
        for position in range(len(body.steps))
    ]


def _row(workflow: Workflow, body: Body, position: int, agents: Mapping[str, Agent]) -> WorkflowStep:
    step = body.steps[position].spec
    return WorkflowStep(
        id=new_id(),
        tenant_id=workflow.tenant_id,
        workflow_id=workflow.id,
        step_key=step.step_key,
        parent_step_key=body.place or None,
        name=step.name or step.step_key,
        type=step.type,
        agent_id=agents[step.agent_id].id if step.agent_id is not None else None,
        config=own_config(step),
        inputs=step.inputs,
        depends_on=list(step.depends_on),
        position=position,
        on_error=step.on_error,
        retry=step.retry.model_dump(mode="json", by_alias=True) if step.retry else None,
        timeout_seconds=step.timeout_seconds,
    )


def frozen(workflow: Workflow, definition: WorkflowDefinition) -> dict[str, Any]:
    """What a version freezes: the description and the whole definition, in the form in which it may be sent again."""
    schedule = schedule_view(workflow)
    return {
        "name": workflow.name,
        "description": workflow.description,
        "tags": workflow.tags,
        "isPublic": workflow.is_public,
        "projectId": str(workflow.project_id) if workflow.project_id is not None else None,
        "schedule": schedule.model_dump(mode="json", by_alias=True) if schedule else None,
        "status": workflow.status.value,
        **definition.model_dump(mode="json", by_alias=True),
    }


def detail(workflow: Workflow, definition: WorkflowDefinition, agents: Mapping[UUID, Agent]) -> WorkflowDetail:
    """The workflow with its steps, each with its agent, those inside others too."""

    def with_agent(written: dict[str, Any]) -> dict[str, Any]:
        summary = _summary(agents, agent_of(written))
        return {**written, "agent": summary.model_dump(mode="json", by_alias=True) if summary else None}

    steps = [
        StepView(
            **{**dict(step), "config": rewritten_config(step.type, step.config, with_agent)},
            agent=_summary(agents, step.agent_id),
        )
        for step in definition.steps
    ]
    return WorkflowDetail(**dict(view(workflow)), steps=steps)


def view(workflow: Workflow) -> WorkflowView:
    """The workflow without its steps."""
    columns = {name: getattr(workflow, name) for name in WorkflowView.model_fields if name != "schedule"}
    return WorkflowView(**columns, schedule=schedule_view(workflow))


def schedule_view(workflow: Workflow) -> ScheduleView | None:
    """The schedule that the row keeps, if any."""
    if workflow.schedule_cron is None and workflow.schedule_interval_seconds is None:
        return None
    return ScheduleView(
        cron=workflow.schedule_cron,
        interval_seconds=workflow.schedule_interval_seconds,
        timezone=workflow.schedule_timezone or "UTC",
        enabled=workflow.schedule_enabled,
    )


def _summary(agents: Mapping[UUID, Agent], written: str | None) -> AgentSummary | None:
    agent = agents.get(UUID(written)) if written is not None else None
    return AgentSummary.model_validate(agent) if agent is not None else None


def _apply_schedule(workflow: Workflow, schedule: Schedule | None) -> None:
    workflow.schedule_enabled = schedule.enabled if schedule else False
    workflow.schedule_cron = schedule.cron if schedule else None
    workflow.schedule_interval_seconds = schedule.interval_seconds if schedule else None
    workflow.schedule_timezone = schedule.timezone if schedule else None
