"""Moves a database's schema from revision to revision. Blocks: call it from a thread where a loop runs.

Two at a time on one database wait for each other. An `ini` file is not needed.
"""

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from alembic import command
from alembic.config import Config
from alembic.runtime.migration import MigrationContext
from sqlalchemy import Connection, create_engine, make_url, pool, text

SCRIPTS = Path(__file__).resolve().parents[2] / "migrations"

_one_command = threading.Lock()
"""Alembic keeps the command that it is at in globals of its modules."""


def upgrade(url: str, revision: str = "head") -> None:
    """Forward to `revision`, in one transaction."""
    with _one_command, _connection(url) as connection:
        command.upgrade(_config(connection), revision)


def downgrade(url: str, revision: str) -> None:
    """Back to `revision`, in one transaction; `base` leaves nothing of ours behind."""
    with _one_command, _connection(url) as connection:
        command.downgrade(_config(connection), revision)
        if revision == "base":
            connection.execute(text("drop table if exists alembic_version"))
            connection.commit()


def current(url: str) -> str | None:
    """The revision that the database is at; None before the first."""
    with _connection(url) as connection:
        return MigrationContext.configure(connection).get_current_revision()


@contextmanager
def _connection(url: str) -> Iterator[Connection]:
    engine = create_engine(make_url(url).set(drivername="postgresql+psycopg"), poolclass=pool.NullPool)
    try:
        with engine.connect() as connection:
            yield connection
    finally:
        engine.dispose()


def _config(connection: Connection) -> Config:
    config = Config(attributes={"connection": connection})
    config.set_main_option("script_location", str(SCRIPTS).replace("%", "%%"))
    config.set_main_option("path_separator", "os")
    return config
