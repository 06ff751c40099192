"""From a workflow as it is now to what a run of it runs, whoever starts it."""

import asyncio
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

from agents.errors import Problem
from agents.spec import AgentSpec, AgentType, Limits
from flows.compiler.compile import compile_plan
from flows.compiler.schemas import check_inputs
from flows.compiler.scopes import KnownSecrets
from flows.compiler.tools import tools_of
from flows.errors import DefinitionInvalid
from flows.plan import Plan, PlanWorkflow
from flows.spec import StepSpec, WorkflowDefinition
from platform_api.access.scope import TenantScope
from platform_api.db.enums import ResourceStatus
from platform_api.db.models import Agent, Workflow
from platform_api.errors import InvalidState, ValidationFailed
from platform_api.resources.agents.service import AgentLookup, as_ids, spec_of
from platform_api.resources.projects.service import ProjectLookup
from platform_api.resources.secrets.service import SecretNames
from platform_api.resources.workflows.nested import Link, Nested, NestedWorkflows, with_inputs_of
from platform_api.resources.workflows.parts import inactive_agents
from platform_api.resources.workflows.reader import WorkflowReader


class Planner:
    """Makes plans inside one scope; `is_sketch` makes them of workflows and agents that are not ACTIVE (yet) too."""

    def __init__(self, scope: TenantScope, *, is_sketch: bool = False) -> None:
        self._scope = scope
        self._is_sketch = is_sketch
        self._workflows = WorkflowReader(scope)
        self._projects = ProjectLookup(scope)
        self._secrets = SecretNames(scope)

    async def plan(self, workflow: Workflow, version: int | None = None) -> Plan:
        """The newest version, or the one that is named, with its agents as they are now, and all that these run.

        Raises `InvalidState` when the workflow is not ACTIVE or its agents do not allow a run any more, and `NotFound`
        for a version that there is not.
        """
        if workflow.status is not ResourceStatus.ACTIVE and not self._is_sketch:
            raise InvalidState(f"This workflow is {workflow.status.value}; only an ACTIVE one runs. Activate it first")
        whole, problems = await self._nested.whole(workflow, workflow.version if version is None else version)
        if problems:
            raise _not_runnable(problems)
        return await self._planned(whole)

    async def of_agent(self, agent: Agent) -> tuple[AgentSpec, dict[str, Plan]]:
        """An agent as it may run by itself, with what it runs when it is a WORKFLOW agent."""
        spec = spec_of(agent)
        if spec.type is not AgentType.WORKFLOW:
            return spec, {}
        alone = WorkflowDefinition(steps=(StepSpec(step_key="alone", agent_id=spec.id),))
        root = Link(workflow_id=None, version=None, name=agent.name, owner=agent.user_id)
        found, problems = await self._nested.of(alone, {spec.id: agent}, root)
        if problems:
            raise InvalidState("The agent cannot run as it is now; see details", details=problems)
        child = found[spec.id]
        bounded = with_inputs_of({spec.id: spec}, {spec.id: child.definition})
        return bounded[spec.id], {spec.id: await self._planned(child)}

    async def called_by(self, agent: Agent) -> dict[str, Agent]:
        """The agents that its model calls, as they are written. Raises `InvalidState` when one of them cannot run."""
        found = await AgentLookup(self._scope).named(as_ids(tools_of(agent)))
        inactive = [each for each in found.values() if each.status is not ResourceStatus.ACTIVE and each.id != agent.id]
        if inactive:
            listed = ", ".join(f"{each.name!r} is {each.status.value}" for each in inactive)
            raise InvalidState(f"The agent calls agents that are not ACTIVE: {listed}. Activate them first")
        return found

    @property
    def _nested(self) -> NestedWorkflows:
        return NestedWorkflows(self._scope, active=not self._is_sketch, for_run=True)

    async def _planned(self, whole: Nested) -> Plan:
        """The plan under the tightest limits of workflow and project, with those of what is nested in it."""
        children = {agent_id: await self._planned(child) for agent_id, child in whole.children.items()}
        workflow = whole.workflow
        bounds = await self._projects.limits(workflow.project_id)
        limits = whole.definition.limits.tightened(bounds)
        whole = replace(whole, definition=whole.definition.model_copy(update={"limits": limits}))
        secrets = await self._secrets.known(workflow.project_id, *(agent.project_id for agent in whole.agents.values()))
        named = PlanWorkflow(
            id=str(workflow.id),
            name=workflow.name,
            slug=workflow.slug,
            version=whole.version,
            tenant_id=str(workflow.tenant_id),
            tenant_slug=await self._workflows.tenant_slug(),
            tags=tuple(workflow.tags),
            project_id=str(workflow.project_id) if workflow.project_id is not None else None,
        )
        if not self._is_sketch and (inactive := inactive_agents(whole.definition, whole.agents)):
            raise _not_runnable(inactive, named)
        return await asyncio.to_thread(_compiled, whole, named, secrets, children)


async def checked_inputs(plan: Plan, inputs: dict[str, Any]) -> dict[str, Any]:
    """The inputs with defaults applied; raises `ValidationFailed` when they do not fit the workflow's schema."""
    try:
        return await asyncio.to_thread(check_inputs, plan.input_schema, inputs)
    except DefinitionInvalid as invalid:
        message = "The inputs do not fit the workflow's inputSchema"
        raise ValidationFailed(message, details=invalid.problems) from invalid


def _compiled(whole: Nested, workflow: PlanWorkflow, secrets: KnownSecrets, children: Mapping[str, Plan]) -> Plan:
    definition = whole.definition
    specs = {written: _bounded(spec_of(agent), definition.limits) for written, agent in whole.agents.items()}
    specs = with_inputs_of(specs, {agent_id: child.definition for agent_id, child in whole.children.items()})
    try:
        return compile_plan(definition, workflow, specs, known_secrets=secrets, children=children)
    except DefinitionInvalid as invalid:
        raise _not_runnable(invalid.problems, workflow) from invalid


def _bounded(spec: AgentSpec, run: Limits) -> AgentSpec:
    """What one step may spend is bounded by what the run may; time is not, since the run watches its own."""
    spent = run.model_copy(update={"timeout_seconds": None})
    return spec.model_copy(update={"limits": spec.limits.tightened(spent)})


def _not_runnable(problems: Sequence[Problem], workflow: PlanWorkflow | None = None) -> InvalidState:
    which = f"The workflow {workflow.name!r}" if workflow is not None else "The workflow"
    message = f"{which} cannot run as its agents are now ({len(problems)} problem(s)); see details"
    return InvalidState(message, details=problems)
