"""Projects in the database."""

from typing import Any
from uuid import UUID

from sqlalchemy import Select, delete, select, update
from sqlmodel import col

from platform_api.db.conditions import contains_text
from platform_api.db.models import ApiKey, Project, Secret
from platform_api.db.repository import Repository
from platform_api.kit import clock
from platform_api.resources.projects.schemas import ProjectFilters


class ProjectRepository(Repository[Project]):
    """Projects of one tenant."""

    model = Project
    label = "project"

    def filtered(self, filters: ProjectFilters, *, only: UUID | None) -> Select[Any]:
        """The rows that `filters` ask for; `only` that one project where it is given."""
        statement = self.query()
        if only is not None:
            statement = statement.where(col(Project.id) == only)
        if filters.search:
            statement = statement.where(contains_text(filters.search, col(Project.name), col(Project.description)))
        return statement

    async def is_named(self, name: str) -> bool:
        """Whether a living project has the name."""
        named: Select[Any] = select(col(Project.id)).where(
            col(Project.tenant_id) == self.tenant_id, col(Project.deleted_at).is_(None), col(Project.name) == name
        )
        return (await self.session.execute(named)).first() is not None

    async def revoke_keys(self, project_id: UUID) -> list[tuple[UUID, str]]:
        """Revokes the keys that are bound to the project; gives id and name of each."""
        keys = update(ApiKey).where(col(ApiKey.project_id) == project_id, col(ApiKey.tenant_id) == self.tenant_id)
        revoked = keys.where(col(ApiKey.revoked_at).is_(None)).values(revoked_at=clock.now())
        rows = await self.session.execute(revoked.returning(col(ApiKey.id), col(ApiKey.name)))
        return [(row.id, row.name) for row in rows]

    async def destroy_secrets(self, project_id: UUID) -> list[tuple[UUID, str]]:
        """Destroys the project's secrets; gives id and name of each."""
        secrets = delete(Secret).where(col(Secret.project_id) == project_id, col(Secret.tenant_id) == self.tenant_id)
        rows = await self.session.execute(secrets.returning(col(Secret.id), col(Secret.name)))
        return [(row.id, row.name) for row in rows]
