"""Two tenants with everything in them that a path can name, for tests that send every caller everywhere.

A new kind of path parameter needs one line in `KINDS`: who makes such a thing, and who may reach it.
"""

from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any
from uuid import UUID, uuid4

import httpx
import polars as pl
import pytest
from sqlalchemy import update
from sqlmodel import col

from platform_api.access.principal import PlatformRole, TenantRole
from platform_api.access.scope import system_scope
from platform_api.access.tokens import Tokens
from platform_api.db.engine import Sessions
from platform_api.db.models import Agent, ApiKey, Template, User, UserSession, Workflow
from platform_api.resources.executions import attending
from platform_api.resources.executions.journal import Journal
from platform_api.resources.provider_tests import service as provider_tests
from platform_api.resources.sessions.login import LoginSessions
from platform_api.settings import LimitSettings, Settings
from tests.factories.api import Api, by_key, colleague, owner
from tests.factories.artifacts import make_dataset
from tests.factories.templates import template_body

NARROW = frozenset({"agents:read", "agents:update", "executions:read"})


def unhurried(settings: Settings, monkeypatch: pytest.MonkeyPatch) -> Settings:
    """Nobody calls too often, and nobody waits for the test of an agent, or the end of a run, that nothing runs."""
    monkeypatch.setattr(attending, "GRACE_SECONDS", 0.0)
    monkeypatch.setattr(provider_tests, "GRACE_SECONDS", 0.0)
    generous = {name: 1_000_000 for name in LimitSettings.model_fields if name.endswith("_per_minute")}
    limits = settings.limits.model_copy(update=generous)
    runs = settings.runs.model_copy(update={"agent_test_seconds": 0.01})
    streams = settings.streams.model_copy(update={"seconds": 0.01})
    return settings.model_copy(update={"limits": limits, "runs": runs, "streams": streams})


class Caller(StrEnum):
    """Who calls. Each is in the home tenant; the machine and the narrow key belong to EDITORs there."""

    ANONYMOUS = "anonymous"
    VIEWER = "viewer"
    EDITOR = "editor"
    ADMIN = "admin"
    OWNER = "owner"
    PLATFORM_ADMIN = "platform admin"
    MACHINE_USER = "machine user"
    PROJECT_KEY = "project key"
    NARROW_KEY = "narrow key"


ROLES: Mapping[Caller, tuple[TenantRole, PlatformRole]] = {
    Caller.VIEWER: (TenantRole.VIEWER, PlatformRole.USER),
    Caller.EDITOR: (TenantRole.EDITOR, PlatformRole.USER),
    Caller.ADMIN: (TenantRole.ADMIN, PlatformRole.USER),
    Caller.OWNER: (TenantRole.OWNER, PlatformRole.USER),
    Caller.PLATFORM_ADMIN: (TenantRole.VIEWER, PlatformRole.ADMIN),
    Caller.MACHINE_USER: (TenantRole.EDITOR, PlatformRole.AGENT),
    Caller.NARROW_KEY: (TenantRole.EDITOR, PlatformRole.USER),
}
MANAGERS = frozenset({Caller.ADMIN, Caller.OWNER, Caller.PLATFORM_ADMIN})


class Whose(StrEnum):
    """Whose thing it is that a path names."""

    OWN = "own"
    PRIVATE = "a colleague's"
    PUBLIC = "a colleague's, public"
    FOREIGN = "another tenant's"


@dataclass(kw_only=True)
class World:
    """The tenants. `home` makes things and hands them to whom they shall belong."""

    client: httpx.AsyncClient
    sessions: Sessions
    settings: Settings
    home: Api
    mate: Api
    foreign: Api
    project: dict[str, Any]
    project_key: str
    agents: dict[UUID, dict[str, Any]] = field(default_factory=dict)

    @classmethod
    async def build(cls, client: httpx.AsyncClient, sessions: Sessions, settings: Settings) -> "World":
        """Both tenants, a colleague and a project."""
        home, foreign = await owner(client), await owner(client)
        created = await home.made("/projects", {"name": "the caller's"})
        return cls(
            client=client,
            sessions=sessions,
            settings=settings,
            home=home,
            mate=await colleague(home, sessions, settings, TenantRole.EDITOR),
            foreign=foreign,
            project=created["project"],
            project_key=created["apiKey"],
        )

    async def caller(self, kind: Caller) -> Api:
        """Somebody new of this kind."""
        if kind is Caller.ANONYMOUS:
            return Api(client=self.client, headers={}, tenant_id=self.home.tenant_id, user_id=self.home.user_id)
        if kind is Caller.PROJECT_KEY:
            headers = {"X-API-Key": self.project_key}
            return Api(client=self.client, headers=headers, tenant_id=self.home.tenant_id, user_id=self.home.user_id)
        role, platform_role = ROLES[kind]
        api = await colleague(self.home, self.sessions, self.settings, role)
        await self.change(User, api.user_id, role=platform_role)
        return await by_key(api, self.sessions, *NARROW) if kind is Caller.NARROW_KEY else api

    def maker(self, whose: Whose) -> Api:
        """Who makes a thing that shall be `whose`."""
        return self.foreign if whose is Whose.FOREIGN else self.home

    def owner(self, caller: Api, whose: Whose) -> UUID:
        """Whom it shall belong to."""
        if whose is Whose.FOREIGN:
            return self.foreign.user_id
        return caller.user_id if whose is Whose.OWN else self.mate.user_id

    async def hand_over(self, model: Any, row_id: str, caller: Api, whose: Whose) -> None:
        """Gives a row to its owner; what is a project key's own lies in its project."""
        values: dict[str, Any] = {"user_id": self.owner(caller, whose), "is_public": whose is Whose.PUBLIC}
        if whose is Whose.OWN and self.is_project_key(caller) and hasattr(model, "project_id"):
            values["project_id"] = UUID(self.project["id"])
        await self.change(model, UUID(row_id), **values)

    def is_project_key(self, caller: Api) -> bool:
        """Whether the caller is the project itself."""
        return caller.headers.get("X-API-Key") == self.project_key

    async def change(self, model: Any, row_id: UUID, **values: Any) -> None:
        """Writes to a row behind the API's back."""
        async with system_scope(self.sessions) as scope:
            await scope.session.execute(update(model).where(col(model.id) == row_id).values(**values))

    async def shared_agent(self, api: Api) -> dict[str, Any]:
        """An ACTIVE agent that everybody in the tenant may use, also the project."""
        if api.tenant_id not in self.agents:
            agent = await api.active_agent(isPublic=True)
            project_id = UUID(self.project["id"]) if api is self.home else None
            await self.change(Agent, UUID(agent["id"]), project_id=project_id)
            self.agents[api.tenant_id] = agent
        return self.agents[api.tenant_id]


