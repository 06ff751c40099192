"""Every route that changes something leaves an entry in the audit log, with who, what, from where, before and after.

A new route with a changing method needs a line in `TOLD`, or in `UNTOLD` with the reason why nothing is to be told.
"""

import re
from collections.abc import Awaitable, Callable, Iterator, Mapping
from dataclasses import dataclass, field
from datetime import timedelta
from enum import StrEnum
from typing import Any
from uuid import UUID, uuid4

import httpx
import jwt
import pytest
from fastapi import FastAPI
from sqlalchemy import func, select, text
from sqlmodel import col

from flows.states import ExecutionStatus
from platform_api.access.dependencies import Platform
from platform_api.access.permissions import Permission
from platform_api.access.scope import system_scope
from platform_api.access.tokens import fingerprint
from platform_api.contract.answers import BASE_PATH
from platform_api.db.engine import Sessions
from platform_api.db.enums import ActorKind
from platform_api.db.models import AuditLog, Execution, Secret, StepRun, StepWait, User
from platform_api.kit import clock
from platform_api.resources.auth.lockout import account_id
from platform_api.settings import Settings
from tests.factories.api import Api, agent_body, by_key, step
from tests.factories.bodies import Bodies
from tests.factories.canary import traces_of
from tests.factories.previews import LAZY, a_fused_run, ended
from tests.factories.routes import Walked, walk
from tests.factories.world import Caller, Whose, World, kind_of, unhurried
from tests.fixtures.http import PASSWORD, Member, error_of, register
from tests.fixtures.mail import mail_to, text_of, token_to

CHANGING = frozenset({"POST", "PUT", "PATCH", "DELETE"})
NEW_PASSWORD = "Another-One-2"
_SECRETS = frozenset({"password", "newPassword", "currentPassword", "token", "refreshToken", "accessToken", "key"})
_SECRETS |= {"apiKey", "value"}
"""Fields of requests and answers whose text no entry may hold; in requests every `canary()` too."""


class Shape(StrEnum):
    """What an entry shows of the resource."""

    MADE = "after alone"
    CHANGED = "before and after"
    GONE = "before alone"
    EVENT = "something happened; no resource is another one now"


@dataclass(kw_only=True)
class Call:
    """One request as it is sent; `person` is who answers for it."""

    api: Api
    ids: dict[str, str] = field(default_factory=dict)
    body: Any = None
    person: UUID | None = None
    answer: Any = None

    @property
    def user_id(self) -> UUID:
        """Whom the entry must name."""
        return self.person or self.api.user_id


@dataclass(kw_only=True)
class Stage:
    """What a call is prepared with."""

    app: FastAPI
    world: World
    sessions: Sessions


Find = Callable[[Call], Any]
Prepare = Callable[[Stage], Awaitable[Call]]


@dataclass(frozen=True)
class Told:
    """The entry that a successful call leaves; `prepare` where the document's example does not do."""

    action: str
    resource: str
    shape: Shape
    resource_id: Find
    prepare: Prepare | None = None


def canary() -> str:
    return f"canary-{uuid4().hex}"


def named(parameter: str) -> Find:
    """The resource that the path names."""
    return lambda call: call.ids[parameter]


def answered(*path: str) -> Find:
    """The resource that the answer shows."""

    def find(call: Call) -> Any:
        found = call.answer
        for each in path:
            found = found[int(each)] if isinstance(found, list) else found[each]
        return found

    return find


def caller(call: Call) -> Any:
    return call.user_id


def tenant(call: Call) -> Any:
    return call.api.tenant_id


def account(call: Call) -> Any:
    return account_id(call.ids["email"])


def the_session(call: Call) -> Any:
    token = call.api.headers["Authorization"].removeprefix("Bearer ")
    return jwt.decode(token, options={"verify_signature": False})["sid"]


async def own(stage: Stage, path: str, body: Any = None, who: Caller = Caller.OWNER) -> Call:
    """A new caller with what the path names."""
    api = await stage.world.caller(who)
    ids = await kind_of(path).make(stage.world, api, Whose.OWN) if "{" in path else {}
    return Call(api=api, ids=ids, body=body)


def sending(path: str, body: Callable[[], Any], who: Caller = Caller.OWNER) -> Prepare:
    """A body of the test's own."""
    return lambda stage: own(stage, path, body(), who)


