"""LLM providers in the database."""

from typing import Any

from sqlalchemy import Select, select
from sqlmodel import col

from platform_api.db.models import LlmProvider
from platform_api.db.repository import Repository
from platform_api.resources.llm_providers.schemas import ProviderFilters


class LlmProviderRepository(Repository[LlmProvider]):
    """Providers of one tenant."""

    model = LlmProvider
    label = "LLM provider"

    def filtered(self, filters: ProviderFilters) -> Select[Any]:
        """The rows that `filters` ask for."""
        statement = self.query()
        if filters.kind is not None:
            statement = statement.where(col(LlmProvider.kind) == filters.kind)
        if filters.is_active is not None:
            statement = statement.where(col(LlmProvider.is_active) == filters.is_active)
        return statement

    async def is_named(self, name: str) -> bool:
        """Whether a living provider has the name."""
        named: Select[Any] = select(col(LlmProvider.id)).where(
            col(LlmProvider.tenant_id) == self.tenant_id,
            col(LlmProvider.deleted_at).is_(None),
            col(LlmProvider.name) == name,
        )
        return (await self.session.execute(named)).first() is not None

    async def active(self) -> list[LlmProvider]:
        """Those that runs may ask, in the order in which they are asked."""
        statement: Select[tuple[LlmProvider]] = self.query().where(col(LlmProvider.is_active))
        found = await self.session.execute(statement.order_by(col(LlmProvider.priority), col(LlmProvider.id)))
        return list(found.scalars())
