"""The engine, made once per process, and sessions on it."""

from typing import Any

import orjson
from sqlalchemy import URL, make_url
from sqlalchemy.ext.asyncio import AsyncEngine, AsyncSession, async_sessionmaker, create_async_engine

from flows.runtime.storable import storable_json
from platform_api.settings import DatabaseSettings


def database_url(settings: DatabaseSettings) -> URL:
    """The owner's URL with the psycopg driver, whatever spelling of the scheme the operator used."""
    return make_url(settings.url.get_secret_value()).set(drivername="postgresql+psycopg")


def libpq_url(settings: DatabaseSettings) -> str:
    """The same as PostgreSQL's own library reads it, for a connection outside the pool. Holds the password."""
    return database_url(settings).set(drivername="postgresql").render_as_string(hide_password=False)


def _to_json(value: Any) -> str:
    return storable_json(value).decode()


def create_engine(settings: DatabaseSettings, *, application_name: str) -> AsyncEngine:
    """A pooled engine; every statement is bounded in time, every connection in how long it may take to come."""
    return create_async_engine(
        database_url(settings),
        pool_size=settings.pool_size,
        max_overflow=settings.pool_overflow,
        pool_pre_ping=True,
        hide_parameters=True,  # errors are logged, and parameters hold hashes and secrets
        pool_timeout=settings.connect_timeout_seconds,
        json_serializer=_to_json,
        json_deserializer=orjson.loads,
        connect_args={
            "application_name": application_name,
            "connect_timeout": settings.connect_timeout_seconds,
            "options": f"-c statement_timeout={settings.statement_timeout_seconds * 1000} -c timezone=UTC",
        },
    )


Sessions = async_sessionmaker[AsyncSession]


def session_maker(engine: AsyncEngine) -> Sessions:
    """Sessions whose rows stay readable after the commit (answers are rendered from them)."""
    return async_sessionmaker(engine, expire_on_commit=False, autoflush=False)
