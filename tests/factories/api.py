"""Callers of the REST contract, and bodies that it takes."""

from dataclasses import dataclass
from typing import Any
from uuid import UUID, uuid4

import httpx

from platform_api.access.keys import new_user_key
from platform_api.access.principal import TenantRole
from platform_api.access.scope import system_scope
from platform_api.access.tokens import Tokens
from platform_api.db.engine import Sessions
from platform_api.db.models import ApiKey, Tenant
from platform_api.resources.sessions.login import LoginSessions
from platform_api.settings import Settings
from tests.factories.tenants import create_user
from tests.fixtures.http import bearer, register


@dataclass(frozen=True, kw_only=True)
class Api:
    """The API as one caller uses it; paths begin behind `/api/v1`."""

    client: httpx.AsyncClient
    headers: dict[str, str]
    tenant_id: UUID
    user_id: UUID

    async def get(self, path: str, **params: Any) -> httpx.Response:
        return await self.client.get(f"/api/v1{path}", headers=self.headers, params=params)

    async def send(self, method: str, path: str, body: Any = None, **headers: str) -> httpx.Response:
        return await self.client.request(method, f"/api/v1{path}", headers={**self.headers, **headers}, json=body)

    async def post(self, path: str, body: Any = None) -> httpx.Response:
        return await self.send("POST", path, {} if body is None else body)

    async def patch(self, path: str, body: Any, **headers: str) -> httpx.Response:
        return await self.send("PATCH", path, body, **headers)

    async def made(self, path: str, body: Any) -> dict[str, Any]:
        """What a POST created."""
        answer = await self.post(path, body)
        assert answer.status_code == 201, answer.text
        data: dict[str, Any] = answer.json()["data"]
        return data

    async def active_agent(self, **fields: Any) -> dict[str, Any]:
        """A new agent that may run."""
        agent = await self.made("/agents", agent_body(**fields))
        answer = await self.patch(f"/agents/{agent['id']}", {"status": "ACTIVE"})
        assert answer.status_code == 200, answer.text
        data: dict[str, Any] = answer.json()["data"]
        return data

    async def active_workflow(self, **fields: Any) -> dict[str, Any]:
        """A new workflow that may start, with one step unless `steps` are given."""
        if "steps" not in fields:
            agent = await self.active_agent()
            fields["steps"] = [step("load", agent)]
        return await self.made("/workflows", workflow_body(status="ACTIVE", **fields))


async def owner(client: httpx.AsyncClient) -> Api:
    """The owner of a new tenant."""
    member = await register(client)
    return Api(
        client=client,
        headers=member.headers,
        tenant_id=UUID(member.tenant["id"]),
        user_id=UUID(member.user["id"]),
    )


async def colleague(api: Api, sessions: Sessions, settings: Settings, role: TenantRole) -> Api:
    """A new member of the same tenant."""
    async with system_scope(sessions) as scope:
        tenant = await scope.session.get_one(Tenant, api.tenant_id)
    user = await create_user(sessions, tenant, tenant_role=role)
    async with system_scope(sessions) as scope:
        issued = await LoginSessions(scope, Tokens(settings.auth)).open(user_id=user.id, tenant_id=tenant.id)
    return Api(client=api.client, headers=bearer(issued.access_token), tenant_id=tenant.id, user_id=user.id)


async def by_key(api: Api, sessions: Sessions, *scopes: str) -> Api:
    """The same person with a key that is limited to `scopes`."""
    key = new_user_key()
    row = ApiKey(
        tenant_id=api.tenant_id,
        user_id=api.user_id,
        name="test",
        key_prefix=key.prefix,
        key_hash=key.hash,
        scopes=list(scopes),
    )
    async with system_scope(sessions) as scope:
        scope.session.add(row)
    return Api(client=api.client, headers={"X-API-Key": key.text}, tenant_id=api.tenant_id, user_id=api.user_id)


def agent_body(**fields: Any) -> dict[str, Any]:
    """A sound CODE agent."""
    config = {"language": "python", "code": "def main(input):\n    return input\n"}
    return {"name": f"Agent {uuid4().hex[:8]}", "type": "CODE", "config": config, **fields}


def workflow_body(**fields: Any) -> dict[str, Any]:
    """A workflow; its steps are the caller's."""
    return {"name": f"Workflow {uuid4().hex[:8]}", **fields}


def step(key: str, agent: dict[str, Any], **fields: Any) -> dict[str, Any]:
    """One AGENT step."""
    return {"stepKey": key, "type": "AGENT", "agentId": agent["id"], **fields}
