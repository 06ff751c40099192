"""Scopes: one transaction, and what it may see.

A `TenantScope` runs as a role that owns nothing, with row-level security bound to its tenant: a forgotten filter
returns no row of another tenant. A `SystemScope` stays the owner; only what cannot know its tenant yet uses it.

Only the openers of this module commit. What must leave the process (a Prefect call, a mail) is queued with
`after_commit`: it runs after the commit, in order, and is dropped on rollback.
"""

from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any, cast
from uuid import UUID

import psycopg
import structlog
from psycopg.sql import SQL, Composed
from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncSession

from platform_api.access.principal import Principal
from platform_api.db.engine import Sessions

AfterCommit = Callable[[], Awaitable[None]]

_BIND_TENANT = text("select set_config('role', 'turbocat_tenant', true), set_config('app.tenant_id', :tenant_id, true)")
_BIND = SQL("select set_config('role', 'turbocat_tenant', true), set_config('app.tenant_id', %s, true)")

Driver = psycopg.AsyncConnection[tuple[Any, ...]]
Cursor = psycopg.AsyncCursor[tuple[Any, ...]]
Statement = tuple[SQL | Composed, Sequence[Any]]

log = structlog.get_logger(__name__)


@dataclass(kw_only=True)
class SystemScope:
    """A transaction of the platform itself, free of row-level security."""

    session: AsyncSession
    _queue: list[AfterCommit] = field(default_factory=list)

    def after_commit(self, action: AfterCommit) -> None:
        """Queues what must happen only when the transaction is durable; a failure is logged, never raised."""
        self._queue.append(action)

    async def run_after_commit(self) -> None:
        """Runs what was queued. Called by the scope's opener alone."""
        for action in self._queue:
            try:
                await action()
            except Exception:
                log.exception("after_commit_failed", action=getattr(action, "__qualname__", repr(action)))


@dataclass(kw_only=True)
class TenantScope(SystemScope):
    """A transaction inside one tenant, on behalf of `principal` (None for the worker, which acts for the tenant)."""

    tenant_id: UUID
    principal: Principal | None

    @property
    def caller(self) -> Principal:
        """The principal of a request's scope."""
        if self.principal is None:
            raise RuntimeError("this scope belongs to no caller")
        return self.principal


@dataclass(kw_only=True)
class AccountScope(SystemScope):
    """A transaction on what belongs to a person rather than to a tenant: their sessions, their memberships."""

    principal: Principal

    @property
    def tenant_id(self) -> UUID:
        """The tenant that the caller is in; nothing but the repositories' own filter holds the transaction to it."""
        return self.principal.tenant_id


class DirectScope:
    """A tenant's transaction on the driver's own connection, where each round trip counts: the journal's.

    The tenant is bound together with the first statements, and `last` ones go together with the commit.
    """

    def __init__(self, connection: AsyncConnection, driver: Driver, tenant_id: UUID) -> None:
        self.driver = driver
        self._connection = connection
        self._tenant_id = tenant_id
        self._last: list[Statement] = []

    async def first(self, *statements: Statement) -> list[Cursor]:
        """Makes the transaction's first statements, all in one round trip."""
        async with self.driver.pipeline():
            await self.driver.execute(_BIND, [str(self._tenant_id)])
            return [await self.driver.execute(*statement) for statement in statements]

    async def last(self, statements: Sequence[Statement]) -> None:
        """Keeps statements for the commit."""
        self._last += statements

    @cached_property
    def session(self) -> AsyncSession:
        """The same transaction for statements that are written with SQLAlchemy; not before `first`."""
        return AsyncSession(self._connection, expire_on_commit=False, autoflush=False)

    async def commit(self) -> None:
        """Called by the opener alone."""
        session = self.__dict__.get("session")
        if session is not None:
            await session.flush()
        async with self.driver.pipeline():
            for statement in self._last:
                await self.driver.execute(*statement)
            await self.driver.commit()
        if session is not None:
            await session.close()


class JoinedScope(DirectScope):
    """The transaction of a `TenantScope`, for the journal's statements in the middle of it."""

    @classmethod
    async def of(cls, scope: "TenantScope") -> "JoinedScope":
        """Sends what the scope's session has collected, so that the two see the same."""
        await scope.session.flush()
        connection = await scope.session.connection()
        joined = cls(connection, await _driver_of(connection), scope.tenant_id)
        joined.session = scope.session
        return joined

    async def first(self, *statements: Statement) -> list[Cursor]:
        """The tenant is bound already."""
        return [await self.driver.execute(*statement) for statement in statements]

    async def last(self, statements: Sequence[Statement]) -> None:
        """Makes them at once; the scope's own commit follows."""
        for statement in statements:
            await self.driver.execute(*statement)


@asynccontextmanager
async def direct_scope(sessions: Sessions, tenant_id: UUID) -> AsyncIterator[DirectScope]:
    """One tenant's transaction for the journal: committed when the block ends well, rolled back otherwise."""
    async with sessions.kw["bind"].connect() as connection:
        driver = await _driver_of(connection)
        scope = DirectScope(connection, driver, tenant_id)
        try:
            yield scope
            await scope.commit()
        except BaseException:
            await driver.rollback()
            raise


@asynccontextmanager
async def system_scope(sessions: Sessions) -> AsyncIterator[SystemScope]:
    """One owner's transaction: committed when the block ends well, rolled back otherwise."""
    async with sessions() as session:
        scope = SystemScope(session=session)
        async with session.begin():
            yield scope
    await scope.run_after_commit()


@asynccontextmanager
async def account_scope(sessions: Sessions, principal: Principal) -> AsyncIterator[AccountScope]:
    """One owner's transaction on behalf of `principal`."""
    async with sessions() as session:
        scope = AccountScope(session=session, principal=principal)
        async with session.begin():
            yield scope
    await scope.run_after_commit()


@asynccontextmanager
async def tenant_scope(
    sessions: Sessions, tenant_id: UUID, principal: Principal | None = None
) -> AsyncIterator[TenantScope]:
    """One tenant's transaction: committed when the block ends well, rolled back otherwise."""
    async with sessions() as session:
        scope = TenantScope(session=session, tenant_id=tenant_id, principal=principal)
        async with session.begin():
            await session.execute(_BIND_TENANT, {"tenant_id": str(tenant_id)})
            yield scope
    await scope.run_after_commit()


async def _driver_of(connection: AsyncConnection) -> Driver:
    return cast(Driver, (await connection.get_raw_connection()).driver_connection)
