"""URLs and connections."""

import pytest
from pydantic import ValidationError
from sqlalchemy import text
from sqlalchemy.exc import DBAPIError

from platform_api.access.scope import system_scope
from platform_api.db.engine import Sessions, create_engine, database_url, session_maker
from platform_api.settings import DatabaseSettings


@pytest.mark.parametrize(
    "url",
    [
        "postgresql://user:word@db.example:5432/turbocat",
        "postgres://db.example/turbocat",
        "postgresql+asyncpg://db.example/turbocat?sslmode=require",
        "postgresql://postgres@/turbocat?host=%2Fvar%2Frun%2Fpostgresql",
    ],
)
def test_every_spelling_of_the_scheme_gets_our_driver(url: str) -> None:
    assert database_url(DatabaseSettings(url=url)).drivername == "postgresql+psycopg"


@pytest.mark.parametrize("url", ["mysql://planted-secret@db/turbocat", "postgresql:///turbocat", "turbocat", ""])
def test_what_is_no_database_of_ours_is_refused_without_repeating_it(url: str) -> None:
    with pytest.raises(ValidationError) as failure:
        DatabaseSettings(url=url)
    assert "planted-secret" not in str(failure.value)


async def test_every_statement_is_bounded_in_time(database_url: str) -> None:
    engine = create_engine(DatabaseSettings(url=database_url, statement_timeout_seconds=1), application_name="bounded")
    try:
        with pytest.raises(DBAPIError, match="statement timeout"):
            async with system_scope(session_maker(engine)) as scope:
                await scope.session.execute(text("select pg_sleep(30)"))
    finally:
        await engine.dispose()


async def test_connections_say_who_they_are_and_speak_utc(sessions: Sessions) -> None:
    async with system_scope(sessions) as scope:
        query = text("select current_setting('application_name'), current_setting('timezone')")
        assert tuple((await scope.session.execute(query)).one()) == ("tests", "UTC")
