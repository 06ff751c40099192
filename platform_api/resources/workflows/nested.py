"""What the WORKFLOW agents of a definition run, down to the innermost: found and checked, not yet planned."""

import asyncio
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from uuid import UUID

from agents.errors import ConfigInvalid, Problem
from agents.spec import AgentSpec, AgentType
from agents.workflow.config import WorkflowConfig, read_config
from flows.compiler.agent_rules import handed_over_problems
from flows.compiler.nesting import all_steps, body_of
from flows.spec import WorkflowDefinition
from platform_api.access.scope import TenantScope
from platform_api.db.enums import ResourceStatus
from platform_api.db.models import Agent, Workflow
from platform_api.errors import NotFound
from platform_api.resources.agents.service import AgentLookup
from platform_api.resources.agents.visibility import may_read
from platform_api.resources.workflows.parts import agent_ids, thawed
from platform_api.resources.workflows.repository import WorkflowRepository, WorkflowVersionRepository

MAX_DEPTH = 8
"""Workflows inside workflows."""
MAX_NESTED = 100
"""All that one run may hold; each place where a workflow is run counts."""


@dataclass(frozen=True, kw_only=True)
class Nested:
    """One version of a workflow with its agents, and by agent id what those of them run that run workflows."""

    workflow: Workflow
    version: int
    definition: WorkflowDefinition
    agents: Mapping[str, Agent]
    """By the text with which steps name them."""
    children: "Mapping[str, Nested]" = field(default_factory=dict)


@dataclass(frozen=True, kw_only=True)
class Link:
    """A workflow on the way from the outermost one, and the name of the agent that runs it there.

    `version` is None of one that is being saved.
    """

    workflow_id: UUID | None
    version: int | None
    name: str
    owner: UUID | None
    agent: str | None = None


class _Refused(Exception):
    """Why a workflow cannot be run by an agent; the arguments of a `Problem`."""

    def __init__(self, code: str, message: str) -> None:
        super().__init__(message)
        self.code = code
        self.message = message


class NestedWorkflows:
    """Finds nested workflows with the eyes of the scope's caller, or where there is none of the workflow's owner.

    `active` asks for ACTIVE ones, and `for_run` looks as one who starts a run does.
    """

    def __init__(self, scope: TenantScope, *, active: bool, for_run: bool = False) -> None:
        self._principal = scope.principal
        self._active = active
        self._for_run = for_run
        self._workflows = WorkflowRepository(scope)
        self._versions = WorkflowVersionRepository(scope)
        self._lookup = AgentLookup(scope)
        self._found = 0

    async def of(
        self, definition: WorkflowDefinition, agents: Mapping[str, Agent], root: Link
    ) -> tuple[dict[str, Nested], list[Problem]]:
        """By agent id what the definition's WORKFLOW agents run, and a problem for each step whose agent cannot."""
        found: dict[str, Nested] = {}
        refused: dict[str, _Refused] = {}
        for agent in _that_run_workflows(agents):
            try:
                found[str(agent.id)] = await self._nested(agent, (root,))
            except _Refused as refusal:
                refused[str(agent.id)] = refusal
        return found, _problems(definition, agents, refused, found)

    async def whole(self, workflow: Workflow, version: int) -> tuple[Nested, list[Problem]]:
        """One version of a workflow with all that it runs."""
        definition, agents = await self._contents(workflow, version)
        link = Link(workflow_id=workflow.id, version=version, name=workflow.name, owner=workflow.user_id)
        children, problems = await self.of(definition, agents, link)
        nested = Nested(workflow=workflow, version=version, definition=definition, agents=agents, children=children)
        return nested, problems

    async def _nested(self, agent: Agent, way: tuple[Link, ...]) -> Nested:
        config = _config(agent)
        workflow = await self._workflow(config.workflow_id, agent, way)
        link = replace(await self._link(workflow, config, way), agent=agent.name)
        if any((each.workflow_id, each.version) == (link.workflow_id, link.version) for each in way):
            raise _Refused("CYCLE", f"a workflow would run itself: {_spelled(*way, link)}")
        if len(way) > MAX_DEPTH:
            raise _Refused("NESTED_TOO_DEEP", f"workflows are nested at most {MAX_DEPTH} deep: {_spelled(*way, link)}")
        self._found += 1
        if self._found > MAX_NESTED:
            raise _Refused("TOO_MANY_WORKFLOWS", f"at most {MAX_NESTED} workflows are nested in one")
        assert link.version is not None
        definition, agents = await self._contents(workflow, link.version)
        children = {str(each.id): await self._nested(each, (*way, link)) for each in _that_run_workflows(agents)}
        return Nested(workflow=workflow, version=link.version, definition=definition, agents=agents, children=children)

    async def _workflow(self, workflow_id: UUID, agent: Agent, way: tuple[Link, ...]) -> Workflow:
        unknown = _Refused("UNKNOWN_WORKFLOW", f"agent `{agent.name}` runs a workflow that is not there, or not yours")
        try:
            workflow = await self._workflows.get(workflow_id)
        except NotFound:
            raise unknown from None
        if not await self._may_use(workflow, agent, way):
            raise unknown
        if self._active and workflow.status is not ResourceStatus.ACTIVE:
            status = workflow.status.value
            message = f"agent `{agent.name}` runs the workflow `{workflow.name}`, which is {status}; activate it first"
            raise _Refused("INACTIVE_WORKFLOW", message)
        return workflow

    async def _may_use(self, workflow: Workflow, agent: Agent, way: tuple[Link, ...]) -> bool:
        """Who may read it may. Who runs what others have put together may run what these own, as it is with agents.

        Without a caller, as on a schedule, a run is its workflow's owner's.
        """
        outer = way[-1]
        if self._principal is not None and may_read(self._principal, workflow):
            return True
        if (self._for_run or len(way) > 1) and workflow.user_id == agent.user_id:
            return True
        if self._principal is not None or outer.owner is None:
            return False
        is_theirs = workflow.is_public or workflow.user_id == outer.owner
        return is_theirs or await self._workflows.is_managed_by(outer.owner)

    async def _link(self, workflow: Workflow, config: WorkflowConfig, way: tuple[Link, ...]) -> Link:
        """The workflow in the version that the config means: where that is what is being saved, the one to come."""
        root = way[0]
        version = config.version
        if version is None and not (root.workflow_id == workflow.id and root.version is None):
            version = workflow.version
        if config.version is not None and not await self._versions.has(workflow.id, config.version):
            raise _Refused("UNKNOWN_VERSION", f"the workflow `{workflow.name}` has no version {config.version}")
        return Link(workflow_id=workflow.id, version=version, name=workflow.name, owner=workflow.user_id)

    async def _contents(self, workflow: Workflow, version: int) -> tuple[WorkflowDefinition, dict[str, Agent]]:
        definition = thawed((await self._versions.numbered(workflow.id, version)).definition)
        return definition, await self._lookup.named(await asyncio.to_thread(agent_ids, definition))