def visit(stage: Stage, member: Member, body: Any) -> Call:
    """Somebody without a token."""
    api = Api(
        client=stage.world.client, headers={}, tenant_id=UUID(member.tenant["id"]), user_id=UUID(member.user["id"])
    )
    return Call(api=api, ids={"email": member.email}, body=body)


async def registering(stage: Stage) -> Call:
    api = await stage.world.caller(Caller.ANONYMOUS)
    email = f"{uuid4().hex}@example.com"
    return Call(api=api, ids={"email": email}, body={"email": email, "password": PASSWORD, "fullName": "Ada"})


async def logging_in(stage: Stage) -> Call:
    member = await register(stage.world.client)
    return visit(stage, member, {"email": member.email, "password": PASSWORD})


async def naming_an_address(stage: Stage) -> Call:
    member = await register(stage.world.client)
    return visit(stage, member, {"email": member.email})


async def resetting(stage: Stage) -> Call:
    member = await register(stage.world.client)
    await stage.world.client.post(f"{BASE_PATH}/auth/forgot-password", json={"email": member.email})
    token = await token_to(stage.app, member.email, "reset-password")
    return visit(stage, member, {"token": token, "newPassword": NEW_PASSWORD})


async def verifying(stage: Stage) -> Call:
    member = await register(stage.world.client)
    return visit(stage, member, {"token": await token_to(stage.app, member.email, "verify-email")})


async def changing_password(stage: Stage) -> Call:
    member = await register(stage.world.client)
    call = visit(stage, member, {"currentPassword": PASSWORD, "newPassword": NEW_PASSWORD})
    call.api.headers.update(member.headers)
    return call


async def joining(stage: Stage) -> Call:
    home, email = stage.world.home, f"{uuid4().hex}@example.com"
    await home.made("/tenants/current/members", {"email": email, "role": "VIEWER"})
    token = await token_to(stage.app, email, "accept-invitation")
    api = Api(client=home.client, headers={}, tenant_id=home.tenant_id, user_id=home.user_id)
    return Call(api=api, ids={"email": email}, body={"token": token, "password": PASSWORD, "fullName": "Grace"})


async def answering(stage: Stage) -> Call:
    """A form that waits to be filled in."""
    call = await own(stage, EXECUTION, {"path": "ask", "data": {"text": canary()}})
    asked: dict[str, Any] = {
        "tenant_id": call.api.tenant_id,
        "execution_id": UUID(call.ids["execution_id"]),
        "path": "ask",
    }
    step_run = StepRun(step_key="ask", **asked)
    async with system_scope(stage.sessions) as scope:
        scope.session.add(step_run)
        await scope.session.flush()
        scope.session.add(StepWait(step_run_id=step_run.id, kind="input", **asked))
    return call


async def going_on(stage: Stage, path: str = "/executions/{execution_id}") -> Call:
    """A run that has failed."""
    call = await own(stage, path, {})
    values = {"status": ExecutionStatus.FAILED, "completed_at": clock.now()}
    await stage.world.change(Execution, UUID(call.ids["execution_id"]), **values)
    return call


async def previewing(stage: Stage) -> Call:
    """A step whose table nobody has computed yet."""
    api = await stage.world.caller(Caller.OWNER)
    made = await a_fused_run(api)
    await stage.world.change(Execution, UUID(made["executionId"]), status=ExecutionStatus.RUNNING)
    await ended(stage.sessions, api, made["executionId"], "load", made["loader"]["id"], LAZY)
    return Call(api=api, ids={"execution_id": made["executionId"]}, body={"path": "load"})


async def restoring(stage: Stage) -> Call:
    call = await own(stage, "/workflows/{workflow_id}/versions/{number}")
    agent = await stage.world.shared_agent(stage.world.home)
    answer = await call.api.patch(f"/workflows/{call.ids['workflow_id']}", {"steps": [step("another", agent)]})
    assert answer.status_code == 200, answer.text
    return call


