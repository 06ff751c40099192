"""What can be done with agents."""

import contextlib
from collections.abc import Iterable, Mapping, Sequence
from typing import Any
from uuid import UUID

from agents.errors import Problem
from agents.spec import AgentSpec, AgentType, Limits
from flows.compiler.tools import tool_problems, tools_of, unknown_tools
from platform_api.access.scope import TenantScope
from platform_api.db.changes import differing, write
from platform_api.db.enums import ResourceStatus
from platform_api.db.models import Agent, AgentVersion
from platform_api.db.repository import check_version
from platform_api.errors import Conflict, Forbidden, ValidationFailed
from platform_api.kit.ids import new_id
from platform_api.kit.pagination import Paging
from platform_api.kit.sorting import Sorting
from platform_api.resources.agents.checks import check_agent
from platform_api.resources.agents.content import agent_view, copy_name, snapshot
from platform_api.resources.agents.filters import AgentFilters
from platform_api.resources.agents.lifecycle import check_move
from platform_api.resources.agents.repository import AgentRepository, AgentVersionRepository
from platform_api.resources.agents.schemas import AgentCopy, AgentCreate, AgentReplace, AgentUpdate, AgentView
from platform_api.resources.agents.visibility import check_changeable, check_readable, may_read, reach
from platform_api.resources.audit_log.service import AuditLog
from platform_api.resources.projects.service import ProjectLookup
from platform_api.resources.secrets.service import SecretNames

TOOL_LEVELS = 4
"""Of agents that models call which call models."""
_CONTENT = frozenset(AgentCreate.model_fields) - {"type"}
_CHECKED = frozenset({"config", "input_schema", "output_schema", "project_id"})


