"""What can be done with projects. Every member of the tenant sees them all; a project's key sees its own alone."""

from typing import Any
from uuid import UUID

from agents.errors import Problem
from agents.spec import Limits
from platform_api.access.scope import TenantScope
from platform_api.db.changes import differing, write
from platform_api.db.models import Project
from platform_api.db.repository import check_version
from platform_api.errors import Conflict, Forbidden
from platform_api.kit.ids import new_id
from platform_api.kit.pagination import Paging
from platform_api.kit.sorting import Sorting
from platform_api.resources.audit_log.service import AuditLog
from platform_api.resources.projects.repository import ProjectRepository
from platform_api.resources.projects.schemas import (
    Budget,
    ProjectFields,
    ProjectFilters,
    ProjectState,
    ProjectUpdate,
    ProjectView,
)

_CONTENT = frozenset(ProjectFields.model_fields)


class ProjectService:
    """Projects inside one scope."""

    def __init__(self, scope: TenantScope) -> None:
        self._scope = scope
        self._projects = ProjectRepository(scope)
        self._audit = AuditLog(scope)

    async def create(self, body: ProjectFields) -> Project:
        """Stores a project; raises `Conflict` when the name is taken."""
        if self._scope.caller.project_id is not None:
            raise Forbidden("A key that is bound to a project makes no projects; use a person's token or key")
        await self._check_free(body.name)
        project = Project(id=new_id(), tenant_id=self._scope.tenant_id, version=1, **_columns(body, _CONTENT))
        await self._projects.add(project)
        await self._audit.record("project.create", "project", project.id, before=None, after=_state(project))
        return project

    async def page(self, filters: ProjectFilters, paging: Paging, order: Sorting) -> tuple[list[Project], int]:
        """One page of what the caller sees."""
        statement = self._projects.filtered(filters, only=self._scope.caller.project_id)
        return await self._projects.page(
            statement, page=paging.page, page_size=paging.page_size, order_by=order.order_by
        )

    async def get(self, project_id: UUID, *, lock: bool = False) -> Project:
        """One project that the caller sees."""
        project = await self._projects.get(project_id, lock=lock)
        if self._scope.caller.project_id not in (None, project_id):
            raise Forbidden("This key is bound to another project")
        return project

    async def update(self, project_id: UUID, body: ProjectUpdate, *, expected: int | None) -> Project:
        """Changes what the body names."""
        project = await self.get(project_id, lock=True)
        check_version(project.version, expected)
        wanted = _columns(body, _CONTENT & body.model_fields_set)
        changed = differing(project, wanted)
        if not changed:
            return project
        if "name" in changed:
            await self._check_free(changed["name"])
        before = _state(project)
        write(project, changed)
        project.version += 1
        await self._projects.save(project)
        await self._audit.record("project.update", "project", project.id, before=before, after=_state(project))
        return project

    async def delete(self, project_id: UUID, *, expected: int | None) -> None:
        """Takes the project out of sight; its keys are dead and its secrets gone with the commit."""
        project = await self.get(project_id, lock=True)
        check_version(project.version, expected)
        for key_id, name in await self._projects.revoke_keys(project_id):
            await self._audit.record("api-key.revoke", "api-key", key_id, before={"name": name})
        for secret_id, name in await self._projects.destroy_secrets(project_id):
            await self._audit.record("secret.delete", "secret", secret_id, before={"name": name})
        await self._projects.soft_delete(project)
        await self._audit.record("project.delete", "project", project.id, before=_state(project), after=None)

    async def _check_free(self, name: str) -> None:
        if await self._projects.is_named(name):
            message = "A project of this name exists; choose another name"
            raise Conflict(message, details=[Problem(path="name", code="TAKEN", message=message)])


class ProjectLookup:
    """Projects as the slices above meet them; works without a caller too."""

    def __init__(self, scope: TenantScope) -> None:
        self._scope = scope
        self._projects = ProjectRepository(scope)

    async def limits(self, project_id: UUID | None) -> Limits:
        """What bounds each run inside the project; nothing where there is none."""
        project = await self._projects.find(project_id) if project_id is not None else None
        return Limits.model_validate(project.limits) if project is not None else Limits()

    async def budget(self, project_id: UUID) -> dict[str, Any]:
        """What bounds all its runs together; empty where nothing does."""
        project = await self._projects.find(project_id)
        return project.budget if project is not None else {}

    async def problems(self, project_id: UUID | None) -> list[Problem]:
        """What is wrong with putting something into the project, as the caller sees it."""
        bound = self._scope.caller.project_id
        if project_id is None or (bound in (None, project_id) and await self._projects.find(project_id) is not None):
            return []
        message = f"there is no project `{project_id}` that you may use"
        return [Problem(path="projectId", code="UNKNOWN_PROJECT", message=message)]


def shown(project: Project) -> ProjectView:
    """The project as answers show it."""
    view = ProjectView.model_validate(project)
    return view if project.budget else view.model_copy(update={"budget": None})


def _state(project: Project) -> dict[str, Any]:
    return ProjectState.model_validate(project).model_dump(mode="json", by_alias=True)


def _columns(body: ProjectFields | ProjectUpdate, names: frozenset[str] | set[str]) -> dict[str, Any]:
    columns = {name: getattr(body, name) for name in names}
    if "limits" in columns:
        columns["limits"] = body.limits.model_dump(mode="json", by_alias=True, exclude_none=True)
    if "budget" in columns:
        columns["budget"] = _budget(body.budget)
    return columns


def _budget(budget: Budget | None) -> dict[str, Any]:
    return budget.model_dump(mode="json", by_alias=True, exclude_none=True) if budget is not None else {}
