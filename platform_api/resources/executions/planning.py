"""From a workflow as it is now to what a run of it runs, whoever starts it."""

import asyncio
from collections.abc import Mapping, Sequence
from typing import Any

from agents.errors import Problem
from agents.spec import AgentSpec, Limits
from flows.compiler.compile import compile_plan
from flows.compiler.schemas import check_inputs
from flows.compiler.scopes import KnownSecrets
from flows.errors import DefinitionInvalid
from flows.plan import Plan, PlanWorkflow
from flows.spec import WorkflowDefinition
from platform_api.access.scope import TenantScope
from platform_api.db.enums import ResourceStatus
from platform_api.db.models import Agent, Workflow
from platform_api.errors import InvalidState, ValidationFailed
from platform_api.resources.agents.service import AgentLookup, spec_of
from platform_api.resources.projects.service import ProjectLookup
from platform_api.resources.secrets.service import SecretNames
from platform_api.resources.workflows.definition import agent_ids, inactive_agents
from platform_api.resources.workflows.reader import WorkflowReader


class Planner:
    """Makes plans inside one scope."""

    def __init__(self, scope: TenantScope) -> None:
        self._workflows = WorkflowReader(scope)
        self._agents = AgentLookup(scope)
        self._projects = ProjectLookup(scope)
        self._secrets = SecretNames(scope)

    async def plan(self, workflow: Workflow) -> Plan:
        """The newest version with its agents as they are now, under the tightest limits of workflow and project.

        Raises `InvalidState` when the workflow is not ACTIVE or its agents do not allow a run any more.
        """
        if workflow.status is not ResourceStatus.ACTIVE:
            raise InvalidState(f"This workflow is {workflow.status.value}; only an ACTIVE one runs. Activate it first")
        definition = await self._workflows.definition(workflow)
        bounds = await self._projects.limits(workflow.project_id)
        definition = definition.model_copy(update={"limits": definition.limits.tightened(bounds)})
        agents = await self._agents.named(agent_ids(definition))
        secrets = await self._secrets.known(workflow.project_id, *(agent.project_id for agent in agents.values()))
        named = PlanWorkflow(
            id=str(workflow.id),
            name=workflow.name,
            slug=workflow.slug,
            version=workflow.version,
            tenant_id=str(workflow.tenant_id),
            tenant_slug=await self._workflows.tenant_slug(),
            tags=tuple(workflow.tags),
            project_id=str(workflow.project_id) if workflow.project_id is not None else None,
        )
        return await asyncio.to_thread(_compiled, definition, named, agents, secrets)


async def checked_inputs(plan: Plan, inputs: dict[str, Any]) -> dict[str, Any]:
    """The inputs with defaults applied; raises `ValidationFailed` when they do not fit the workflow's schema."""
    try:
        return await asyncio.to_thread(check_inputs, plan.input_schema, inputs)
    except DefinitionInvalid as invalid:
        message = "The inputs do not fit the workflow's inputSchema"
        raise ValidationFailed(message, details=invalid.problems) from invalid


def _compiled(
    definition: WorkflowDefinition, workflow: PlanWorkflow, agents: Mapping[str, Agent], secrets: KnownSecrets
) -> Plan:
    inactive = inactive_agents(definition, agents)
    if inactive:
        raise _not_runnable(inactive)
    specs = {written: _bounded(spec_of(agent), definition.limits) for written, agent in agents.items()}
    try:
        return compile_plan(definition, workflow, specs, known_secrets=secrets)
    except DefinitionInvalid as invalid:
        raise _not_runnable(invalid.problems) from invalid


def _bounded(spec: AgentSpec, run: Limits) -> AgentSpec:
    """What one step may spend is bounded by what the run may; time is not, since the run watches its own."""
    spent = run.model_copy(update={"timeout_seconds": None})
    return spec.model_copy(update={"limits": spec.limits.tightened(spent)})


def _not_runnable(problems: Sequence[Problem]) -> InvalidState:
    message = f"The workflow cannot run as its agents are now ({len(problems)} problem(s)); see details"
    return InvalidState(message, details=problems)
