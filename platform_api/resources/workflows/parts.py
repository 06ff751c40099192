"""The part of a workflow that a run depends on, and the agents that it names."""

from collections.abc import Mapping
from typing import Any
from uuid import UUID

from agents.errors import Problem
from flows.compiler.nesting import all_steps, body_of
from flows.compiler.tools import all_tools
from flows.spec import WorkflowDefinition
from platform_api.db.enums import ResourceStatus
from platform_api.db.models import Agent

PARTS = frozenset({"inputSchema", "limits", "steps", "output"})
"""The keys of a workflow that a run depends on; the others describe it."""


def thawed(document: Mapping[str, Any]) -> WorkflowDefinition:
    """The definition inside a frozen version."""
    return WorkflowDefinition.model_validate({key: value for key, value in document.items() if key in PARTS})


def agent_ids(definition: WorkflowDefinition) -> dict[str, UUID]:
    """The agents that steps at any depth name, by the text that names them; what is no id is left out."""
    written = {step.spec.agent_id for step in all_steps(body_of(definition)) if step.spec.agent_id is not None}
    return {text: key for text in written if (key := _as_id(text)) is not None}


def inactive_agents(definition: WorkflowDefinition, agents: Mapping[str, Agent]) -> list[Problem]:
    """A problem for each step whose agent is known and not ACTIVE, or calls one that is not."""
    return [
        Problem(
            path=f"{step.path}.agentId",
            code="INACTIVE_AGENT",
            message=f"Agent {agent.name!r} is {agent.status.value}; only ACTIVE agents run. Activate it first",
        )
        for step in all_steps(body_of(definition))
        if (runs := agents.get(step.spec.agent_id or "")) is not None
        for agent in (runs, *all_tools([runs], agents).values())
        if agent.status is not ResourceStatus.ACTIVE
    ]


def _as_id(text: str) -> UUID | None:
    try:
        return UUID(text)
    except ValueError:
        return None
