"""The one-command stack: what is started in which order, and what is left when it ends (nothing).

1. the folder, its lock, the keys and the sockets: whatever can be refused is refused before anything runs
2. all at once, since what takes time is to load: Prefect's server, migrations and seed, which wait for PostgreSQL then;
   API and worker, which wait for the seed. Sockets are open already: what is asked of a server that is still starting
   waits in its queue
3. `stack.json` and the URLs; from now on the supervisor keeps it alive until a signal, or a part that stays down
"""

import asyncio
import os
import socket
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from deployments.local.database import PostgresService
from deployments.local.errors import StackError
from deployments.local.files import DataFolder, write_json
from deployments.local.gate import Gate
from deployments.local.guard import Guard
from deployments.local.keys import load_or_generate
from deployments.local.logs import RotatingLog
from deployments.local.ports import listen
from deployments.local.preparation import Prepared, prepare
from deployments.local.process import Command, ProcessService
from deployments.local.reporting import ConsoleReporter
from deployments.local.services import (
    Blueprint,
    api_command,
    prefect_command,
    worker_command,
)
from deployments.local.sources import changes
from deployments.local.supervisor import Supervisor

RELOADED = ("API", "worker")


@dataclass(frozen=True, kw_only=True)
class StackOptions:
    """What the command line says. Ports of 0 take any free one."""

    data_dir: Path
    api_port: int = 3001
    prefect_port: int = 4200
    reload: bool = False


class Stack:
    """One run of the stack, from the sockets to the last stopped process. The folder's lock is the caller's."""

    def __init__(
        self,
        options: StackOptions,
        *,
        folder: DataFolder,
        given: Mapping[str, str],
        guard: Guard,
        reporter: ConsoleReporter,
    ) -> None:
        self._options = options
        self._folder = folder
        self._given = given
        self._guard = guard
        self._reporter = reporter
        self._supervisor = Supervisor(reporter)
        self._sockets: list[socket.socket] = []
        self._database, self._schema = Gate(), Gate()

    async def run(self, stop: asyncio.Event, announce: Callable[[dict[str, Any], Prepared], None]) -> None:
        """Returns after `stop` is set and everything has ended. Raises `StackError` when a part does not stay up."""
        try:
            await _unless_stopped(self._run(announce), stop)
        finally:
            self._reporter.settle()
            self._folder.state.unlink(missing_ok=True)
            await self._supervisor.stop()
            for listener in self._sockets:
                listener.close()
            for gate in (self._database, self._schema):
                gate.close()

    def kill(self) -> None:
        """Ends every process at once; `run` then returns quickly."""
        self._supervisor.kill()

    async def _run(self, announce: Callable[[dict[str, Any], Prepared], None]) -> None:
        keys = load_or_generate(self._folder.keys, self._given)
        api_socket = self._listen(self._options.api_port, "--api-port")
        own_prefect = "PREFECT_API_URL" not in self._given
        prefect_socket = self._listen(self._options.prefect_port, "--prefect-port") if own_prefect else None
        cluster, database_url, prefect_database_url = self._databases(own_prefect)
        plan = Blueprint(
            folder=self._folder,
            given=self._given,
            keys=keys,
            api_socket=api_socket,
            prefect_socket=prefect_socket,
            database_url=database_url,
            prefect_database_url=prefect_database_url,
            database=self._database,
            schema=self._schema,
        )
        prepared = await self._start(cluster, plan)
        state = described(plan)

        def ready() -> None:
            write_json(self._folder.state, state)
            self._reporter.settle()
            announce(state, prepared)

        await self._keep(ready)

    def _listen(self, port: int, option: str) -> socket.socket:
        listener = listen(port, option=option)
        self._sockets.append(listener)
        return listener

    def _databases(self, own_prefect: bool) -> tuple[PostgresService | None, str, str]:
        """The URLs of both databases, and the embedded cluster when one of them is to be had from it."""
        given = self._given.get("DATABASE_URL")
        given_prefect = self._given.get("PREFECT_SERVER_DATABASE_CONNECTION_URL")
        if given and (given_prefect or not own_prefect):
            return None, given, given_prefect or ""
        cluster = PostgresService(self._folder.database, guard=self._guard)
        prefect_url = given_prefect or cluster.url("prefect", "postgresql+asyncpg")
        return cluster, given or cluster.url("turbocat"), prefect_url

    async def _start(self, cluster: PostgresService | None, plan: Blueprint) -> Prepared:
        if cluster is not None:
            self._supervisor.add(cluster)
        if plan.prefect_socket is not None:
            self._add(prefect_command(plan))
        self._add(api_command(plan))
        self._add(worker_command(plan))
        log = RotatingLog(self._folder.logs / "prepare.log")
        try:
            async with asyncio.TaskGroup() as group:
                starting = None if cluster is None else group.create_task(self._supervisor.start(cluster.name))
                if plan.prefect_socket is not None:
                    group.create_task(self._supervisor.start("Prefect"))
                preparation = group.create_task(prepare(plan, log, self._guard, self._reporter))
                group.create_task(self._supervisor.start("worker"))
                group.create_task(self._supervisor.start("API"))
                if starting is not None:
                    await starting
                self._database.open()
                await preparation
                self._schema.open()
        except* StackError as errors:
            raise first_of(errors) from None
        return preparation.result()

    def _add(self, command: Command) -> None:
        log = RotatingLog(self._folder.logs / f"{command.name.lower()}.log")
        self._supervisor.add(ProcessService(command, log=log, guard=self._guard))

    async def _keep(self, ready: Callable[[], None]) -> None:
        """Runs until a part is given up; restarts API and worker on a change of their sources when asked to."""
        reloading = asyncio.create_task(self._reload()) if self._options.reload else None
        await asyncio.sleep(0)  # the task's first step sets the watch up, so that no change after `ready` is missed
        try:
            ready()
            raise await self._supervisor.given_up()
        finally:
            if reloading is not None:
                reloading.cancel()

    async def _reload(self) -> None:
        async for changed in changes():
            self._reporter.say(f"[cyan]↻[/] {changed} changed; restarting {' and '.join(RELOADED)}")
            for name in RELOADED:
                await self._supervisor.restart(name)


def described(plan: Blueprint) -> dict[str, Any]:
    """The content of `stack.json`."""
    return {
        "apiUrl": plan.api_url,
        "docsUrl": f"{plan.api_url}/api/v1/docs",
        "prefectUrl": plan.prefect_url,
        "prefectApiUrl": plan.prefect_api_url,
        "prefectUser": plan.keys["PREFECT_API_AUTH_STRING"].partition(":")[0] if plan.prefect_socket else None,
        "pid": os.getpid(),
        "dataDir": str(plan.folder.root),
    }


def first_of(errors: BaseExceptionGroup[StackError]) -> StackError:
    """The first error inside nested groups."""
    found = errors.exceptions[0]
    return first_of(found) if isinstance(found, BaseExceptionGroup) else found


async def _unless_stopped(work: Awaitable[None], stop: asyncio.Event) -> None:
    """Runs `work` until it ends or `stop` is set; it is cancelled then."""
    working = asyncio.ensure_future(work)
    stopping = asyncio.create_task(stop.wait())
    try:
        await asyncio.wait({working, stopping}, return_when=asyncio.FIRST_COMPLETED)
        if working.done():
            await working
    finally:
        working.cancel()
        stopping.cancel()
        await asyncio.gather(working, stopping, return_exceptions=True)