async def _agent(world: World, caller: Api, whose: Whose) -> dict[str, str]:
    agent = await world.maker(whose).active_agent()
    await world.hand_over(Agent, agent["id"], caller, whose)
    return {"agent_id": agent["id"]}


async def _workflow(world: World, caller: Api, whose: Whose) -> dict[str, str]:
    maker = world.maker(whose)
    agent = await world.shared_agent(maker)
    step = {"stepKey": "only", "agentId": agent["id"]}
    workflow = await maker.active_workflow(steps=[step])
    await world.hand_over(Workflow, workflow["id"], caller, whose)
    return {"workflow_id": workflow["id"], "number": "1"}


async def _execution(world: World, caller: Api, whose: Whose) -> dict[str, str]:
    found = await _workflow(world, caller, whose)
    started = await world.maker(whose).made(f"/workflows/{found['workflow_id']}/execute", {})
    return {"execution_id": started["executionId"]}


async def _artifact(world: World, caller: Api, whose: Whose) -> dict[str, str]:
    execution = await _execution(world, caller, whose)
    journal, key = Journal(world.sessions, world.maker(whose).tenant_id), UUID(execution["execution_id"])
    await journal.run_started(key, prefect_flow_run_id=uuid4(), run_count=1)
    await make_dataset(world.settings, journal, key, pl.DataFrame({"a": [1]}))
    listed = await world.maker(whose).get(f"/executions/{key}/artifacts")
    return {"artifact_id": listed.json()["data"][0]["id"]}


async def _template(world: World, caller: Api, whose: Whose) -> dict[str, str]:
    template = await world.maker(whose).made("/templates", template_body())
    await world.hand_over(Template, template["id"], caller, whose)
    return {"template_id": template["id"]}


async def _project(world: World, caller: Api, whose: Whose) -> dict[str, str]:
    if whose is Whose.OWN and world.is_project_key(caller):
        return {"project_id": world.project["id"]}
    created = await world.maker(whose).made("/projects", {"name": f"Project {uuid4().hex}"})
    return {"project_id": created["project"]["id"]}


async def _provider(world: World, caller: Api, whose: Whose) -> dict[str, str]:
    provider = await world.maker(whose).made("/llm-providers", {"name": f"Provider {uuid4().hex}", "kind": "FAKE"})
    return {"provider_id": provider["id"]}


async def _key(world: World, caller: Api, whose: Whose) -> dict[str, str]:
    key = await world.maker(whose).made("/api-keys", {"name": "theirs", "scopes": ["agents:read"]})
    await world.change(ApiKey, UUID(key["id"]), user_id=world.owner(caller, whose))
    return {"key_id": key["id"]}


async def _secret(world: World, caller: Api, whose: Whose) -> dict[str, str]:
    name = f"S{uuid4().hex}"
    await world.maker(whose).send("PUT", f"/secrets/{name}", {"value": "hidden"})
    return {"name": name}


async def _project_secret(world: World, caller: Api, whose: Whose) -> dict[str, str]:
    project, name = await _project(world, caller, whose), f"S{uuid4().hex}"
    await world.maker(whose).send("PUT", f"/projects/{project['project_id']}/secrets/{name}", {"value": "hidden"})
    return {**project, "name": name}


