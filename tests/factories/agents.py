"""Agents as rows."""

from typing import Any
from uuid import uuid4

from agents.spec import AgentType
from platform_api.access.scope import system_scope
from platform_api.db.engine import Sessions
from platform_api.db.enums import ResourceStatus
from platform_api.db.models import Agent, Tenant, User
from tests.factories.tenants import create_user


async def create_agent(sessions: Sessions, tenant: Tenant, user: User | None = None, **values: Any) -> Agent:
    """An active CODE agent, of a new member of the tenant unless its owner is given."""
    owner = user or await create_user(sessions, tenant)
    defaults = {"name": f"Agent {uuid4().hex}", "type": AgentType.CODE, "status": ResourceStatus.ACTIVE}
    agent = Agent(**{"tenant_id": tenant.id, "user_id": owner.id, **defaults, **values})
    async with system_scope(sessions) as scope:
        scope.session.add(agent)
    return agent
