"""The schema on a real server: forward, back to nothing, forward again, and the same as the models."""

import asyncio
import subprocess
import sys
import warnings
from concurrent.futures import ThreadPoolExecutor
from enum import StrEnum

import psycopg
import pytest
from alembic.autogenerate import compare_metadata
from alembic.runtime.migration import MigrationContext
from psycopg.rows import scalar_row
from sqlalchemy import Enum, create_engine, make_url

from flows.spec import StepType
from platform_api.db import migrate
from platform_api.db.models import metadata

LEFT_BEHIND = """
    select relname::text from pg_class where relnamespace = 'public'::regnamespace
    union all select typname from pg_type where typnamespace = 'public'::regnamespace
    union all select proname from pg_proc where pronamespace = 'public'::regnamespace
    union all select extname from pg_extension where extname <> 'plpgsql'
    union all select tgname from pg_trigger where not tgisinternal
    union all select polname from pg_policy
    union all select proname from pg_proc where proleakproof and proname in ('texticlike', 'arraycontains')
    union all select 'grant' from pg_namespace where nspacl::text like '%turbocat_tenant%'
"""
RESERVED_STEP_TYPES = ["CREW", "TOOL"]


def rows(url: str, query: str, *values: object) -> list[str]:
    with psycopg.connect(url, row_factory=scalar_row) as connection:
        return connection.execute(query, values or None).fetchall()


def test_forward_back_to_nothing_and_forward_again(empty_database_url: str) -> None:
    migrate.upgrade(empty_database_url)
    assert migrate.current(empty_database_url) == "0001"
    before = rows(empty_database_url, LEFT_BEHIND)
    migrate.downgrade(empty_database_url, "base")
    assert migrate.current(empty_database_url) is None
    assert rows(empty_database_url, LEFT_BEHIND) == []
    migrate.upgrade(empty_database_url)
    assert sorted(rows(empty_database_url, LEFT_BEHIND)) == sorted(before)


def test_a_second_upgrade_changes_nothing(fresh_database_url: str) -> None:
    before = rows(fresh_database_url, LEFT_BEHIND)
    migrate.upgrade(fresh_database_url)
    assert sorted(rows(fresh_database_url, LEFT_BEHIND)) == sorted(before)


def test_back_to_nothing_with_rows_in_the_tables(fresh_database_url: str) -> None:
    with psycopg.connect(fresh_database_url) as connection:
        connection.execute("insert into tenants (id, slug, name) values (gen_random_uuid(), 'a', 'A')")
        connection.execute(
            "insert into audit_logs (id, actor, action, resource_type) values (gen_random_uuid(), 'system', 'a', 'b')"
        )
    migrate.downgrade(fresh_database_url, "base")
    assert rows(fresh_database_url, LEFT_BEHIND) == []


def test_the_role_survives_while_another_database_uses_it(empty_database_url: str, database_url: str) -> None:
    migrate.upgrade(empty_database_url)
    migrate.downgrade(empty_database_url, "base")
    assert rows(database_url, "select rolname from pg_roles where rolname = 'turbocat_tenant'") == ["turbocat_tenant"]


def test_two_threads_that_upgrade_one_database_wait_for_each_other(empty_database_url: str) -> None:
    with ThreadPoolExecutor(2) as executor:
        list(executor.map(migrate.upgrade, [empty_database_url] * 2))
    assert migrate.current(empty_database_url) == "0001"


def test_two_processes_that_upgrade_one_database_wait_for_each_other(empty_database_url: str) -> None:
    code = "import sys; from platform_api.db import migrate; migrate.upgrade(sys.argv[1])"
    command = [sys.executable, "-c", code, empty_database_url]
    processes = [subprocess.Popen(command, stderr=subprocess.PIPE, text=True) for _ in range(2)]
    results = [(process.communicate()[1], process.returncode) for process in processes]
    assert results == [("", 0), ("", 0)]
    assert migrate.current(empty_database_url) == "0001"


async def test_a_running_loop_is_not_in_the_way(fresh_database_url: str) -> None:
    await asyncio.to_thread(migrate.upgrade, fresh_database_url)
    assert migrate.current(fresh_database_url) == "0001"


def test_a_failed_migration_leaves_nothing(empty_database_url: str) -> None:
    with psycopg.connect(empty_database_url, autocommit=True) as connection:
        connection.execute("create table webhooks ()")
    with pytest.raises(Exception, match='relation "webhooks" already exists'):
        migrate.upgrade(empty_database_url)
    assert rows(empty_database_url, "select relname::text from pg_class where relname = 'agents'") == []
    assert migrate.current(empty_database_url) is None


def test_models_and_schema_agree(database_url: str) -> None:
    engine = create_engine(make_url(database_url).set(drivername="postgresql+psycopg"))
    options = {"compare_type": True, "compare_server_default": True}
    with engine.connect() as connection, warnings.catch_warnings():
        # Alembic says that it leaves the expression of the index on lower(email) alone.
        warnings.filterwarnings("ignore", message=".*uq_users_email.*")
        context = MigrationContext.configure(connection, opts=options)
        assert compare_metadata(context, metadata) == []
    engine.dispose()


def enumerations() -> list[tuple[str, type[StrEnum]]]:
    types = {
        column.type.name: column.type.enum_class
        for table in metadata.tables.values()
        for column in table.columns
        if isinstance(column.type, Enum)
    }
    return sorted(types.items())


@pytest.mark.parametrize(("name", "kind"), enumerations())
def test_enumerations_have_exactly_these_labels(database_url: str, name: str, kind: type[StrEnum]) -> None:
    query = "select enumlabel from pg_enum where enumtypid = %s::regtype order by enumsortorder"
    expected = [member.value for member in kind] + (RESERVED_STEP_TYPES if kind is StepType else [])
    assert rows(database_url, query, name) == expected


def test_no_enumeration_is_left_without_a_column(database_url: str) -> None:
    stored = rows(database_url, "select typname from pg_type where typtype = 'e'")
    assert sorted(stored) == [name for name, _ in enumerations()]


def test_every_foreign_key_says_what_happens_on_delete_and_has_an_index(database_url: str) -> None:
    silent = "select conname from pg_constraint where contype = 'f' and confdeltype = 'a'"
    assert rows(database_url, silent) == []
    without_index = """
        select conrelid::regclass || '.' || attname from pg_constraint
        join pg_attribute on attrelid = conrelid and attnum = conkey[1]
        where contype = 'f' and not exists (
            select from pg_index where indrelid = conrelid and indkey[0] = conkey[1] and indpred is null
        )
    """
    assert rows(database_url, without_index) == []


def test_every_table_has_an_id_and_two_times(database_url: str) -> None:
    query = """
        select table_name || '.' || column_name from information_schema.columns
        where table_schema = 'public' and column_name in ('id', 'created_at', 'updated_at') and is_nullable = 'NO'
            and data_type in ('uuid', 'timestamp with time zone')
    """
    expected = {f"{table}.{column}" for table in metadata.tables for column in ("id", "created_at", "updated_at")}
    assert set(rows(database_url, query)) == expected


def test_every_table_that_may_change_keeps_updated_at(database_url: str) -> None:
    query = (
        "select tgrelid::regclass::text from pg_trigger where tgname in ('set_updated_at', 'immutable', 'append_only')"
    )
    assert sorted(rows(database_url, query)) == sorted(metadata.tables)


def test_times_are_never_without_a_zone(database_url: str) -> None:
    query = "select column_name from information_schema.columns where data_type = 'timestamp without time zone'"
    assert rows(database_url, query + " and table_schema = 'public'") == []