async def _session(world: World, caller: Api, whose: Whose) -> dict[str, str]:
    user_id, tenant_id = world.owner(caller, whose), world.maker(whose).tenant_id
    async with system_scope(world.sessions) as scope:
        tokens = Tokens(world.settings.auth)
        issued = await LoginSessions(scope, tokens).open(user_id=user_id, tenant_id=tenant_id)
        row = await scope.session.get_one(UserSession, tokens.read_refresh(issued.refresh_token).session_id)
    return {"session_id": str(row.family_id)}


async def _invitation(world: World, caller: Api, whose: Whose) -> dict[str, str]:
    body = {"email": f"{uuid4().hex}@example.com", "role": "VIEWER"}
    added = await world.maker(whose).made("/tenants/current/members", body)
    return {"invitation_id": added["invitationId"]}


async def _user(world: World, caller: Api, whose: Whose) -> dict[str, str]:
    if whose is Whose.OWN:
        return {"user_id": str(caller.user_id)}
    somebody = await colleague(world.maker(whose), world.sessions, world.settings, TenantRole.EDITOR)
    return {"user_id": str(somebody.user_id)}


def _owned(caller: Caller, whose: Whose, action: str) -> int | None:
    """Agents, workflows and what follows them (decision 4)."""
    if whose is Whose.FOREIGN:
        return 404
    if caller is Caller.PROJECT_KEY:
        return None if whose is Whose.OWN else 403
    if whose is Whose.OWN or caller in MANAGERS:
        return None
    return 403 if whose is Whose.PRIVATE or action in ("update", "delete") else None


def _offered(caller: Caller, whose: Whose, action: str) -> int | None:
    """Templates: public ones are everybody's to read, and lie in no project."""
    if action == "read" and whose is Whose.PUBLIC:
        return None
    if caller is Caller.ANONYMOUS:
        return 404
    return 403 if caller is Caller.PROJECT_KEY and whose is not Whose.FOREIGN else _owned(caller, whose, action)


def _of_tenant(caller: Caller, whose: Whose, _action: str) -> int | None:
    """Every member's who has the permission; a project's key has its own project alone."""
    if whose is Whose.FOREIGN:
        return 404
    return 403 if caller is Caller.PROJECT_KEY and whose is not Whose.OWN else None


def _named(caller: Caller, whose: Whose, action: str) -> int | None:
    """A tenant's secret: another tenant's name is free here, and nothing is told of it."""
    return 404 if whose is Whose.FOREIGN and action == "delete" else None


def _personal(caller: Caller, whose: Whose, action: str) -> int | None:
    """Keys: one's own; managers see and revoke everybody's, and rotate (update) nobody else's."""
    if whose is Whose.FOREIGN:
        return 404
    may = whose is Whose.OWN or (caller in MANAGERS and action != "update")
    return None if may else 403


def _hidden(caller: Caller, whose: Whose, _action: str) -> int | None:
    """Sessions: nobody learns of another's."""
    if caller is Caller.PROJECT_KEY:
        return 403  # stands for nobody
    return None if whose is Whose.OWN else 404


def _member(caller: Caller, whose: Whose, action: str) -> int | None:
    """Members: everybody sees all and leaves, managers remove and change others."""
    if whose is Whose.FOREIGN:
        return 404
    return None if whose is Whose.OWN or caller in MANAGERS or action == "read" else 403


def _anywhere(_caller: Caller, _whose: Whose, _action: str) -> int | None:
    """Users: the platform administrator's, in all tenants."""
    return None


@dataclass(frozen=True)
class Kind:
    """What a path's parameters stand for: how one is made, and the refusal (None: none) beyond the permission."""

    make: Callable[[World, Api, Whose], Awaitable[dict[str, str]]]
    refusal: Callable[[Caller, Whose, str], int | None]
    shareable: bool = False
    """Whether a colleague's can be public."""


KINDS: Mapping[str, Kind] = {
    "/agents/{agent_id}": Kind(_agent, _owned, shareable=True),
    "/artifacts/{artifact_id}": Kind(_artifact, _owned, shareable=True),
    "/api-keys/{key_id}": Kind(_key, _personal),
    "/auth/sessions/{session_id}": Kind(_session, _hidden),
    "/executions/{execution_id}": Kind(_execution, _owned, shareable=True),
    "/llm-providers/{provider_id}": Kind(_provider, _of_tenant),
    "/projects/{project_id}": Kind(_project, _of_tenant),
    "/projects/{project_id}/secrets/{name}": Kind(_project_secret, _of_tenant),
    "/secrets/{name}": Kind(_secret, _named),
    "/templates/{template_id}": Kind(_template, _offered, shareable=True),
    "/tenants/current/invitations/{invitation_id}": Kind(_invitation, _of_tenant),
    "/tenants/current/members/{user_id}": Kind(_user, _member),
    "/users/{user_id}": Kind(_user, _anywhere),
    "/workflows/{workflow_id}": Kind(_workflow, _owned, shareable=True),
}
"""By the path up to the last parameter that names a thing."""


def kind_of(path: str) -> Kind:
    """The kind that a path below `/api/v1` names; raises `KeyError` for one that nobody has described yet."""
    known = [each for each in KINDS if path == each or path.startswith(each + "/")]
    return KINDS[max(known, key=len)] if known else KINDS[path]
