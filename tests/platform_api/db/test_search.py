"""Searches of a large tenant use their indexes under row-level security."""

from typing import Any

from sqlalchemy import Select, func, select, text
from sqlalchemy.dialects.postgresql import dialect
from sqlmodel import col

from platform_api.access.scope import system_scope, tenant_scope
from platform_api.db.engine import Sessions
from platform_api.db.models import Agent, Tenant, Workflow
from tests.factories.tenants import create_tenant, create_user

ROWS = 60_000
FILL_AGENTS = text("""
    insert into agents (id, tenant_id, user_id, name, description, type, tags)
    select gen_random_uuid(), :tenant, :user, 'agent ' || md5(n::text), 'does ' || md5((-n)::text), 'CODE',
           array['tag' || n % 5000]
    from generate_series(1, :rows) n
""")
FILL_WORKFLOWS = text("""
    insert into workflows (id, tenant_id, user_id, name, slug, tags)
    select gen_random_uuid(), :tenant, :user, 'workflow ' || md5(n::text), 'w' || n, array['tag' || n % 5000]
    from generate_series(1, :rows) n
""")


async def plan_of(sessions: Sessions, tenant: Tenant, query: Select[Any]) -> str:
    """The plan that the tenant's role gets."""
    statement = str(query.compile(dialect=dialect(), compile_kwargs={"literal_binds": True}))
    async with tenant_scope(sessions, tenant.id) as scope:
        lines = (await scope.session.execute(text(f"explain {statement}".replace(":", "\\:")))).scalars()
        return "\n".join(lines)


async def fill(sessions: Sessions, statement: Any, table: str) -> Tenant:
    tenant = await create_tenant(sessions)
    user = await create_user(sessions, tenant)
    async with system_scope(sessions) as scope:
        await scope.session.execute(statement, {"tenant": tenant.id, "user": user.id, "rows": ROWS})
        await scope.session.execute(text(f"analyze {table}"))
    return tenant


async def test_agents_of_a_large_tenant_are_found_by_index(fresh_sessions: Sessions) -> None:
    tenant = await fill(fresh_sessions, FILL_AGENTS, "agents")
    by_name = select(Agent.id).where(col(Agent.name).ilike("%C4CA4238A0B9%"))
    either = select(Agent.id).where(
        col(Agent.name).ilike("%c4ca4238a0b9%") | col(Agent.description).ilike("%c4ca4238a0b9%")
    )
    by_tag = select(Agent.id).where(col(Agent.tags).contains(["tag77"]))  # type: ignore[attr-defined]
    assert "ix_agents_name" in await plan_of(fresh_sessions, tenant, by_name)
    plan = await plan_of(fresh_sessions, tenant, either)
    assert "ix_agents_name" in plan
    assert "ix_agents_description" in plan
    assert "ix_agents_tags" in await plan_of(fresh_sessions, tenant, by_tag)
    async with tenant_scope(fresh_sessions, tenant.id) as scope:
        assert len((await scope.session.execute(by_name)).all()) == 1
        assert len((await scope.session.execute(by_tag)).all()) == ROWS // 5000
    async with tenant_scope(fresh_sessions, (await create_tenant(fresh_sessions)).id) as scope:
        count = select(func.count()).select_from(by_tag.subquery())
        assert (await scope.session.execute(count)).scalar_one() == 0


async def test_workflows_of_a_large_tenant_are_found_by_index(fresh_sessions: Sessions) -> None:
    tenant = await fill(fresh_sessions, FILL_WORKFLOWS, "workflows")
    by_name = select(Workflow.id).where(col(Workflow.name).ilike("%c4ca4238a0b9%"))
    assert "ix_workflows_name" in await plan_of(fresh_sessions, tenant, by_name)
