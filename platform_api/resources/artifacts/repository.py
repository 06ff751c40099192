"""Artifacts of one tenant, with the step that each comes from."""

from uuid import UUID

from sqlalchemy import Select, select
from sqlalchemy.orm import aliased
from sqlmodel import col

from platform_api.db.models import Artifact, StepRun
from platform_api.db.repository import Repository
from platform_api.errors import NotFound

Found = tuple[Artifact, StepRun]


class ArtifactRepository(Repository[Artifact]):
    """Read alone: the journal writes them."""

    model = Artifact
    label = "artifact"

    async def with_step(self, artifact_id: UUID) -> Found:
        """An artifact and the step that made it; raises `NotFound`."""
        statement = (
            select(Artifact, StepRun)
            .join(StepRun, col(StepRun.id) == col(Artifact.step_run_id))
            .where(col(Artifact.tenant_id) == self.tenant_id, col(Artifact.id) == artifact_id)
        )
        row = (await self.session.execute(statement)).one_or_none()
        if row is None:
            raise NotFound(f"There is no {self.label} {artifact_id}")
        return row[0], row[1]

    async def of(self, execution_id: UUID, *, page: int, page_size: int) -> tuple[list[Found], int]:
        """One page of what an execution's steps made, or what the steps made whose results a retry took over."""
        makers = self._makers(execution_id).subquery()
        made = (
            select(Artifact, StepRun)
            .join(makers, makers.c.maker_id == col(Artifact.step_run_id))
            .join(StepRun, col(StepRun.id) == makers.c.id)
            .where(col(Artifact.tenant_id) == self.tenant_id)
        )
        order_by = (col(Artifact.created_at).asc(), col(Artifact.id).asc())
        rows = await self.session.execute(made.order_by(*order_by))
        found = [(row[0], row[1]) for row in rows]
        start = (page - 1) * page_size
        return found[start : start + page_size], len(found)

    def _makers(self, execution_id: UUID) -> Select[tuple[UUID, UUID]]:
        """The execution's own step runs, each with the one that did its work: itself, or what it was reused from."""
        own = (
            select(col(StepRun.id), col(StepRun.id).label("maker_id"), col(StepRun.reused_from).label("earlier"))
            .where(col(StepRun.tenant_id) == self.tenant_id, col(StepRun.execution_id) == execution_id)
            .cte("makers", recursive=True)
        )
        before = aliased(StepRun)
        chain = own.union_all(
            select(own.c.id, col(before.id), col(before.reused_from)).join(before, col(before.id) == own.c.earlier)
        )
        return select(chain.c.id, chain.c.maker_id)
