"""Reads a workflow as it was sent and finds everything that is wrong with it, at once."""

import asyncio
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any
from uuid import UUID

from pydantic import ValidationError

from agents.errors import Problem
from agents.spec import AgentSpec
from flows.compiler.compile import definition_problems
from flows.compiler.scopes import KnownSecrets
from flows.compiler.shape import parse_definition, shape_problems
from flows.errors import DefinitionInvalid
from flows.spec import Schedule, WorkflowDefinition
from platform_api.access.scope import TenantScope
from platform_api.db.enums import ResourceStatus
from platform_api.db.models import Agent, Workflow
from platform_api.resources.agents.service import AgentLookup, spec_of
from platform_api.resources.agents.visibility import may_read
from platform_api.resources.projects.service import ProjectLookup
from platform_api.resources.secrets.service import SecretNames
from platform_api.resources.workflows.assignees import Assignees
from platform_api.resources.workflows.nested import Link, NestedWorkflows, with_inputs_of
from platform_api.resources.workflows.parts import PARTS, agent_ids, inactive_agents
from platform_api.resources.workflows.schedule import schedule_problems
from platform_api.resources.workflows.schemas import WorkflowHead, WorkflowWhole


@dataclass(frozen=True, kw_only=True)
class Draft:
    """What describes a workflow, as it was sent; `head` is None where it could not be read."""

    head: WorkflowHead | None
    fields: frozenset[str] = frozenset()
    """The head's fields that are to be written."""
    problems: list[Problem] = field(default_factory=list)

    @property
    def status(self) -> ResourceStatus | None:
        """The status that is asked for, if any."""
        return self.head.status if self.head else None

    @property
    def version(self) -> int | None:
        """The version that the sender saw, if it was said."""
        return self.head.version if self.head else None

    def project(self, current: UUID | None) -> UUID | None:
        """The project that the workflow will lie in; `current` is where it lies."""
        return self.head.project_id if self.head is not None and "project_id" in self.fields else current

    def becomes(self, status: ResourceStatus) -> bool:
        """Whether `status` is asked for."""
        return self.status is status


@dataclass(frozen=True, kw_only=True)
class Checked:
    """A definition with what was found: None where its shape could not be read.

    `agents` is keyed as written, `specs` too: those of WORKFLOW agents may have the inputs of what they run.
    """

    definition: WorkflowDefinition | None
    agents: Mapping[str, Agent] = field(default_factory=dict)
    specs: Mapping[str, AgentSpec] = field(default_factory=dict)
    known_secrets: KnownSecrets = field(default_factory=dict)
    problems: list[Problem] = field(default_factory=list)


def read_head(model: type[WorkflowHead], document: Mapping[str, Any]) -> Draft:
    """What describes the workflow; unknown keys of the document are problems too.

    A `WorkflowWhole` writes all fields, a plain head only those that were sent.
    """
    found = _schedule_problems(document.get("schedule"))
    try:
        head = model.model_validate({key: value for key, value in document.items() if key not in PARTS})
    except ValidationError as error:
        return Draft(head=None, problems=[*shape_problems(error), *found])
    fields = frozenset(WorkflowHead.model_fields) if model is WorkflowWhole else frozenset(head.model_fields_set)
    return Draft(head=head, fields=fields, problems=found)


def _schedule_problems(written: Any) -> list[Problem]:
    """What is wrong with the meaning of a schedule; its shape is told with the rest of the head."""
    try:
        schedule = Schedule.model_validate(written)
    except ValidationError:
        return []
    return [problem.under("schedule") for problem in schedule_problems(schedule)]


class DefinitionCheck:
    """Checks definitions with the eyes of one caller: an agent that the caller may not use is an unknown one."""

    def __init__(self, scope: TenantScope) -> None:
        self._scope = scope
        self._caller = scope.caller
        self._assignees = Assignees(scope)
        self._lookup = AgentLookup(scope)
        self._projects = ProjectLookup(scope)
        self._secrets = SecretNames(scope)

    async def placed(self, draft: Draft, *, current: UUID | None = None) -> Draft:
        """The draft with what is wrong with its project; what a caller writes who is bound to one lies in that."""
        if draft.head is None or "project_id" not in draft.fields:
            return draft
        wanted = draft.head.project_id or self._caller.project_id
        problems = [] if wanted == current else await self._projects.problems(wanted)
        head = draft.head.model_copy(update={"project_id": wanted})
        return replace(draft, head=head, problems=[*draft.problems, *problems])

    async def check(
        self, document: Mapping[str, Any], *, active: bool, project_id: UUID | None, workflow: Workflow | None = None
    ) -> Checked:
        """Every problem of the definition in `document`, which `workflow` is to have; `active` asks for ACTIVE agents.

        Whatever it runs beside agents is looked at too: workflows, down to the innermost.
        """
        parts = {key: value for key, value in document.items() if key in PARTS}
        try:
            definition = await asyncio.to_thread(parse_definition, parts)
        except DefinitionInvalid as invalid:
            return Checked(definition=None, problems=list(invalid.problems))
        found = await self._lookup.named(await asyncio.to_thread(agent_ids, definition))
        agents = {written: agent for written, agent in found.items() if may_read(self._caller, agent)}
        nested, refused = await self._nested(active).of(definition, agents, _link(document, workflow))
        children = {agent_id: each.definition for agent_id, each in nested.items()}
        specs = with_inputs_of({written: spec_of(agent) for written, agent in agents.items()}, children)
        secrets = await self._secrets.known(project_id, *(agent.project_id for agent in agents.values()))
        place = str(project_id) if project_id is not None else None
        problems = await asyncio.to_thread(
            definition_problems, definition, specs, known_secrets=secrets, project_id=place
        )
        problems = [*problems, *refused, *await self._assignees.problems(definition)]
        if active:
            problems += inactive_agents(definition, agents)
        return Checked(definition=definition, agents=agents, specs=specs, known_secrets=secrets, problems=problems)

    def _nested(self, active: bool) -> NestedWorkflows:
        return NestedWorkflows(self._scope, active=active)


def _link(document: Mapping[str, Any], workflow: Workflow | None) -> Link:
    """What is checked, as the outermost of what it runs."""
    if workflow is not None:
        return Link(workflow_id=workflow.id, version=None, name=workflow.name, owner=workflow.user_id)
    return Link(workflow_id=None, version=None, name=str(document.get("name", "this workflow")), owner=None)
