"""What can be done with templates: reading them with or without a login, and changing one's own."""

import asyncio
from collections.abc import Mapping
from typing import Any
from uuid import UUID

from agents.errors import Problem
from platform_api.access.permissions import Permission
from platform_api.access.principal import PlatformRole, Principal
from platform_api.access.roles import allows
from platform_api.access.scope import SystemScope, TenantScope
from platform_api.db.changes import differing, write
from platform_api.db.enums import TemplateType
from platform_api.db.models import Template
from platform_api.db.repository import check_version
from platform_api.errors import Forbidden, ValidationFailed
from platform_api.kit.ids import new_id
from platform_api.kit.pagination import Paging
from platform_api.kit.sorting import Sorting
from platform_api.resources.audit_log.service import AuditLog
from platform_api.resources.templates.blueprint import template_problems
from platform_api.resources.templates.filters import TemplateFilters
from platform_api.resources.templates.official import official_templates
from platform_api.resources.templates.repository import OfficialTemplates, TemplateCatalogue, TemplateRepository
from platform_api.resources.templates.schemas import TemplateCreate, TemplateSnapshot, TemplateUpdate
from platform_api.resources.templates.sight import check_in_sight, check_own

_CONTENT = frozenset(TemplateCreate.model_fields) - {"type"}
_CHECKED = frozenset({"definition", "parameters"})


class Catalogue:
    """Templates as somebody reads them; nobody in particular without a reader.

    A key without the permission to read templates reads what everybody reads.
    """

    def __init__(self, scope: SystemScope, reader: Principal | None) -> None:
        self._reader = reader if reader is not None and allows(reader, Permission.TEMPLATES_READ) else None
        self._templates = TemplateCatalogue(scope.session, self._reader)

    async def page(self, filters: TemplateFilters, paging: Paging, order: Sorting) -> tuple[list[Template], int]:
        """One page of what the reader may read."""
        statement = self._templates.filtered(filters)
        return await self._templates.page(
            statement, page=paging.page, page_size=paging.page_size, order_by=order.order_by
        )

    async def get(self, template_id: UUID) -> Template:
        """One template; raises `NotFound` for a private one of another tenant, `Forbidden` for a colleague's."""
        template = await self._templates.get(template_id)
        check_in_sight(self._reader, template)
        return template


class TemplateService:
    """Changes of a tenant's templates, inside one scope."""

    def __init__(self, scope: TenantScope) -> None:
        self._scope = scope
        self._templates = TemplateRepository(scope)
        self._audit = AuditLog(scope)

    async def create(self, body: TemplateCreate) -> Template:
        """Stores a template; raises `ValidationFailed` with every problem of its definition and parameters."""
        caller = self._scope.caller
        if caller.user_id is None:
            raise Forbidden("A project's key makes no templates; use a person's token or key")
        if body.is_official:
            self._check_official()
        columns = {name: getattr(body, name) for name in _CONTENT}
        template = Template(
            id=new_id(), tenant_id=self._scope.tenant_id, user_id=caller.user_id, type=body.type, **columns
        )
        await _check(template)
        await self._templates.add(template)
        await self._audit.record("template.create", "template", template.id, after=snapshot(template))
        return template

    async def update(self, template_id: UUID, body: TemplateUpdate, *, expected: int | None) -> Template:
        """Changes what the body names."""
        template = await self._for_change(template_id, expected)
        if body.type is not None and body.type != template.type:
            message = f"A template's type cannot change; make a new template of type {body.type}"
            raise ValidationFailed(message, details=[Problem(path="type", code="IMMUTABLE", message=message)])
        wanted = {name: getattr(body, name) for name in _CONTENT & body.model_fields_set}
        changed = differing(template, wanted)
        if not changed:
            return template
        if template.is_official or body.is_official:
            self._check_official()
        before = snapshot(template)
        write(template, changed)
        if _CHECKED & set(changed):
            await _check(template)
        template.version += 1
        await self._templates.save(template)
        await self._audit.record("template.update", "template", template.id, before=before, after=snapshot(template))
        return template

    async def delete(self, template_id: UUID, *, expected: int | None) -> None:
        """Takes the template out of sight; what was made of it stays."""
        template = await self._for_change(template_id, expected)
        if template.is_official:
            self._check_official()
        await self._templates.soft_delete(template)
        await self._audit.record("template.delete", "template", template.id, before=snapshot(template))

    async def _for_change(self, template_id: UUID, expected: int | None) -> Template:
        template = await self._templates.get(template_id, lock=True)
        check_own(self._scope.caller, template)
        check_version(template.version, expected)
        return template

    def _check_official(self) -> None:
        if self._scope.caller.platform_role is not PlatformRole.ADMIN:
            raise Forbidden("Only the platform's ADMIN makes, changes and deletes official templates")


async def write_official_templates(scope: SystemScope) -> None:
    """Brings the templates that come with the platform up to date; again changes nothing."""
    rows = await asyncio.to_thread(official_templates)
    await OfficialTemplates(scope.session).write(rows)


def snapshot(template: Template) -> dict[str, Any]:
    """What the audit log keeps, as JSON."""
    return TemplateSnapshot.model_validate(template).model_dump(mode="json", by_alias=True)


async def _check(template: Template) -> None:
    kind, parameters = TemplateType(template.type), template.parameters
    definition: Mapping[str, Any] = template.definition
    problems = await asyncio.to_thread(template_problems, kind, definition, parameters, template.name)
    if problems:
        raise ValidationFailed(f"The template has {len(problems)} problem(s); see details", details=problems)