def with_inputs_of(specs: Mapping[str, AgentSpec], children: Mapping[str, WorkflowDefinition]) -> dict[str, AgentSpec]:
    """The specs, those of WORKFLOW agents that hand their inputs over as they are with the schema of what they run."""
    return {written: _with_inputs(spec, children.get(spec.id)) for written, spec in specs.items()}


def _with_inputs(spec: AgentSpec, child: WorkflowDefinition | None) -> AgentSpec:
    if child is None or spec.input_schema is not None or spec.config.get("inputs") is not None:
        return spec
    return spec.model_copy(update={"input_schema": child.input_schema})


def _that_run_workflows(agents: Mapping[str, Agent]) -> list[Agent]:
    return list({agent.id: agent for agent in agents.values() if agent.type is AgentType.WORKFLOW}.values())


def _spelled(*way: Link) -> str:
    return " → ".join(f"agent `{each.agent}` → {each.name}" if each.agent else each.name for each in way)


def _config(agent: Agent) -> WorkflowConfig:
    try:
        return read_config(agent.config)
    except ConfigInvalid as invalid:
        raise _Refused("BAD_CONFIG", f"agent `{agent.name}`: {invalid.message}") from invalid


def _problems(
    definition: WorkflowDefinition,
    agents: Mapping[str, Agent],
    refused: Mapping[str, _Refused],
    found: Mapping[str, Nested],
) -> list[Problem]:
    problems: list[Problem] = []
    for step in all_steps(body_of(definition)) if refused or found else ():
        agent = agents.get(step.spec.agent_id or "")
        path = f"{step.path}.agentId"
        if agent is not None and (refusal := refused.get(str(agent.id))) is not None:
            problems.append(Problem(path=path, code=refusal.code, message=refusal.message))
        elif agent is not None and (nested := found.get(str(agent.id))) is not None:
            problems += _handed_over(agent, nested, path)
    return problems


def _handed_over(agent: Agent, nested: Nested, path: str) -> list[Problem]:
    """What the config of the agent hands to its workflow and should not, or does not and should."""
    inputs = agent.config.get("inputs")
    if not isinstance(inputs, Mapping):
        return []
    label = f"workflow `{nested.workflow.name}`"
    found = handed_over_problems(label, nested.definition.input_schema, inputs, "config.inputs")
    lead = f"agent `{agent.name}`"
    return [Problem(path=path, code=each.code, message=f"{lead}, {each.path}: {each.message}") for each in found]
