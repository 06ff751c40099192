"""Runs the migrations on the connection that `platform_api.db.migrate` hands in, or on `DATABASE_URL` from a shell."""

from alembic import context
from sqlalchemy import Connection, create_engine, pool, text

from platform_api.db.engine import database_url
from platform_api.db.models import metadata
from platform_api.settings import DatabaseSettings

LOCK = 5_281_077_320_264_521
"""Key of the advisory lock that lets one migration of a database run at a time. Any number, never changed."""


def migrate(connection: Connection) -> None:
    """One transaction for all revisions: either all of them are applied or none."""
    context.configure(connection=connection, target_metadata=metadata, compare_server_default=True)
    with context.begin_transaction():
        connection.execute(text("select pg_advisory_xact_lock(:key)"), {"key": LOCK})
        context.run_migrations()


def migrate_from_shell() -> None:
    """For `alembic` on the command line."""
    if context.is_offline_mode():
        raise SystemExit("the migrations decide by what the server may do: run them on a database, without --sql")
    engine = create_engine(database_url(DatabaseSettings()), poolclass=pool.NullPool)
    with engine.connect() as connection:
        migrate(connection)


given = context.config.attributes.get("connection")
if given is None:
    migrate_from_shell()
else:
    migrate(given)