AGENT, WORKFLOW, TEMPLATE = "/agents/{agent_id}", "/workflows/{workflow_id}", "/templates/{template_id}"
PROJECT, KEY, SECRET = "/projects/{project_id}", "/api-keys/{key_id}", "/secrets/{name}"
PROJECTS_SECRET, MEMBERS = "/projects/{project_id}/secrets/{name}", "/tenants/current/members"
MEMBER, INVITATION = "/tenants/current/members/{user_id}", "/tenants/current/invitations/{invitation_id}"
EXECUTION, PROVIDER = "/executions/{execution_id}", "/llm-providers/{provider_id}"
RESTORE = "/workflows/{workflow_id}/versions/{number}/restore"
MADE, CHANGED, GONE, EVENT = Shape


def a_secret() -> Any:
    return {"value": canary()}


def a_provider() -> Any:
    credentials = {"apiKey": canary(), "headers": {"X-Team": canary()}}
    return {"name": f"Provider {uuid4().hex}", "kind": "OPENAI", "credentials": credentials}


TOLD: Mapping[tuple[str, str], Told] = {
    ("POST", "/agents"): Told("agent.create", "agent", MADE, answered("id")),
    ("PATCH", AGENT): Told("agent.update", "agent", CHANGED, named("agent_id")),
    ("PUT", AGENT): Told("agent.update", "agent", CHANGED, named("agent_id")),
    ("DELETE", AGENT): Told("agent.delete", "agent", GONE, named("agent_id")),
    ("POST", f"{AGENT}/duplicate"): Told("agent.duplicate", "agent", MADE, answered("id")),
    ("POST", f"{AGENT}/test"): Told(
        *("agent.test", "agent", EVENT, named("agent_id")), sending(AGENT, lambda: {"input": {"text": canary()}})
    ),
    ("POST", "/api-keys"): Told("api-key.create", "api-key", MADE, answered("id")),
    ("POST", f"{KEY}/rotate"): Told("api-key.rotate", "api-key", CHANGED, named("key_id")),
    ("DELETE", KEY): Told("api-key.revoke", "api-key", GONE, named("key_id")),
    ("POST", "/auth/register"): Told("auth.register", "user", MADE, answered("user", "id"), registering),
    ("POST", "/auth/login"): Told("auth.login", "account", EVENT, account, logging_in),
    ("POST", "/auth/logout"): Told("auth.logout", "session", EVENT, the_session),
    ("POST", "/auth/forgot-password"): Told("auth.password_forgotten", "user", EVENT, caller, naming_an_address),
    ("POST", "/auth/reset-password"): Told("auth.password_reset", "account", EVENT, account, resetting),
    ("POST", "/auth/verify-email"): Told("auth.email_verified", "user", CHANGED, caller, verifying),
    ("POST", "/auth/resend-verification"): Told("auth.verification_asked", "user", EVENT, caller, naming_an_address),
    ("POST", "/auth/accept-invitation"): Told("member.join", "user", MADE, answered("user", "id"), joining),
    ("POST", "/auth/switch-tenant"): Told("auth.switch_tenant", "tenant", EVENT, tenant),
    ("DELETE", "/auth/sessions/{session_id}"): Told("auth.session_end", "session", EVENT, named("session_id")),
    ("POST", "/events"): Told(
        *("event.deliver", "event", EVENT, lambda call: None),
        sending("/events", lambda: {"type": "order.paid", "data": {"text": canary()}}),
    ),
    ("POST", f"{EXECUTION}/cancel"): Told("execution.cancel", "execution", CHANGED, named("execution_id")),
    ("POST", f"{EXECUTION}/retry"): Told("execution.retry", "execution", MADE, answered("executionId"), going_on),
    ("POST", "/executions/retry"): Told(
        *("execution.retry", "execution", MADE, answered("started", "0", "executionId")), going_on
    ),
    ("POST", f"{EXECUTION}/preview"): Told("execution.preview", "execution", EVENT, named("execution_id"), previewing),
    ("POST", f"{EXECUTION}/resume"): Told("execution.resume", "execution", EVENT, named("execution_id"), answering),
    ("POST", "/llm-providers"): Told(
        *("llm-provider.create", "llm-provider", MADE, answered("id")), sending("/llm-providers", a_provider)
    ),
    ("PATCH", PROVIDER): Told(
        *("llm-provider.update", "llm-provider", CHANGED, named("provider_id")),
        sending(PROVIDER, lambda: {"priority": 7, "credentials": {"apiKey": canary()}}),
    ),
    ("DELETE", PROVIDER): Told("llm-provider.delete", "llm-provider", GONE, named("provider_id")),
    ("POST", f"{PROVIDER}/test"): Told("llm-provider.test", "llm-provider", EVENT, named("provider_id")),
    ("POST", "/projects"): Told("project.create", "project", MADE, answered("project", "id")),
    ("PATCH", PROJECT): Told("project.update", "project", CHANGED, named("project_id")),
    ("DELETE", PROJECT): Told("project.delete", "project", GONE, named("project_id")),
    ("PUT", SECRET): Told("secret.update", "secret", CHANGED, named("id"), sending(SECRET, a_secret)),
    ("DELETE", SECRET): Told("secret.delete", "secret", GONE, named("id")),
    ("PUT", PROJECTS_SECRET): Told("secret.update", "secret", CHANGED, named("id"), sending(PROJECTS_SECRET, a_secret)),
    ("DELETE", PROJECTS_SECRET): Told("secret.delete", "secret", GONE, named("id")),
    ("POST", "/templates"): Told("template.create", "template", MADE, answered("id")),
    ("PATCH", TEMPLATE): Told("template.update", "template", CHANGED, named("template_id")),
    ("DELETE", TEMPLATE): Told("template.delete", "template", GONE, named("template_id")),
    ("POST", f"{TEMPLATE}/instantiate"): Told("template.instantiate", "template", EVENT, named("template_id")),
    ("PATCH", "/tenants/current"): Told(
        *("tenant.update", "tenant", CHANGED, tenant),
        sending("/tenants/current", lambda: {"name": "Engines", "settings": {"clientSecret": canary(), "kept": 1}}),
    ),
    ("POST", MEMBERS): Told("member.invite", "invitation", MADE, answered("invitationId")),
    ("PATCH", MEMBER): Told("member.update", "user", CHANGED, named("user_id")),
    ("DELETE", MEMBER): Told("member.remove", "user", GONE, named("user_id")),
    ("DELETE", INVITATION): Told("member.uninvite", "invitation", GONE, named("invitation_id")),
    ("PATCH", "/users/me"): Told(
        *("user.update", "user", CHANGED, caller),
        sending("/users/me", lambda: {"fullName": "Ada King", "preferences": {"apiToken": canary()}}),
    ),
    ("POST", "/users/me/password"): Told("user.password_change", "user", EVENT, caller, changing_password),
    ("PATCH", "/users/{user_id}"): Told(
        *("user.update", "user", CHANGED, named("user_id")),
        sending("/users/{user_id}", lambda: {"fullName": "Ada King"}, Caller.PLATFORM_ADMIN),
    ),
    ("POST", "/workflows"): Told("workflow.create", "workflow", MADE, answered("id")),
    ("PATCH", WORKFLOW): Told("workflow.update", "workflow", CHANGED, named("workflow_id")),
    ("PUT", WORKFLOW): Told("workflow.update", "workflow", CHANGED, named("workflow_id")),
    ("DELETE", WORKFLOW): Told("workflow.delete", "workflow", GONE, named("workflow_id")),
    ("POST", f"{WORKFLOW}/duplicate"): Told("workflow.duplicate", "workflow", MADE, answered("id")),
    ("POST", f"{WORKFLOW}/execute"): Told(
        *("workflow.execute", "workflow", EVENT, named("workflow_id")),
        sending(WORKFLOW, lambda: {"inputs": {"text": canary()}}),
    ),
    ("POST", RESTORE): Told("workflow.restore", "workflow", CHANGED, named("workflow_id"), restoring),
}

