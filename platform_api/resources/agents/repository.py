"""Agents and their versions in the database."""

from collections.abc import Iterable, Sequence
from typing import Any
from uuid import UUID

from sqlalchemy import Row, Select, select, text
from sqlmodel import col

from platform_api.db.conditions import asked_for, in_project, public_or_owned
from platform_api.db.enums import ResourceStatus
from platform_api.db.lineage import lineage, next_version
from platform_api.db.models import Agent, AgentVersion, Workflow, WorkflowStep
from platform_api.db.repository import Repository
from platform_api.resources.agents.filters import AgentFilters
from platform_api.resources.agents.visibility import Reach

_HEALTH_OF_EACH = text(
    """
    SELECT wanted.id, recent.*, running, paused OR waiting AS paused
    FROM unnest(cast(:ids AS uuid[])) AS wanted (id)
    CROSS JOIN LATERAL (
        SELECT coalesce(bool_or(status = 'RUNNING'), false) AS running,
            coalesce(bool_or(status = 'PAUSED'), false) AS paused,
            max(started_at) AS newest_open
        FROM step_runs
        WHERE agent_id = wanted.id AND tenant_id = :tenant_id AND status IN ('RUNNING', 'PAUSED')
    ) AS open
    CROSS JOIN LATERAL (
        SELECT count(*) AS runs,
            count(*) FILTER (WHERE status = 'COMPLETED') AS completed,
            coalesce(min(place) FILTER (WHERE status = 'COMPLETED') - 1, count(*)) AS consecutive_failures,
            round(avg(duration_ms))::int AS mean_duration_ms,
            greatest(max(started_at), newest_open) AS last_run_at,
            coalesce(bool_or(run_status = 'PAUSED'), false) AS waiting
        FROM (
            SELECT step.status, step.duration_ms, step.started_at, run.status AS run_status,
                row_number() OVER (ORDER BY step.started_at DESC, step.id DESC) AS place
            FROM step_runs AS step
            JOIN executions AS run ON run.id = step.execution_id
            WHERE step.agent_id = wanted.id AND step.tenant_id = :tenant_id
                AND step.status IN ('COMPLETED', 'FAILED', 'TIMEOUT') AND step.started_at IS NOT NULL
            ORDER BY step.started_at DESC, step.id DESC
            LIMIT 100
        ) AS newest
    ) AS recent
    """
)
"""One query for any number of agents; each costs at most a hundred rows, found by an index."""


class AgentRepository(Repository[Agent]):
    """Agents of one tenant."""

    model = Agent
    label = "agent"

    def filtered(self, filters: AgentFilters, within: Reach) -> Select[Any]:
        """The rows `within` reach that `filters` ask for."""
        visible = (in_project(Agent, within.project_id), public_or_owned(Agent, within.user_id))
        statement = self.query().where(*visible, *asked_for(Agent, filters))
        return statement.where(col(Agent.type).in_(filters.type)) if filters.type else statement

    async def by_ids(self, ids: Iterable[UUID]) -> list[Agent]:
        """Those of `ids` that exist, in no order."""
        wanted = set(ids)
        if not wanted:
            return []
        statement: Select[Any] = self.query().where(col(Agent.id).in_(wanted))
        return list((await self.session.execute(statement)).scalars())

    async def next_version(self, agent_id: UUID) -> int:
        """What a duplicate of the agent is numbered."""
        return await next_version(self.session, Agent, agent_id)

    async def health_of(self, ids: Sequence[UUID]) -> dict[UUID, Row[Any]]:
        """By agent: whether a step of it is `running` or a run of it `paused`, and figures of its newest runs."""
        if not ids:
            return {}
        found = await self.session.execute(_HEALTH_OF_EACH, {"ids": list(ids), "tenant_id": self.tenant_id})
        return {row.id: row for row in found.all()}

    async def active_users(self, agent_id: UUID) -> list[tuple[UUID, str]]:
        """Id and name of each ACTIVE workflow with a step that runs the agent."""
        statement = (
            select(col(Workflow.id), col(Workflow.name))
            .join(WorkflowStep, col(WorkflowStep.workflow_id) == col(Workflow.id))
            .where(
                col(Workflow.tenant_id) == self.tenant_id,
                col(Workflow.deleted_at).is_(None),
                col(Workflow.status) == ResourceStatus.ACTIVE,
                col(WorkflowStep.agent_id) == agent_id,
            )
            .distinct()
            .order_by(col(Workflow.name), col(Workflow.id))
        )
        return [(key, name) for key, name in (await self.session.execute(statement)).all()]


class AgentVersionRepository(Repository[AgentVersion]):
    """Frozen versions of one tenant's agents."""

    model = AgentVersion
    label = "agent version"

    async def of_lineage(
        self, agent_id: UUID, within: Reach, *, page: int, page_size: int
    ) -> tuple[list[AgentVersion], int]:
        """One page of the versions of an agent's whole family, newest first, and how many there are.

        Of members that the caller does not read there are none; of deleted ones there are.
        """
        members = select(col(Agent.id)).where(
            col(Agent.id).in_(lineage(Agent, agent_id)),
            col(Agent.tenant_id) == self.tenant_id,
            in_project(Agent, within.project_id),
            public_or_owned(Agent, within.user_id),
        )
        statement = self.query().where(col(AgentVersion.agent_id).in_(members))
        newest_first = (col(AgentVersion.id).desc(),)  # ids sort by the time at which they were made
        return await self.page(statement, page=page, page_size=page_size, order_by=newest_first)
