"""Makes agents and workflows of templates."""

import asyncio
from collections.abc import Mapping
from typing import Any
from uuid import UUID

from agents.errors import Problem
from flows.compiler.schemas import check_inputs
from flows.compiler.shape import agent_of, rewritten
from flows.errors import DefinitionInvalid
from platform_api.access.permissions import Permission
from platform_api.access.roles import allows
from platform_api.access.scope import TenantScope
from platform_api.db.enums import ResourceStatus, TemplateType
from platform_api.db.models import Agent, Template
from platform_api.errors import Forbidden, ValidationFailed
from platform_api.resources.agents.schemas import AgentCreate, AgentView
from platform_api.resources.agents.service import AgentService
from platform_api.resources.audit_log.service import AuditLog
from platform_api.resources.templates.blueprint import ONLY, Blueprint, blueprint_problems, properties, read
from platform_api.resources.templates.filling import TooLarge, filled, uses
from platform_api.resources.templates.repository import TemplateRepository
from platform_api.resources.templates.schemas import Instantiation, TemplateAgent
from platform_api.resources.templates.sight import check_in_sight
from platform_api.resources.workflows.registration import Registration
from platform_api.resources.workflows.schemas import WorkflowDetail
from platform_api.resources.workflows.service import WorkflowService


class Instantiator:
    """Makes something of templates that the caller reads, in the caller's tenant and in one transaction."""

    def __init__(self, scope: TenantScope, registration: Registration) -> None:
        self._scope = scope
        self._agents = AgentService(scope)
        self._workflows = WorkflowService(scope, registration)
        self._templates = TemplateRepository(scope)
        self._audit = AuditLog(scope)

    async def make(self, template_id: UUID, body: Instantiation) -> AgentView | WorkflowDetail:
        """The new agent or workflow, a DRAFT like any other; the agents of a workflow are ACTIVE.

        Raises `ValidationFailed` for customizations that do not fit, and for what they make of the definition.
        """
        template = await self._templates.readable(template_id)
        check_in_sight(self._scope.caller, template)
        blueprint = await asyncio.to_thread(_filled, template, body.customizations)
        self._check_permissions(blueprint)
        if blueprint.workflow is None:
            made: AgentView | WorkflowDetail = await self._agent(blueprint, body.name)
        else:
            made = await self._workflow(blueprint, blueprint.workflow, body.name)
        kind = "agent" if isinstance(made, AgentView) else "workflow"
        await self._audit.record("template.instantiate", "template", template.id, after={f"{kind}Id": str(made.id)})
        await self._templates.count_use(template.id)
        return made

    async def _agent(self, blueprint: Blueprint, name: str | None) -> AgentView:
        agent = await self._new_agent(blueprint.agents[ONLY], ResourceStatus.DRAFT, name)
        (shown,) = await self._agents.shown([agent])
        return shown

    async def _workflow(self, blueprint: Blueprint, workflow: Mapping[str, Any], name: str | None) -> WorkflowDetail:
        agents = {key: await self._new_agent(each, ResourceStatus.ACTIVE) for key, each in blueprint.agents.items()}

        def with_agent(step: dict[str, Any]) -> dict[str, Any]:
            named = agent_of(step)
            rest = {name: value for name, value in step.items() if name != "agent_id"}
            return {**rest, "agentId": str(agents[named].id)} if named else step

        document = {**workflow, "steps": rewritten(workflow["steps"], with_agent)}
        return await self._workflows.create({**document, "name": name} if name else document)

    async def _new_agent(self, written: Any, status: ResourceStatus, name: str | None = None) -> Agent:
        body = TemplateAgent.model_validate(written)
        fields = body.model_dump() | ({"name": name} if name else {})
        return await self._agents.create(AgentCreate.model_validate(fields), status=status)

    def _check_permissions(self, blueprint: Blueprint) -> None:
        """A key that may make no agents makes none by way of a template either."""
        needed = [Permission.AGENTS_CREATE] if blueprint.agents else []
        needed += [Permission.WORKFLOWS_CREATE] if blueprint.workflow is not None else []
        for permission in needed:
            if not allows(self._scope.caller, permission):
                raise Forbidden(f"This needs the permission {permission.value}, which your role or key does not have")


def _filled(template: Template, customizations: dict[str, Any]) -> Blueprint:
    values = _values(template, customizations)
    try:
        definition = filled(template.definition, values)
    except TooLarge as error:
        raise _unfit([Problem(path="customizations", code="TOO_LARGE", message=str(error))]) from error
    blueprint, structural = read(TemplateType(template.type), definition, template.name)
    problems = structural or blueprint_problems(blueprint)
    if problems:
        message = f"With these customizations the template has {len(problems)} problem(s); see details"
        raise ValidationFailed(message, details=problems)
    return blueprint


def _values(template: Template, customizations: dict[str, Any]) -> dict[str, Any]:
    """The customizations with defaults; raises `ValidationFailed` naming each that is wrong, unknown or missing."""
    known = properties(template.parameters)
    unknown = [
        Problem(
            path=f"customizations.{name}",
            code="UNKNOWN_FIELD",
            message=f"is not known; there are: {', '.join(known) or 'none'}",
        )
        for name in customizations
        if name not in known
    ]
    try:
        values = check_inputs(template.parameters, customizations)
    except DefinitionInvalid as invalid:
        told = {problem.path for problem in unknown}
        wrong = [each.model_copy(update={"path": _path(each.path)}) for each in invalid.problems]
        raise _unfit([*unknown, *(each for each in wrong if each.path not in told)]) from invalid
    needed = {name for _, name in uses(template.definition, "definition") if name is not None}
    missing = [
        Problem(path=f"customizations.{name}", code="MISSING_FIELD", message=f"`{name}` is required")
        for name in sorted(needed - set(values))
    ]
    if unknown or missing:
        raise _unfit([*unknown, *missing])
    return values


def _path(path: str) -> str:
    return "customizations" + path.removeprefix("inputs")


def _unfit(problems: list[Problem]) -> ValidationFailed:
    return ValidationFailed("The customizations do not fit the template's parameters; see details", details=problems)