UNTOLD: Mapping[tuple[str, str], str] = {
    ("POST", "/auth/refresh"): "the session goes on, and its row tells when; a token that is used again is told",
    ("POST", f"{EXECUTION}/stream-token"): "a way to read for a minute; nothing is stored",
    ("POST", f"{AGENT}/estimate"): "a reckoning; nothing is stored",
    ("POST", f"{WORKFLOW}/estimate"): "the same",
    ("POST", "/workflows/validate"): "a check; nothing is stored",
}


@pytest.fixture
def settings(settings: Settings, monkeypatch: pytest.MonkeyPatch) -> Settings:
    return unhurried(settings, monkeypatch)


@pytest.fixture
async def stage(app: FastAPI, client: httpx.AsyncClient, sessions: Sessions, settings: Settings) -> Stage:
    return Stage(app=app, world=await World.build(client, sessions, settings), sessions=sessions)


def below(route: Walked) -> str:
    return route.path.removeprefix(BASE_PATH)


async def sent(stage: Stage, method: str, path: str, call: Call) -> tuple[str, list[str]]:
    """Makes the call; gives its request id, and what no entry may hold."""
    request_id = f"walk-{uuid4().hex}"
    answer = await call.api.send(method, path.format(**call.ids), call.body, **{"X-Request-ID": request_id})
    assert 200 <= answer.status_code < 300, answer.text
    platform: Platform = stage.app.state.platform
    await platform.background.idle()
    shown = answer.json() if answer.content else {}
    call.answer = shown.get("data")
    credentials = [each.removeprefix("Bearer ") for each in call.api.headers.values()]
    mails = await mail_to(stage.app, call.ids["email"]) if "email" in call.ids else []
    mailed = [token for mail in mails for token in re.findall(r"token=(\S+)", text_of(mail))]
    return request_id, [*credentials, *mailed, *secrets_in(call.body), *secrets_in(call.answer)]


