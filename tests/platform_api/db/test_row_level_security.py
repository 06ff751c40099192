"""Tenants are kept apart by the database itself, on every table that the metadata knows."""

from uuid import UUID

import pytest
from sqlalchemy import Table, delete, func, insert, select, text, update
from sqlalchemy.exc import DBAPIError

from platform_api.access.scope import system_scope, tenant_scope
from platform_api.db.engine import Sessions
from platform_api.db.models import Tenant, metadata
from tests.factories.rows import NOT_TENANT_OWNED, ids_in_sight, stored, tenant_tables, values_for
from tests.factories.tenants import create_tenant, create_user

UNCHANGEABLE = {"audit_logs", "agent_versions", "workflow_versions"}
UNDELETABLE = {"audit_logs"}
TABLES = pytest.mark.parametrize("table", tenant_tables(), ids=lambda table: table.name)
DENIED = "permission denied"


async def row_of(sessions: Sessions, table: Table, tenant_id: UUID) -> UUID:
    async with system_scope(sessions) as scope:
        return await stored(scope.session, table, tenant_id)


def test_the_tables_without_tenant_are_the_four_of_the_decision_key_checks_and_workers() -> None:
    assert set(metadata.tables) >= NOT_TENANT_OWNED
    assert len(tenant_tables()) == len(metadata.tables) - 6 == 24


@TABLES
async def test_a_tenant_table_has_a_tenant_an_index_a_policy_and_no_bypass(sessions: Sessions, table: Table) -> None:
    assert "tenant_id" in table.columns
    assert any(next(iter(index.columns)).name == "tenant_id" for index in table.indexes)
    async with system_scope(sessions) as scope:
        secured = text("select relrowsecurity from pg_class where oid = cast(:name as regclass)")
        assert (await scope.session.execute(secured, {"name": table.name})).scalar_one() is True
        policies = text(
            "select cmd, roles, coalesce(with_check, qual) as bound, qual from pg_policies where tablename = :name"
        )
        found = (await scope.session.execute(policies, {"name": table.name})).all()
    assert [(policy.cmd, policy.roles) for policy in found] == [("ALL", ["turbocat_tenant"])]
    assert "app.tenant_id" in found[0].qual
    assert found[0].bound == found[0].qual


@TABLES
async def test_a_tenant_sees_its_own_rows_and_no_others(sessions: Sessions, table: Table) -> None:
    ours, theirs = await create_tenant(sessions), await create_tenant(sessions)
    own, foreign = await row_of(sessions, table, ours.id), await row_of(sessions, table, theirs.id)
    async with tenant_scope(sessions, ours.id) as scope:
        seen = await ids_in_sight(scope.session, table)
        foreign_rows = select(func.count()).select_from(table).where(table.c.tenant_id != ours.id)
        assert (await scope.session.execute(foreign_rows)).scalar_one() == 0
    assert own in seen
    assert foreign not in seen


@TABLES
async def test_rows_of_another_tenant_cannot_be_changed(sessions: Sessions, table: Table) -> None:
    ours, theirs = await create_tenant(sessions), await create_tenant(sessions)
    foreign = await row_of(sessions, table, theirs.id)
    change = update(table).where(table.c.id == foreign).values(created_at=func.now())
    if table.name in UNCHANGEABLE:
        with pytest.raises(DBAPIError, match=DENIED):
            async with tenant_scope(sessions, ours.id) as scope:
                await scope.session.execute(change)
        return
    async with tenant_scope(sessions, ours.id) as scope:
        assert (await scope.session.execute(change)).rowcount == 0
    async with tenant_scope(sessions, theirs.id) as scope:
        assert (await scope.session.execute(change)).rowcount == 1


@TABLES
async def test_rows_of_another_tenant_cannot_be_deleted(sessions: Sessions, table: Table) -> None:
    ours, theirs = await create_tenant(sessions), await create_tenant(sessions)
    foreign = await row_of(sessions, table, theirs.id)
    removal = delete(table).where(table.c.id == foreign)
    if table.name in UNDELETABLE:
        with pytest.raises(DBAPIError, match=DENIED):
            async with tenant_scope(sessions, ours.id) as scope:
                await scope.session.execute(removal)
        return
    async with tenant_scope(sessions, ours.id) as scope:
        assert (await scope.session.execute(removal)).rowcount == 0
    async with tenant_scope(sessions, theirs.id) as scope:
        assert (await scope.session.execute(removal)).rowcount == 1


@TABLES
async def test_rows_cannot_be_made_for_another_tenant(sessions: Sessions, table: Table) -> None:
    ours, theirs = await create_tenant(sessions), await create_tenant(sessions)
    async with system_scope(sessions) as scope:
        foreign = await values_for(scope.session, table, theirs.id)
        own = await values_for(scope.session, table, ours.id)
    with pytest.raises(DBAPIError, match="violates row-level security policy"):
        async with tenant_scope(sessions, ours.id) as scope:
            await scope.session.execute(insert(table).values(**foreign))
    async with tenant_scope(sessions, ours.id) as scope:
        await scope.session.execute(insert(table).values(**own))


