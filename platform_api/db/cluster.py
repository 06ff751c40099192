"""Databases of a PostgreSQL server."""

import psycopg
from psycopg import errors, sql


async def ensure_database(url: str, name: str) -> None:
    """Makes the database `name` on the server behind `url` unless it is there; safe against others doing the same."""
    async with await psycopg.AsyncConnection.connect(url, autocommit=True) as connection:
        found = await connection.execute("select from pg_database where datname = %s", (name,))
        if await found.fetchone() is not None:
            return
        try:
            await connection.execute(sql.SQL("create database {}").format(sql.Identifier(name)))
        except (errors.DuplicateDatabase, errors.UniqueViolation):
            return