def secrets_in(value: Any, name: str = "") -> Iterator[str]:
    """Texts in a body or an answer that are secret by their name, and canaries."""
    if isinstance(value, Mapping):
        for key, each in value.items():
            yield from secrets_in(each, str(key))
    elif isinstance(value, list):
        for each in value:
            yield from secrets_in(each, name)
    elif isinstance(value, str) and (name in _SECRETS or value.startswith("canary-")):
        yield value


async def entries(sessions: Sessions, request_id: str) -> list[AuditLog]:
    statement = select(AuditLog).where(col(AuditLog.request_id) == request_id).order_by(col(AuditLog.id))
    async with sessions() as session:
        return list((await session.execute(statement)).scalars())


async def assert_silent(sessions: Sessions, secrets: list[str]) -> None:
    """No entry of anybody holds a secret, what it is easily turned into, or its hash."""
    hidden = [trace for secret in secrets for trace in (*traces_of(secret), fingerprint(secret))]
    statement = select(func.count()).select_from(AuditLog).where(text("position(:trace in audit_logs::text) > 0"))
    async with sessions() as session:
        for trace in hidden:
            assert (await session.execute(statement, {"trace": trace})).scalar_one() == 0, trace


async def prepared(stage: Stage, method: str, path: str, told: Told) -> Call:
    if told.prepare is not None:
        call = await told.prepare(stage)
    else:
        call = await own(stage, path, await Bodies(stage.world).of(method, BASE_PATH + path))
    if told.resource == "secret":
        async with stage.sessions() as session:
            found = await session.execute(select(col(Secret.id)).where(col(Secret.name) == call.ids["name"]))
        call.ids["id"] = str(found.scalar_one())
    return call


def shape_of(entry: AuditLog) -> set[Shape]:
    if entry.before and entry.after:
        return {Shape.CHANGED} if entry.before != entry.after else set()
    if entry.before or entry.after:
        return {Shape.GONE} if entry.before else {Shape.MADE, Shape.EVENT}
    return {Shape.EVENT}


def test_every_changing_route_is_told_or_has_a_reason(app: FastAPI) -> None:
    changing = {(each.method, below(each)) for each in walk(app) if each.method in CHANGING}
    assert changing == set(TOLD) | set(UNTOLD)
    assert not set(TOLD) & set(UNTOLD)


@pytest.mark.parametrize(("method", "path"), TOLD, ids=lambda part: part)
async def test_a_call_leaves_its_entry(stage: Stage, method: str, path: str) -> None:
    told = TOLD[method, path]
    call = await prepared(stage, method, path, told)
    request_id, secrets = await sent(stage, method, path, call)
    left = await entries(stage.sessions, request_id)
    (entry,) = [each for each in left if each.action == told.action]
    expected = told.resource_id(call)
    assert entry.resource_type == told.resource
    assert str(entry.resource_id) == str(expected)
    assert told.shape in shape_of(entry), (entry.before, entry.after)
    for each in left:
        assert each.actor is ActorKind.USER
        assert (each.ip_address, each.request_id) == ("127.0.0.1", request_id)
        assert (each.user_agent or "").startswith("python-httpx")
    if path not in ("/auth/register", "/auth/accept-invitation"):
        assert {(each.tenant_id, each.user_id) for each in left} == {(call.api.tenant_id, call.user_id)}
    assert secrets
    await assert_silent(stage.sessions, secrets)