@TABLES
async def test_a_row_cannot_be_handed_to_another_tenant(sessions: Sessions, table: Table) -> None:
    ours, theirs = await create_tenant(sessions), await create_tenant(sessions)
    own = await row_of(sessions, table, ours.id)
    refusal = DENIED if table.name in UNCHANGEABLE else "violates row-level security policy"
    with pytest.raises(DBAPIError, match=refusal):
        async with tenant_scope(sessions, ours.id) as scope:
            await scope.session.execute(update(table).where(table.c.id == own).values(tenant_id=theirs.id))


@TABLES
async def test_without_a_bound_tenant_the_role_sees_nothing(sessions: Sessions, table: Table) -> None:
    tenant = await create_tenant(sessions)
    await row_of(sessions, table, tenant.id)
    async with system_scope(sessions) as scope:
        await scope.session.execute(text("set local role turbocat_tenant"))
        assert await ids_in_sight(scope.session, table) == set()
        await scope.session.execute(text("select set_config('app.tenant_id', '', true)"))
        assert await ids_in_sight(scope.session, table) == set()


@pytest.mark.parametrize("name", ["sessions", "one_time_tokens"])
@pytest.mark.parametrize("verb", ["select id from {}", "delete from {}", "update {} set user_id = null"])
async def test_tokens_are_out_of_reach_of_every_tenant(sessions: Sessions, name: str, verb: str) -> None:
    tenant = await create_tenant(sessions)
    with pytest.raises(DBAPIError, match=DENIED):
        async with tenant_scope(sessions, tenant.id) as scope:
            await scope.session.execute(text(verb.format(name)))


@pytest.mark.parametrize("verb", ["select name from workers", "delete from workers", "update workers set refusal = ''"])
async def test_a_tenant_knows_of_workers_only_what_they_can_run(sessions: Sessions, verb: str) -> None:
    tenant = await create_tenant(sessions)
    async with tenant_scope(sessions, tenant.id) as scope:
        await scope.session.execute(text("select sandbox, languages, refusal, updated_at from workers"))
    with pytest.raises(DBAPIError, match=DENIED):
        async with tenant_scope(sessions, tenant.id) as scope:
            await scope.session.execute(text(verb))


async def test_a_tenant_sees_and_renames_itself_alone(sessions: Sessions) -> None:
    ours, theirs = await create_tenant(sessions), await create_tenant(sessions)
    async with tenant_scope(sessions, ours.id) as scope:
        assert set((await scope.session.execute(select(Tenant.id))).scalars()) == {ours.id}
        assert (await scope.session.execute(text("update tenants set name = 'mine'"))).rowcount == 1
    async with system_scope(sessions) as scope:
        assert (await scope.session.get_one(Tenant, ours.id)).name == "mine"
        assert (await scope.session.get_one(Tenant, theirs.id)).name == theirs.name


@pytest.mark.parametrize("statement", ["update tenants set slug = 'x'", "delete from tenants"])
async def test_a_tenant_neither_moves_nor_erases_itself(sessions: Sessions, statement: str) -> None:
    tenant = await create_tenant(sessions)
    with pytest.raises(DBAPIError, match=DENIED):
        async with tenant_scope(sessions, tenant.id) as scope:
            await scope.session.execute(text(statement))


async def test_a_tenant_sees_no_user_of_another(sessions: Sessions) -> None:
    ours, theirs = await create_tenant(sessions), await create_tenant(sessions)
    mine, stranger = await create_user(sessions, ours), await create_user(sessions, theirs)
    async with tenant_scope(sessions, ours.id) as scope:
        assert await ids_in_sight(scope.session, metadata.tables["users"]) == {mine.id}
        rename = text("update users set full_name = 'x' where id = :id")
        assert (await scope.session.execute(rename, {"id": stranger.id})).rowcount == 0


async def test_the_next_transaction_on_the_same_connection_is_the_owner_again(sessions: Sessions) -> None:
    tenant = await create_tenant(sessions)
    async with sessions() as session:
        for _ in range(2):
            async with session.begin():
                await session.execute(text("select set_config('role', 'turbocat_tenant', true)"))
                await session.execute(text("select set_config('app.tenant_id', :id, true)"), {"id": str(tenant.id)})
            async with session.begin():
                role = (await session.execute(text("select current_user"))).scalar_one()
                bound = (await session.execute(text("select current_setting('app.tenant_id', true)"))).scalar_one()
            assert (role, bound) == ("postgres", "")


async def test_the_role_owns_nothing_and_cannot_log_in(sessions: Sessions) -> None:
    async with system_scope(sessions) as scope:
        query = text("select rolcanlogin, rolsuper, rolbypassrls, rolcreaterole from pg_roles where rolname = :name")
        found = (await scope.session.execute(query, {"name": "turbocat_tenant"})).one()
        owned = text("select count(*) from pg_class where relowner = 'turbocat_tenant'::regrole")
        assert tuple(found) == (False, False, False, False)
        assert (await scope.session.execute(owned)).scalar_one() == 0
