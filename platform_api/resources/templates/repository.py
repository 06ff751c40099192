"""Templates in the database: a tenant's own, and those that a reader sees, whoever's they are."""

from collections.abc import Sequence
from typing import Any
from uuid import UUID

from sqlalchemy import ColumnElement, Select, and_, or_, select, text
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.ext.asyncio import AsyncSession
from sqlmodel import col

from platform_api.access.principal import Principal
from platform_api.db.conditions import contains_text
from platform_api.db.models import Template
from platform_api.db.repository import Repository
from platform_api.errors import NotFound
from platform_api.resources.agents.visibility import reach
from platform_api.resources.templates.filters import TemplateFilters

SORTABLE = {
    "createdAt": col(Template.created_at),
    "updatedAt": col(Template.updated_at),
    "name": col(Template.name),
    "usageCount": col(Template.usage_count),
}
_COUNT_USE = text("select count_template_use(:template_id)")
_READABLE = text("select * from readable_template(:template_id)")
_CONTENT = ("name", "description", "category", "type", "definition", "parameters", "tags")


class TemplateRepository(Repository[Template]):
    """Templates of one tenant."""

    model = Template
    label = "template of yours"

    async def readable(self, template_id: UUID) -> Template:
        """The tenant's own, or a public one of anybody; raises `NotFound`. One of another tenant is read-only."""
        statement = select(Template).from_statement(_READABLE)
        row: Template | None = (
            await self.session.execute(statement, {"template_id": template_id})
        ).scalar_one_or_none()
        if row is None:
            raise NotFound(f"There is no template {template_id}")
        return row

    async def count_use(self, template_id: UUID) -> None:
        """Adds one to `usage_count`, whoever's the template is; the row stays locked until the transaction ends."""
        await self.session.execute(_COUNT_USE, {"template_id": template_id})


class TemplateCatalogue(Repository[Template]):
    """Public templates of all tenants and of none, and where there is a reader those of the reader's tenant."""

    model = Template
    label = "template"

    def __init__(self, session: AsyncSession, reader: Principal | None) -> None:
        self.session = session
        self._reader = reader

    def query(self) -> Select[Any]:
        """Living rows that are public or of the reader's tenant."""
        known: ColumnElement[bool] = col(Template.is_public).is_(True)
        if self._reader is not None:
            known = or_(known, col(Template.tenant_id) == self._reader.tenant_id)
        return select(Template).where(col(Template.deleted_at).is_(None), known)

    def filtered(self, filters: TemplateFilters) -> Select[Any]:
        """What the reader may read of it, as far as `filters` ask for it."""
        statement = self.query().where(self._readable())
        if filters.category:
            statement = statement.where(col(Template.category).in_(filters.category))
        if filters.type:
            statement = statement.where(col(Template.type).in_(filters.type))
        if filters.is_official is not None:
            statement = statement.where(col(Template.is_official).is_(filters.is_official))
        if filters.is_public is not None:
            statement = statement.where(col(Template.is_public).is_(filters.is_public))
        if filters.tags:
            statement = statement.where(col(Template.tags).contains(list(filters.tags)))
        if filters.search:
            statement = statement.where(contains_text(filters.search, col(Template.name), col(Template.description)))
        return statement

    def _readable(self) -> ColumnElement[bool]:
        public = col(Template.is_public).is_(True)
        if self._reader is None or self._reader.project_id is not None:
            return public
        own = col(Template.tenant_id) == self._reader.tenant_id
        user_id = reach(self._reader).user_id
        return or_(public, own if user_id is None else and_(own, col(Template.user_id) == user_id))


class OfficialTemplates:
    """The templates that come with the platform and belong to no tenant."""

    def __init__(self, session: AsyncSession) -> None:
        self._session = session

    async def write(self, rows: Sequence[dict[str, Any]]) -> None:
        """Adds those that are missing and changes those that differ; how often each was used stays."""
        statement = insert(Template).values(list(rows))
        new = {name: statement.excluded[name] for name in _CONTENT}
        differs = or_(*(col(getattr(Template, name)).is_distinct_from(value) for name, value in new.items()))
        await self._session.execute(
            statement.on_conflict_do_update(
                index_elements=["id"],
                set_={**new, "version": col(Template.version) + 1},
                where=and_(col(Template.tenant_id).is_(None), differs),
            )
        )
