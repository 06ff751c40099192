"""Warm processes: started ahead, fed over a socket pair, replaced when they die."""

import asyncio
import contextlib
import socket
from typing import Any

import structlog

from deployments.worker.fork_server import Forked, ForkServer
from deployments.worker.messages import LINE_LIMIT_BYTES, receive, send

START_SECONDS = 60.0
STARTS = 3
FIRST_DELAY_SECONDS = 0.1
LOST = -9
"""Status of a run whose process ended without answering."""

log = structlog.get_logger(__name__)


class WarmProcess:
    """One process and the runs that it holds. `run` waits for the run's end and returns its status (0 is well)."""

    def __init__(self, process: Forked, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._process = process
        self._reader = reader
        self._writer = writer
        self._runs: dict[str, asyncio.Future[int]] = {}
        self._listener = asyncio.create_task(self._listen())

    @classmethod
    async def start(cls, server: ForkServer) -> "WarmProcess":
        """Forks a process and waits until it is ready; raises `TimeoutError` or `ConnectionError`."""
        ours, theirs = socket.socketpair()
        try:
            with theirs:
                process = await server.fork(theirs)
            reader, writer = await asyncio.open_connection(sock=ours, limit=LINE_LIMIT_BYTES)
        except BaseException:
            ours.close()
            raise
        try:
            async with asyncio.timeout(START_SECONDS):
                if await receive(reader) is None:
                    raise ConnectionError("a warm process ended while it started; its log says why")
        except BaseException:
            writer.close()
            process.kill()
            raise
        return cls(process, reader, writer)

    @property
    def pid(self) -> int:
        """The operating system's id of the process."""
        return self._process.pid

    @property
    def runs(self) -> list[str]:
        """The flow runs that it holds."""
        return list(self._runs)

    @property
    def load(self) -> int:
        """How many runs it holds."""
        return len(self._runs)

    @property
    def alive(self) -> bool:
        """Whether it still listens."""
        return not self._listener.done()

    async def run(self, flow_run: dict[str, Any], workflow_id: str | None) -> int:
        """Runs one flow run to its end; without a workflow it is the run of a single agent."""
        future: asyncio.Future[int] = asyncio.get_running_loop().create_future()
        self._runs[flow_run["id"]] = future
        try:
            await send(self._writer, {"run": flow_run, "workflow": workflow_id})
        except ConnectionError:
            return LOST
        return await future

    async def cancel(self, flow_run_id: str, reason: str) -> None:
        """Asks the process to cancel one of its runs."""
        await send(self._writer, {"cancel": flow_run_id, "reason": reason})

    async def gone(self, flow_run_id: str, *, within: float) -> bool:
        """Whether the run ends in that many seconds."""
        future = self._runs.get(flow_run_id)
        if future is not None:
            await asyncio.wait([future], timeout=within)
        return future is None or future.done()

    def kill(self) -> None:
        """Ends the process with all that it runs."""
        self._process.kill()

    def holds(self, flow_run_id: str) -> bool:
        """Whether the run is one of its own."""
        return flow_run_id in self._runs

    async def stop(self, grace_seconds: float) -> None:
        """Hangs up, so that the process ends its runs and itself; kills it after the grace."""
        self._writer.close()
        try:
            async with asyncio.timeout(grace_seconds):
                await self._process.ended.wait()
        except TimeoutError:
            self._process.kill()
            await self._process.ended.wait()
        self._listener.cancel()
        await asyncio.gather(self._listener, return_exceptions=True)

    async def _listen(self) -> None:
        while (message := await receive(self._reader)) is not None:
            future = self._runs.pop(message["ended"], None)
            if future and not future.done():
                future.set_result(message["status"])
        for future in self._runs.values():
            if not future.done():
                future.set_result(LOST)
        self._runs.clear()

    async def ended(self) -> None:
        """Returns when the process is gone."""
        await asyncio.wait([self._listener])


class WarmPool:
    """Keeps `size` warm processes; gives each run to the least loaded one.

    With `ready` it begins with so many, and with the others when a run finds none that is free.
    """

    def __init__(self, size: int, server: ForkServer, *, ready: int | None = None) -> None:
        self._size = size
        self._ready = size if ready is None else ready
        self._server = server
        self._processes: list[WarmProcess] = []
        self._keepers: list[asyncio.Task[None]] = []
        self._joined = asyncio.Condition()

    async def start(self) -> None:
        """Returns when one process is ready: runs that wait need no more. The others follow; all are kept alive."""
        await self._first()
        self._keepers = [asyncio.create_task(self._keep(self._processes[0])), asyncio.create_task(self._fill())]

    async def keep(self) -> None:
        """Starts it, and raises when it cannot go on: no process starts, or the fork server has ended."""
        await self.start()
        await self._server.lost()

    async def stop(self, grace_seconds: float) -> None:
        """Stops replacing processes, then stops them all at once."""
        for keeper in self._keepers:
            keeper.cancel()
        await asyncio.gather(*self._keepers, return_exceptions=True)
        await asyncio.gather(*(process.stop(grace_seconds) for process in self._processes))
        self._processes.clear()

    @property
    def held(self) -> list[str]:
        """The flow runs that its processes hold."""
        return [flow_run_id for process in self._processes for flow_run_id in process.runs]

    async def take(self) -> WarmProcess:
        """The least loaded living process; waits while there is none."""
        while not self.living:
            await self.changed()
        least = min(self.living, key=lambda process: process.load)
        if least.load > 0 and self._ready < self._size:
            self._ready += 1
            self._keepers.append(asyncio.create_task(self._join()))
        return least

    @property
    def living(self) -> list[WarmProcess]:
        """The processes that still listen."""
        return [process for process in self._processes if process.alive]

    async def changed(self) -> None:
        """Returns when a process has joined."""
        async with self._joined:
            await self._joined.wait()

    def holder(self, flow_run_id: str) -> WarmProcess | None:
        """The process that runs it."""
        return next((process for process in self._processes if process.holds(flow_run_id)), None)

    async def _first(self) -> None:
        """One that dies while it starts may have been killed; where several do there is something wrong."""
        for _ in range(STARTS - 1):
            try:
                await self._add()
            except ConnectionError:
                log.warning("warm_process_died_at_its_start")
            else:
                return
        await self._add()

    async def _fill(self) -> None:
        """One after another, beside runs that may be going on by now."""
        for _ in range(self._ready - 1):
            process, _ = await self._replacement(FIRST_DELAY_SECONDS)
            self._keepers.append(asyncio.create_task(self._keep(process)))

    async def _join(self) -> None:
        process, _ = await self._replacement(FIRST_DELAY_SECONDS)
        await self._keep(process)

    async def _add(self) -> WarmProcess:
        process = await WarmProcess.start(self._server)
        async with self._joined:
            self._processes.append(process)
            self._joined.notify_all()
        return process

    async def _keep(self, process: WarmProcess) -> None:
        delay = FIRST_DELAY_SECONDS
        while True:
            await process.ended()
            log.warning("warm_process_died", pid=process.pid)
            self._processes.remove(process)
            with contextlib.suppress(Exception):
                await process.stop(0)
            process, delay = await self._replacement(delay)

    async def _replacement(self, delay: float) -> tuple[WarmProcess, float]:
        while True:
            try:
                return await self._add(), FIRST_DELAY_SECONDS
            except (OSError, TimeoutError):
                log.exception("warm_process_did_not_start", retry_in_seconds=delay)
                await asyncio.sleep(delay)
                delay = min(delay * 2, 30.0)
