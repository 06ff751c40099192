"""Reads a workflow as it was sent and finds everything that is wrong with it, at once."""

import asyncio
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any
from uuid import UUID

from pydantic import ValidationError

from agents.errors import Problem
from flows.compiler.compile import definition_problems
from flows.compiler.nesting import all_steps, body_of
from flows.compiler.scopes import KnownSecrets
from flows.compiler.shape import parse_definition, shape_problems
from flows.errors import DefinitionInvalid
from flows.spec import Schedule, WorkflowDefinition
from platform_api.access.scope import TenantScope
from platform_api.db.enums import ResourceStatus
from platform_api.db.models import Agent
from platform_api.resources.agents.service import AgentLookup, spec_of
from platform_api.resources.agents.visibility import may_read
from platform_api.resources.projects.service import ProjectLookup
from platform_api.resources.secrets.service import SecretNames
from platform_api.resources.workflows.schedule import schedule_problems
from platform_api.resources.workflows.schemas import WorkflowHead, WorkflowWhole

PARTS = frozenset({"inputSchema", "limits", "steps", "output"})
"""The keys of a workflow that a run depends on; the others describe it."""


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
    """A definition with what was found: None where its shape could not be read. `agents` is keyed as written."""

    definition: WorkflowDefinition | None
    agents: Mapping[str, Agent] = field(default_factory=dict)
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
        self._caller = scope.caller
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

    async def check(self, document: Mapping[str, Any], *, active: bool, project_id: UUID | None) -> Checked:
        """Every problem of the definition in `document`; `active` asks for ACTIVE agents too."""
        parts = {key: value for key, value in document.items() if key in PARTS}
        try:
            definition = await asyncio.to_thread(parse_definition, parts)
        except DefinitionInvalid as invalid:
            return Checked(definition=None, problems=list(invalid.problems))
        found = await self._lookup.named(agent_ids(definition))
        agents = {written: agent for written, agent in found.items() if may_read(self._caller, agent)}
        specs = {written: spec_of(agent) for written, agent in agents.items()}
        secrets = await self._secrets.known(project_id, *(agent.project_id for agent in agents.values()))
        place = str(project_id) if project_id is not None else None
        problems = await asyncio.to_thread(
            definition_problems, definition, specs, known_secrets=secrets, project_id=place
        )
        if active:
            problems = [*problems, *inactive_agents(definition, agents)]
        return Checked(definition=definition, agents=agents, known_secrets=secrets, problems=problems)


def agent_ids(definition: WorkflowDefinition) -> dict[str, UUID]:
    """The agents that steps at any depth name, by the text that names them; what is no id is left out."""
    written = {step.spec.agent_id for step in all_steps(body_of(definition)) if step.spec.agent_id is not None}
    return {text: key for text in written if (key := _as_id(text)) is not None}


def inactive_agents(definition: WorkflowDefinition, agents: Mapping[str, Agent]) -> list[Problem]:
    """A problem for each step whose agent is known and not ACTIVE."""
    return [
        Problem(
            path=f"{step.path}.agentId",
            code="INACTIVE_AGENT",
            message=f"Agent {agent.name!r} is {agent.status.value}; only ACTIVE agents run. Activate it first",
        )
        for step in all_steps(body_of(definition))
        if step.spec.agent_id is not None
        and (agent := agents.get(step.spec.agent_id)) is not None
        and agent.status is not ResourceStatus.ACTIVE
    ]


def _as_id(text: str) -> UUID | None:
    try:
        return UUID(text)
    except ValueError:
        return None
