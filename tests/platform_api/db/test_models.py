"""Rows as the ORM writes and reads them."""

from datetime import UTC
from decimal import Decimal
from uuid import UUID

import pytest
from sqlalchemy import select, text
from sqlalchemy.exc import DBAPIError, IntegrityError

from flows.spec import StepType
from flows.states import ExecutionStatus
from platform_api.access.scope import system_scope, tenant_scope
from platform_api.db.engine import Sessions
from platform_api.db.enums import ActorKind, TenantRole
from platform_api.db.models import PROFILE, Agent, Execution, ExecutionLog, Membership, Tenant, User, WorkflowStep
from tests.factories.agents import create_agent
from tests.factories.executions import create_execution
from tests.factories.tenants import create_tenant, create_user
from tests.factories.workflows import create_workflow


async def test_the_database_sets_both_times_and_they_come_back_with_the_insert(sessions: Sessions) -> None:
    tenant = await create_tenant(sessions)
    assert tenant.created_at == tenant.updated_at
    assert tenant.created_at.tzinfo is not None
    assert tenant.created_at.utcoffset() == UTC.utcoffset(None)


async def test_an_update_moves_updated_at_and_reads_it_back(sessions: Sessions) -> None:
    tenant = await create_tenant(sessions)
    async with system_scope(sessions) as scope:
        row = (await scope.session.execute(select(Tenant).where(Tenant.id == tenant.id))).scalar_one()
        row.name = "renamed"
    assert row.updated_at > row.created_at
    assert row.created_at == tenant.created_at


async def test_updated_at_cannot_be_set_by_hand(sessions: Sessions) -> None:
    tenant = await create_tenant(sessions)
    async with system_scope(sessions) as scope:
        found = await scope.session.execute(
            text("update tenants set updated_at = '1999-01-01' where id = :id returning updated_at"), {"id": tenant.id}
        )
        assert found.scalar_one() > tenant.updated_at


async def test_ids_sort_by_the_time_they_were_made(sessions: Sessions) -> None:
    ids = [(await create_tenant(sessions)).id for _ in range(3)]
    assert ids == sorted(ids)
    assert all(isinstance(one, UUID) and one.version == 7 for one in ids)


async def test_an_execution_keeps_exact_money_and_typed_values(sessions: Sessions) -> None:
    tenant = await create_tenant(sessions)
    made = await create_execution(sessions, tenant, cost=Decimal("1234567890.12345678"), plan={"format": 1})
    async with tenant_scope(sessions, tenant.id) as scope:
        row = (await scope.session.execute(select(Execution).where(Execution.id == made.id))).scalar_one()
    assert row.cost == Decimal("1234567890.12345678")
    assert row.status is ExecutionStatus.PENDING
    assert row.plan == {"format": 1}
    assert row.outputs is None
    assert row.last_seq == 0


async def test_a_missing_json_value_is_null_and_not_the_json_null(sessions: Sessions) -> None:
    tenant = await create_tenant(sessions)
    made = await create_execution(sessions, tenant, outputs=None)
    async with system_scope(sessions) as scope:
        found = await scope.session.execute(
            text("select outputs is null from executions where id = :id"), {"id": made.id}
        )
        assert found.scalar_one() is True


async def test_columns_with_reserved_names_keep_them_in_the_database(sessions: Sessions) -> None:
    tenant = await create_tenant(sessions)
    execution = await create_execution(sessions, tenant)
    async with tenant_scope(sessions, tenant.id) as scope:
        line = ExecutionLog(tenant_id=tenant.id, execution_id=execution.id, message="m", metadata_={"a": 1}, seq=1)
        scope.session.add(line)
        await scope.session.flush()
        found = await scope.session.execute(text("select metadata from execution_logs where id = :id"), {"id": line.id})
        assert found.scalar_one() == {"a": 1}


async def test_numbers_for_events_and_logs_are_handed_out_in_one_statement(sessions: Sessions) -> None:
    tenant = await create_tenant(sessions)
    execution = await create_execution(sessions, tenant)
    take = text("update executions set last_seq = last_seq + :n where id = :id returning last_seq")
    async with tenant_scope(sessions, tenant.id) as scope:
        first = (await scope.session.execute(take, {"n": 3, "id": execution.id})).scalar_one()
        second = (await scope.session.execute(take, {"n": 2, "id": execution.id})).scalar_one()
    assert (first, second) == (3, 5)