@pytest.mark.parametrize(("method", "path"), UNTOLD, ids=lambda part: part)
async def test_what_needs_no_entry_leaves_none(stage: Stage, method: str, path: str) -> None:
    call = await own(stage, path, await Bodies(stage.world).of(method, BASE_PATH + path))
    if path == "/auth/refresh":
        member = await register(stage.world.client)
        call = visit(stage, member, {"refreshToken": member.tokens["refreshToken"]})
    request_id, secrets = await sent(stage, method, path, call)
    assert await entries(stage.sessions, request_id) == []
    await assert_silent(stage.sessions, secrets)


async def told_of(stage: Stage, call: Call, method: str, path: str) -> list[tuple[str, str | None]]:
    """Action and resource of what a call left."""
    request_id, secrets = await sent(stage, method, path, call)
    await assert_silent(stage.sessions, secrets)
    return [(each.action, str(each.resource_id)) for each in await entries(stage.sessions, request_id)]


class TestOtherWays:
    """What the same routes do besides, and what goes with a resource."""

    async def test_a_new_secret(self, stage: Stage) -> None:
        call = Call(api=stage.world.home, ids={"name": f"S{uuid4().hex}"}, body=a_secret())
        assert [action for action, _ in await told_of(stage, call, "PUT", SECRET)] == ["secret.create"]

    async def test_a_known_user_becomes_a_member(self, stage: Stage) -> None:
        known = await register(stage.world.client)
        await stage.world.change(User, UUID(known.user["id"]), email_verified_at=clock.now())
        call = Call(api=stage.world.home, body={"email": known.email, "role": "EDITOR"})
        assert await told_of(stage, call, "POST", MEMBERS) == [("member.add", known.user["id"])]

    async def test_an_invitation_makes_a_user(self, stage: Stage) -> None:
        call = await joining(stage)
        left = await told_of(stage, call, "POST", "/auth/accept-invitation")
        user_id = call.answer["user"]["id"]
        assert left == [("auth.register", user_id), ("member.join", user_id)]

    async def test_a_projects_key_agent_and_secrets_come_and_go_with_it(self, stage: Stage) -> None:
        home = stage.world.home
        call = Call(api=home, body={"name": f"Project {uuid4().hex}", "agent": agent_body()})
        left = await told_of(stage, call, "POST", "/projects")
        assert [action for action, _ in left] == ["project.create", "api-key.create", "agent.create"]
        project_id = call.answer["project"]["id"]
        await home.send("PUT", f"/projects/{project_id}/secrets/NAME", a_secret())
        gone = await told_of(stage, Call(api=home), "DELETE", f"/projects/{project_id}")
        assert [action for action, _ in gone] == ["api-key.revoke", "secret.delete", "project.delete"]
        assert gone[0][1] == left[1][1]

    async def test_the_agents_of_a_template_are_told_of_one_by_one(self, stage: Stage) -> None:
        call = await own(stage, TEMPLATE, {"customizations": {"url": "https://example.com"}})
        left = await told_of(stage, call, "POST", f"{TEMPLATE}/instantiate")
        assert [action for action, _ in left] == ["agent.create", "template.instantiate"]

    async def test_what_a_key_does_is_the_keys(self, stage: Stage, sessions: Sessions) -> None:
        api = await by_key(stage.world.home, sessions, Permission.AGENTS_CREATE)
        request_id, secrets = await sent(stage, "POST", "/agents", Call(api=api, body=agent_body()))
        (entry,) = await entries(sessions, request_id)
        assert (entry.actor, entry.user_id) == (ActorKind.KEY, api.user_id)
        await assert_silent(sessions, secrets)

    async def test_a_start_names_the_execution(self, stage: Stage) -> None:
        call = await own(stage, WORKFLOW, {"environment": "STAGING"})
        request_id, _ = await sent(stage, "POST", f"{WORKFLOW}/execute", call)
        (entry,) = await entries(stage.sessions, request_id)
        after = {"executionId": call.answer["executionId"], "environment": "STAGING", "runAt": None}
        assert entry.after == after

    async def test_a_literal_key_in_a_config_is_left_out(self, stage: Stage) -> None:
        auth = {"type": "apiKey", "name": "X-Key", "value": canary()}
        config = {"method": "GET", "url": "https://example.com", "auth": auth, "headers": {"X-API-Key": canary()}}
        call = Call(api=stage.world.home, body=agent_body(type="API", config=config))
        assert [action for action, _ in await told_of(stage, call, "POST", "/agents")] == ["agent.create"]