class AgentService:
    """Agents inside one scope."""

    def __init__(self, scope: TenantScope) -> None:
        self._scope = scope
        self._agents = AgentRepository(scope)
        self._versions = AgentVersionRepository(scope)
        self._audit = AuditLog(scope)

    async def create(self, body: AgentCreate, *, status: ResourceStatus = ResourceStatus.DRAFT) -> Agent:
        """Stores a new agent; raises `ValidationFailed` with every problem of config and schemas."""
        agent = self._new(body)
        agent.status = status
        await self._check(agent, placed=True)
        await self._agents.add(agent)
        await self._freeze(agent, "agent.create", before=None)
        return agent

    async def duplicate(self, agent_id: UUID, body: AgentCopy) -> Agent:
        """Stores a private DRAFT with the same content; its version counts on from the lineage's highest."""
        source = await self.get(agent_id)
        columns = {name: getattr(source, name) for name in _CONTENT}
        whole = AgentCreate.model_validate(
            {**columns, "type": source.type, "is_public": False, "name": body.name or copy_name(source.name)}
        )
        agent = self._new(whole)
        agent.parent_id = source.id
        await self._check(agent, placed=False)
        agent.version = await self._agents.next_version(source.id)
        await self._agents.add(agent)
        await self._freeze(agent, "agent.duplicate", before=None)
        return agent

    async def page(self, filters: AgentFilters, paging: Paging, order: Sorting) -> tuple[list[Agent], int]:
        """One page of what the caller reads."""
        statement = self._agents.filtered(filters, reach(self._scope.caller))
        return await self._agents.page(statement, page=paging.page, page_size=paging.page_size, order_by=order.order_by)

    async def get(self, agent_id: UUID) -> Agent:
        """One agent that the caller reads."""
        agent = await self._agents.get(agent_id)
        check_readable(self._scope.caller, agent, "agent")
        return agent

    async def shown(self, agents: Sequence[Agent]) -> list[AgentView]:
        """The agents with what their runs tell of them."""
        found = await self._agents.health_of([agent.id for agent in agents])
        return [agent_view(agent, found[agent.id]) for agent in agents]

    async def update(self, agent_id: UUID, body: AgentUpdate, *, expected: int | None) -> Agent:
        """Changes what the body names."""
        agent = await self._for_change(agent_id, expected)
        return await self._change(agent, body, self._columns(body, _CONTENT & body.model_fields_set))

    async def replace(self, agent_id: UUID, body: AgentReplace, *, expected: int | None) -> Agent:
        """Changes everything to what the body says."""
        agent = await self._for_change(agent_id, expected)
        return await self._change(agent, body, self._columns(body, _CONTENT))

    async def delete(self, agent_id: UUID, *, expected: int | None) -> None:
        """Takes the agent out of sight; raises `Conflict` listing the ACTIVE workflows that use it."""
        agent = await self._for_change(agent_id, expected)
        users = await self._agents.active_users(agent_id)
        if users:
            raise Conflict(
                f"{len(users)} active workflow(s) use this agent; deactivate them or take it out of their steps first",
                details=[Problem(path=f"workflows.{key}", code="AGENT_IN_USE", message=name) for key, name in users],
            )
        await self._agents.soft_delete(agent)
        await self._audit.record("agent.delete", "agent", agent.id, before=snapshot(agent), after=None)

    async def versions(self, agent_id: UUID, paging: Paging) -> tuple[list[AgentVersion], int]:
        """The frozen versions of the agent's whole lineage, as far as the caller reads its members; newest first."""
        await self.get(agent_id)
        within = reach(self._scope.caller)
        return await self._versions.of_lineage(agent_id, within, page=paging.page, page_size=paging.page_size)

    def _new(self, body: AgentCreate) -> Agent:
        caller = self._scope.caller
        if caller.user_id is None:
            raise Forbidden("A project's key makes no agents; use a person's token or key")
        return Agent(
            id=new_id(),
            tenant_id=self._scope.tenant_id,
            user_id=caller.user_id,
            type=body.type,
            status=ResourceStatus.DRAFT,
            version=1,
            **self._columns(body, _CONTENT),
        )

    async def _for_change(self, agent_id: UUID, expected: int | None) -> Agent:
        agent = await self._agents.get(agent_id, lock=True)
        check_readable(self._scope.caller, agent, "agent")
        check_changeable(self._scope.caller, agent, "agent")
        check_version(agent.version, expected)
        return agent

    async def _change(self, agent: Agent, body: AgentUpdate | AgentReplace, columns: dict[str, Any]) -> Agent:
        if body.type is not None and body.type != agent.type:
            message = f"An agent's type cannot change; make a new agent of type {body.type}"
            raise ValidationFailed(message, details=[Problem(path="type", code="IMMUTABLE", message=message)])
        wanted = columns | ({"status": body.status} if body.status is not None else {})
        changed = differing(agent, wanted)
        if not changed:
            return agent
        check_move("agent", agent.status, body.status)
        before = snapshot(agent)
        write(agent, changed)
        if _CHECKED & set(changed) or body.status is ResourceStatus.ACTIVE:
            await self._check(agent, placed="project_id" in changed)
        agent.version += 1
        await self._agents.save(agent)
        await self._freeze(agent, "agent.update", before=before)
        return agent

    async def _check(self, agent: Agent, *, placed: bool) -> None:
        """Raises `ValidationFailed` with all problems; `placed` asks for the agent's project too."""
        misplaced = await ProjectLookup(self._scope).problems(agent.project_id) if placed else []
        (known,) = (await SecretNames(self._scope).known(agent.project_id)).values()
        await check_agent(agent, known_secrets=known, also=[*misplaced, *await self._tool_problems(agent)])

    async def _tool_problems(self, agent: Agent) -> list[Problem]:
        """An agent that the caller may not use is an unknown one."""
        named = await AgentLookup(self._scope).named(as_ids(tools_of(agent)))
        usable = {written: spec_of(each) for written, each in named.items() if may_read(self._scope.caller, each)}
        return [problem.under("config") for problem in tool_problems(spec_of(agent), usable)]

    def _columns(self, body: AgentCreate | AgentUpdate, names: frozenset[str] | set[str]) -> dict[str, Any]:
        """What to write; what a caller makes who is bound to a project lies in that project."""
        columns = {name: getattr(body, name) for name in names}
        if "limits" in columns:
            columns["limits"] = body.limits.model_dump(mode="json", by_alias=True, exclude_none=True)
        if "project_id" in columns and columns["project_id"] is None:
            columns["project_id"] = self._scope.caller.project_id
        return columns

    async def _freeze(self, agent: Agent, action: str, *, before: dict[str, Any] | None) -> None:
        after = snapshot(agent)
        row = AgentVersion(
            id=new_id(),
            tenant_id=agent.tenant_id,
            agent_id=agent.id,
            version=agent.version,
            snapshot=after,
            created_by=self._scope.caller.user_id,
        )
        await self._versions.add(row)
        await self._audit.record(action, "agent", agent.id, before=before, after=after)


class AgentLookup:
    """Agents as the steps of a workflow meet them, for the slices above this one."""

    def __init__(self, scope: TenantScope) -> None:
        self._scope = scope
        self._agents = AgentRepository(scope)

    async def named(self, references: Mapping[str, UUID]) -> dict[str, Agent]:
        """The agents behind ids as they were written, whoever owns them; unknown ones are left out.

        Those that their models call are among them, and what these call. One query for each level.
        """
        found: dict[str, Agent] = {}
        asked = dict(references)
        for _ in range(TOOL_LEVELS + 1):
            by_id = {agent.id: agent for agent in await self._agents.by_ids(asked.values())}
            found |= {written: by_id[key] for written, key in asked.items() if key in by_id}
            asked = as_ids(unknown_tools(found.values(), {*found, *asked}))
            if not asked:
                break
        return found


def as_ids(texts: Iterable[str]) -> dict[str, UUID]:
    """Ids by the text that they were written as; what is no id is left out."""
    found = {}
    for text in texts:
        with contextlib.suppress(ValueError):
            found[text] = UUID(text)
    return found


def spec_of(agent: Agent) -> AgentSpec:
    """The agent as plans embed it."""
    return AgentSpec(
        id=str(agent.id),
        version=agent.version,
        name=agent.name,
        type=AgentType(agent.type),
        config=agent.config,
        input_schema=agent.input_schema,
        output_schema=agent.output_schema,
        limits=Limits.model_validate(agent.limits),
        project_id=str(agent.project_id) if agent.project_id is not None else None,
    )