async def test_a_step_type_of_the_workflow_language_is_stored_as_it_is(sessions: Sessions) -> None:
    tenant = await create_tenant(sessions)
    workflow = await create_workflow(sessions, tenant)
    async with tenant_scope(sessions, tenant.id) as scope:
        step = WorkflowStep(
            tenant_id=tenant.id, workflow_id=workflow.id, step_key="a", name="A", type=StepType.WAIT, depends_on=["b"]
        )
        scope.session.add(step)
        await scope.session.flush()
        scope.session.expunge_all()
        row = (await scope.session.execute(select(WorkflowStep).where(WorkflowStep.id == step.id))).scalar_one()
    assert row.type is StepType.WAIT
    assert row.depends_on == ["b"]
    assert row.timeout_seconds is None


async def test_an_unknown_priority_is_refused(sessions: Sessions) -> None:
    tenant = await create_tenant(sessions)
    with pytest.raises(IntegrityError, match="ck_executions_priority"):
        await create_execution(sessions, tenant, priority="urgent")


async def test_an_agent_in_use_by_a_step_cannot_be_erased(sessions: Sessions) -> None:
    tenant = await create_tenant(sessions)
    agent = await create_agent(sessions, tenant)
    workflow = await create_workflow(sessions, tenant)
    async with system_scope(sessions) as scope:
        step = WorkflowStep(tenant_id=tenant.id, workflow_id=workflow.id, step_key="a", name="A", agent_id=agent.id)
        scope.session.add(step)
    with pytest.raises(IntegrityError, match="fk_workflow_steps_agent_id"):
        async with system_scope(sessions) as scope:
            await scope.session.delete(await scope.session.get_one(Agent, agent.id))


async def test_erasing_a_tenant_erases_all_that_it_owns(sessions: Sessions) -> None:
    tenant = await create_tenant(sessions)
    agent = await create_agent(sessions, tenant)
    execution = await create_execution(sessions, tenant)
    async with system_scope(sessions) as scope:
        await scope.session.delete(await scope.session.get_one(Tenant, tenant.id))
    async with system_scope(sessions) as scope:
        assert await scope.session.get(Agent, agent.id) is None
        assert await scope.session.get(Execution, execution.id) is None


async def test_a_tenant_scope_reads_its_members_profiles_and_changes_them(sessions: Sessions) -> None:
    tenant = await create_tenant(sessions)
    user = await create_user(sessions, tenant)
    async with tenant_scope(sessions, tenant.id) as scope:
        row = (await scope.session.execute(select(User).where(User.id == user.id).options(*PROFILE))).scalar_one()
        row.full_name = "Grace Example"
        row.version += 1
        await scope.session.flush()
        await scope.session.refresh(row, ["full_name", "updated_at"])
    assert row.full_name == "Grace Example"
    assert row.email == user.email


async def test_a_tenant_scope_never_reads_what_guards_the_login(sessions: Sessions) -> None:
    tenant = await create_tenant(sessions)
    with pytest.raises(DBAPIError, match="permission denied for table users"):
        async with tenant_scope(sessions, tenant.id) as scope:
            await scope.session.execute(text("select password_hash from users"))


@pytest.mark.parametrize("change", ["password_hash = 'x'", "role = 'ADMIN'", "email = 'x'", "is_active = true"])
async def test_a_tenant_scope_changes_nothing_of_a_user_beside_the_profile(sessions: Sessions, change: str) -> None:
    tenant = await create_tenant(sessions)
    with pytest.raises(DBAPIError, match="permission denied for table users"):
        async with tenant_scope(sessions, tenant.id) as scope:
            await scope.session.execute(text(f"update users set {change}"))


async def test_a_user_who_left_is_out_of_sight(sessions: Sessions) -> None:
    tenant = await create_tenant(sessions)
    user = await create_user(sessions, tenant, tenant_role=TenantRole.VIEWER)
    async with system_scope(sessions) as scope:
        await scope.session.execute(
            text("update memberships set deleted_at = now() where user_id = :id"), {"id": user.id}
        )
    async with tenant_scope(sessions, tenant.id) as scope:
        found = await scope.session.execute(select(User).where(User.id == user.id).options(*PROFILE))
        assert found.scalar_one_or_none() is None
        assert len((await scope.session.execute(select(Membership))).all()) == 1


def test_actors_are_stored_by_value() -> None:
    assert [kind.value for kind in ActorKind] == ["user", "key", "system"]