class TestRefused:
    """Security events that end in an error."""

    async def left(self, sessions: Sessions, member: Member) -> list[AuditLog]:
        statement = select(AuditLog).where(col(AuditLog.resource_id) == account_id(member.email))
        async with sessions() as session:
            return list((await session.execute(statement.order_by(col(AuditLog.id)))).scalars())

    async def test_wrong_passwords_and_the_lock(self, client: httpx.AsyncClient, sessions: Sessions) -> None:
        member, wrong = await register(client), f"Wrong-{uuid4().hex}"
        for _ in range(6):
            await client.post(f"{BASE_PATH}/auth/login", json={"email": member.email, "password": wrong})
        left = await self.left(sessions, member)
        assert [each.action for each in left] == ["auth.login_failed"] * 5 + ["auth.account_locked"]
        where = {(str(each.tenant_id), str(each.user_id), each.ip_address) for each in left}
        assert where == {(member.tenant["id"], member.user["id"], "127.0.0.1")}
        assert set(left[-1].after or {}) == {"lockedUntil"}
        await assert_silent(sessions, [wrong])
        shown = await client.get(f"{BASE_PATH}/audit-logs?action=auth.account_locked", headers=member.headers)
        assert [entry["resourceType"] for entry in shown.json()["data"]] == ["account"]

    async def test_an_address_without_an_account_is_told_without_the_address(
        self, client: httpx.AsyncClient, sessions: Sessions
    ) -> None:
        email = f"{uuid4().hex}@example.com"
        for _ in range(5):
            await client.post(f"{BASE_PATH}/auth/login", json={"email": email, "password": PASSWORD})
        statement = select(AuditLog).where(col(AuditLog.resource_id) == account_id(email))
        async with sessions() as session:
            left = list((await session.execute(statement.order_by(col(AuditLog.id)))).scalars())
        assert [each.action for each in left] == ["auth.login_failed"] * 5 + ["auth.account_locked"]
        assert {(each.tenant_id, each.user_id, each.actor) for each in left} == {(None, None, ActorKind.SYSTEM)}
        await assert_silent(sessions, [email])

    async def test_a_wrong_current_password(self, client: httpx.AsyncClient, sessions: Sessions) -> None:
        member, wrong = await register(client), f"Wrong-{uuid4().hex}"
        body = {"currentPassword": wrong, "newPassword": NEW_PASSWORD}
        await client.post(f"{BASE_PATH}/users/me/password", json=body, headers=member.headers)
        (entry,) = await self.left(sessions, member)
        assert (entry.action, str(entry.tenant_id)) == ("auth.login_failed", member.tenant["id"])
        await assert_silent(sessions, [wrong, NEW_PASSWORD])

    async def test_a_refresh_token_that_is_used_again(self, client: httpx.AsyncClient, sessions: Sessions) -> None:
        member = await register(client)
        body = {"refreshToken": member.tokens["refreshToken"]}
        await client.post(f"{BASE_PATH}/auth/refresh", json=body)
        request_id = f"walk-{uuid4().hex}"
        with clock.freeze(clock.now() + timedelta(minutes=1)):
            again = await client.post(f"{BASE_PATH}/auth/refresh", json=body, headers={"X-Request-ID": request_id})
        error_of(again, 401, "TOKEN_REUSED")
        (entry,) = await entries(sessions, request_id)
        assert (entry.action, entry.resource_type) == ("auth.token_reused", "session")
        assert (str(entry.tenant_id), str(entry.user_id)) == (member.tenant["id"], member.user["id"])
        await assert_silent(sessions, [body["refreshToken"]])
