"""What the database itself refuses."""

from collections.abc import Awaitable, Callable
from typing import Any
from uuid import uuid4

import pytest
from sqlalchemy import inspect, text
from sqlalchemy.exc import IntegrityError

from agents.providers.provider import ProviderKind
from platform_api.access.scope import system_scope
from platform_api.db.engine import Sessions
from platform_api.db.enums import ActorKind
from platform_api.db.models import (
    AgentVersion,
    AuditLog,
    Deployment,
    IdempotencyKey,
    Invitation,
    LlmProvider,
    Membership,
    Project,
    Row,
    Secret,
    Template,
    Tenant,
    User,
    Workflow,
    WorkflowVersion,
)
from platform_api.db.models import metadata as tables
from platform_api.kit import clock
from tests.factories.agents import create_agent
from tests.factories.executions import create_execution
from tests.factories.tenants import create_tenant, create_user
from tests.factories.workflows import create_workflow

Twins = Callable[[Tenant, User], dict[str, Any]]
TWINS: dict[type[Row], Twins] = {
    Tenant: lambda _tenant, user: {"slug": f"twin-{user.id}", "name": "Twin"},
    User: lambda _tenant, user: {"email": f"Twin-{user.id}@example.com", "password_hash": "!", "full_name": "Twin"},
    Membership: lambda tenant, user: {"tenant_id": tenant.id, "user_id": user.id},
    Project: lambda tenant, _user: {"tenant_id": tenant.id, "name": "Twin"},
    Secret: lambda tenant, _user: {"tenant_id": tenant.id, "name": "TWIN", "ciphertext": b"c", "nonce": b"n"},
    LlmProvider: lambda tenant, _user: {"tenant_id": tenant.id, "name": "Twin", "kind": ProviderKind.FAKE},
    Workflow: lambda tenant, user: {"tenant_id": tenant.id, "user_id": user.id, "name": "Twin", "slug": "twin"},
}
"""Rows whose natural key is free again once they are deleted."""


async def add(sessions: Sessions, row: Row) -> None:
    async with system_scope(sessions) as scope:
        scope.session.add(row)


def test_every_unique_index_over_living_rows_is_tried_here() -> None:
    partial = {
        table.name
        for table in tables.tables.values()
        for index in table.indexes
        if index.unique and "deleted_at" in str(index.dialect_options["postgresql"]["where"])
    }
    assert partial == {inspect(model).local_table.name for model in TWINS}


@pytest.mark.parametrize("model", TWINS, ids=lambda model: model.__name__)
async def test_a_natural_key_is_taken_by_living_rows_only(sessions: Sessions, model: type[Any]) -> None:
    tenant = await create_tenant(sessions)
    user = await create_user(sessions)
    values = TWINS[model](tenant, user)
    first = model(**values)
    await add(sessions, first)
    with pytest.raises(IntegrityError, match="duplicate key"):
        await add(sessions, model(**values))
    async with system_scope(sessions) as scope:
        row = await scope.session.get_one(model, first.id)
        row.deleted_at = clock.now()
    second = model(**values)
    await add(sessions, second)
    assert second.id != first.id


async def test_addresses_differ_by_more_than_case(sessions: Sessions) -> None:
    name = uuid4().hex
    await create_user(sessions, email=f"{name}@example.com")
    with pytest.raises(IntegrityError, match="uq_users_email"):
        await create_user(sessions, email=f"{name.upper()}@Example.com")


async def test_the_same_key_of_projects_without_user_is_one_key(sessions: Sessions) -> None:
    tenant = await create_tenant(sessions)
    values = {
        "tenant_id": tenant.id,
        "key": "k",
        "method": "POST",
        "path": "/x",
        "body_hash": "h",
        "expires_at": clock.now(),
    }
    await add(sessions, IdempotencyKey(**values))
    with pytest.raises(IntegrityError, match="uq_idempotency_keys"):
        await add(sessions, IdempotencyKey(**values))


async def test_one_prefect_run_has_one_execution_per_run_count(sessions: Sessions) -> None:
    tenant = await create_tenant(sessions)
    flow_run = uuid4()
    await create_execution(sessions, tenant, prefect_flow_run_id=flow_run, prefect_run_count=1)
    await create_execution(sessions, tenant, prefect_flow_run_id=flow_run, prefect_run_count=2)
    with pytest.raises(IntegrityError, match="uq_executions_prefect"):
        await create_execution(sessions, tenant, prefect_flow_run_id=flow_run, prefect_run_count=1)


async def test_executions_that_prefect_does_not_know_yet_do_not_clash(sessions: Sessions) -> None:
    tenant = await create_tenant(sessions)
    first = await create_execution(sessions, tenant)
    second = await create_execution(sessions, tenant)
    assert first.prefect_flow_run_id is second.prefect_flow_run_id is None


