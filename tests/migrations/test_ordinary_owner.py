"""A database whose owner is no superuser, as hosted ones are."""

from collections.abc import Iterator
from uuid import uuid4

import psycopg
import pytest
from psycopg import sql
from psycopg.rows import scalar_row

from deployments.local.postgres import EmbeddedPostgres
from platform_api.access.scope import system_scope, tenant_scope
from platform_api.db import migrate
from platform_api.db.engine import create_engine, session_maker
from platform_api.db.models import Agent, metadata
from platform_api.settings import DatabaseSettings
from tests.factories.agents import create_agent
from tests.factories.rows import ids_in_sight
from tests.factories.tenants import create_tenant


@pytest.fixture
def owned_url(cluster: EmbeddedPostgres, database_url: str) -> Iterator[str]:
    """An empty database of an ordinary role; the tenants' role exists already and was granted to it."""
    name = f"ordinary_{uuid4().hex}"
    owner = sql.Identifier(name)
    with psycopg.connect(cluster.url("postgres"), autocommit=True) as connection:
        connection.execute(sql.SQL("create role {} login").format(owner))
        connection.execute(sql.SQL("grant turbocat_tenant to {}").format(owner))
        connection.execute(sql.SQL("create database {} owner {}").format(owner, owner))
    yield cluster.url(name).replace("postgres@", f"{name}@")
    with psycopg.connect(cluster.url("postgres"), autocommit=True) as connection:
        connection.execute(sql.SQL("drop database {} with (force)").format(owner))
        connection.execute(sql.SQL("drop role {}").format(owner))


def marked(url: str) -> int:
    query = "select count(*) from pg_proc where proleakproof and proname in ('texticlike', 'arraycontains')"
    with psycopg.connect(url, row_factory=scalar_row) as connection:
        return connection.execute(query).fetchone() or 0


def test_only_a_superuser_marks_functions(owned_url: str, database_url: str) -> None:
    migrate.upgrade(owned_url)
    assert marked(owned_url) == 0
    assert marked(database_url) == 2


def test_it_goes_back_to_nothing_as_well(owned_url: str) -> None:
    migrate.upgrade(owned_url)
    migrate.downgrade(owned_url, "base")
    with psycopg.connect(owned_url, row_factory=scalar_row) as connection:
        left = connection.execute("select relname from pg_class where relnamespace = 'public'::regnamespace")
        assert left.fetchall() == []


async def test_its_tenants_are_kept_apart(owned_url: str) -> None:
    migrate.upgrade(owned_url)
    engine = create_engine(DatabaseSettings(url=owned_url), application_name="tests")
    sessions = session_maker(engine)
    try:
        ours, theirs = await create_tenant(sessions), await create_tenant(sessions)
        own, foreign = await create_agent(sessions, ours), await create_agent(sessions, theirs)
        async with tenant_scope(sessions, ours.id) as scope:
            assert await ids_in_sight(scope.session, metadata.tables["agents"]) == {own.id}
        async with system_scope(sessions) as scope:
            assert await scope.session.get(Agent, foreign.id) is not None
    finally:
        await engine.dispose()