@pytest.mark.parametrize("both", [True, False])
async def test_a_deployment_is_of_exactly_one_thing(sessions: Sessions, both: bool) -> None:
    tenant = await create_tenant(sessions)
    agent = await create_agent(sessions, tenant)
    workflow = await create_workflow(sessions, tenant)
    targets = {"agent_id": agent.id, "workflow_id": workflow.id} if both else {}
    with pytest.raises(IntegrityError, match="ck_deployments_one_target"):
        await add(sessions, Deployment(tenant_id=tenant.id, user_id=agent.user_id, name="d", **targets))


async def test_only_an_official_template_belongs_to_no_tenant(sessions: Sessions) -> None:
    values = {"name": "t", "category": "c", "type": "AGENT"}
    official = Template(**values, is_official=True)
    await add(sessions, official)
    assert official.tenant_id is None
    with pytest.raises(IntegrityError, match="ck_templates_owner"):
        await add(sessions, Template(**values))


async def audited(sessions: Sessions) -> AuditLog:
    tenant = await create_tenant(sessions)
    row = AuditLog(tenant_id=tenant.id, actor=ActorKind.SYSTEM, action="a", resource_type="agent")
    await add(sessions, row)
    return row


async def agent_version(sessions: Sessions) -> AgentVersion:
    tenant = await create_tenant(sessions)
    agent = await create_agent(sessions, tenant)
    row = AgentVersion(tenant_id=tenant.id, agent_id=agent.id, version=1, snapshot={"name": "a"})
    await add(sessions, row)
    return row


async def workflow_version(sessions: Sessions) -> WorkflowVersion:
    tenant = await create_tenant(sessions)
    workflow = await create_workflow(sessions, tenant)
    row = WorkflowVersion(tenant_id=tenant.id, workflow_id=workflow.id, version=1, definition={"steps": []})
    await add(sessions, row)
    return row


@pytest.mark.parametrize(
    "statement",
    [
        "update audit_logs set action = 'b' where id = :id",
        "delete from audit_logs where id = :id",
        "truncate audit_logs",
        "truncate tenants cascade",
        "update audit_logs set updated_at = now() where false and id = :id",
    ],
)
async def test_the_audit_log_only_grows_for_its_owner_too(sessions: Sessions, statement: str) -> None:
    row = await audited(sessions)
    with pytest.raises(IntegrityError, match="audit_logs refuses"):
        async with system_scope(sessions) as scope:
            await scope.session.execute(text(statement), {"id": row.id} if ":id" in statement else {})
    async with system_scope(sessions) as scope:
        assert (await scope.session.get_one(AuditLog, row.id)).action == "a"


async def test_a_tenant_in_the_audit_log_cannot_be_erased(sessions: Sessions) -> None:
    row = await audited(sessions)
    with pytest.raises(IntegrityError, match="fk_audit_logs_tenant_id"):
        async with system_scope(sessions) as scope:
            await scope.session.delete(await scope.session.get_one(Tenant, row.tenant_id))


@pytest.mark.parametrize("make", [agent_version, workflow_version])
async def test_a_version_never_changes(sessions: Sessions, make: Callable[[Sessions], Awaitable[Any]]) -> None:
    row = await make(sessions)
    table = inspect(type(row)).local_table.name
    with pytest.raises(IntegrityError, match=f"{table} refuses UPDATE"):
        async with system_scope(sessions) as scope:
            await scope.session.execute(text(f"update {table} set version = 2 where id = :id"), {"id": row.id})


@pytest.mark.parametrize("make", [agent_version, workflow_version])
async def test_a_version_number_is_given_once(sessions: Sessions, make: Callable[[Sessions], Awaitable[Any]]) -> None:
    row = await make(sessions)
    with pytest.raises(IntegrityError, match="duplicate key"):
        await add(sessions, type(row)(**row.model_dump(exclude={"id", "created_at", "updated_at"})))


@pytest.mark.parametrize("closed", ["accepted_at", "revoked_at"])
async def test_an_address_has_one_open_invitation_per_tenant(sessions: Sessions, closed: str) -> None:
    def invitation(tenant: Tenant) -> Invitation:
        values = {"email": "ada@example.com", "token_hash": uuid4().hex, "expires_at": clock.now()}
        return Invitation(tenant_id=tenant.id, **values)

    tenant, other = await create_tenant(sessions), await create_tenant(sessions)
    first = invitation(tenant)
    await add(sessions, first)
    await add(sessions, invitation(other))
    with pytest.raises(IntegrityError, match="duplicate key"):
        await add(sessions, invitation(tenant))
    async with system_scope(sessions) as scope:
        setattr(await scope.session.get_one(Invitation, first.id), closed, clock.now())
    await add(sessions, invitation(tenant))
