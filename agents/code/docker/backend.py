"""Runs each program in a container of its own, on a Docker or Podman engine."""

import asyncio
import json
import socket
import time
from collections.abc import Awaitable, Callable, Coroutine
from contextlib import suppress
from dataclasses import dataclass
from functools import partial
from typing import Any

from docker.models.containers import Container

from agents.code.answer import AnswerReader
from agents.code.backend import (
    Language,
    Limits,
    Outcome,
    Probe,
    Program,
    Reason,
    SandboxUnavailable,
    Streams,
    Usage,
)
from agents.code.canaries import PROBE_LIMITS, Silence, probed
from agents.code.docker import engine
from agents.code.docker.calls import EngineCalls, unheard, within
from agents.code.docker.engine import Connection, Engine
from agents.code.docker.frames import BrokenFrames, Frames
from agents.code.docker.place import EnginePlace
from agents.code.harness.container import ANSWER, END, STDERR, STDOUT

NAMES = {STDOUT: "stdout", STDERR: "stderr"}
REASONS = {"memory": Reason.MEMORY, "cpu": Reason.CPU, "disk": Reason.DISK}
CHUNK_BYTES = 65_536
CALL_SECONDS = 45.0
"""Longer than an engine may take for one answer (`engine.ANSWER_SECONDS`), however slowly that comes."""
START_SECONDS = 120.0
"""Several answers, and the datasets are handed over."""
SILENCE_SECONDS = 15.0
LEAVING_SECONDS = 10.0
NODE_CANARY = Program(language=Language.NODE, code="module.exports = async () => 1", input=None)


class DockerBackend:
    """One engine. Containers see no folder of this machine: what a program needs goes and comes by the engine's API."""

    name = "docker"
    safe = True
    networks = False
    """Only descriptors could carry one into a container, and an engine hands none on."""

    def __init__(self, place: EnginePlace) -> None:
        self._engine = Engine(place)
        self._calls = EngineCalls()
        self._connection: Connection | None = None
        self._connecting: asyncio.Task[Connection] | None = None
        self._left_behind: set[asyncio.Task[object]] = set()

    async def probe(self) -> Probe:
        """See `canaries`. Also removes what killed workers of this machine have left."""
        try:
            connection = await self._connected()
            await self._calls.call(CALL_SECONDS, engine.sweep, connection.client)
        except SandboxUnavailable as error:
            return Probe(available=False, reason=str(error))
        found = await probed(self, frozenset({Language.PYTHON}))
        if not found.available or not await self._runs_node():
            return found
        return Probe(available=True, canaries=found.canaries, languages=found.languages | {Language.NODE})

    async def run(self, program: Program, limits: Limits, streams: Streams) -> Outcome:
        """As `SandboxBackend.run`. What an engine that hangs does not remove in time is removed when it answers."""
        connection = await self._connected()
        try:
            return await self._run(connection, program, limits, streams)
        except SandboxUnavailable:
            self._forget(connection)
            raise

    async def aclose(self) -> None:
        """Lets go of the connection."""
        if self._connecting is not None:
            await asyncio.wait([self._connecting], timeout=LEAVING_SECONDS)
        if self._connection is not None:
            self._forget(self._connection)
        if self._left_behind:
            await asyncio.wait(self._left_behind, timeout=LEAVING_SECONDS)
        self._calls.close()

    async def _run(self, connection: Connection, program: Program, limits: Limits, streams: Streams) -> Outcome:
        began = time.monotonic()
        container, attached = await self._started(connection, program, limits)
        running = _Running(program, limits, streams)
        try:
            await running.follow(attached, partial(self._check, connection))
            lost = running.report is None and running.reason is None
            out_of_memory = lost and await self._calls.call(CALL_SECONDS, engine.died_of_memory, container)
        finally:
            await asyncio.shield(self._leave(container, attached))
            running.close()
        return running.outcome(out_of_memory=out_of_memory, wall_seconds=time.monotonic() - began)

    async def _started(
        self, connection: Connection, program: Program, limits: Limits
    ) -> tuple[Container, socket.socket]:
        starting = self._calls.begin(self._engine.start, connection, program, limits)
        try:
            return await within(START_SECONDS, starting)
        except asyncio.CancelledError:
            await asyncio.wait([self._undo(starting)], timeout=LEAVING_SECONDS)
            raise
        except SandboxUnavailable:
            self._undo(starting)
            raise

    async def _check(self, connection: Connection) -> None:
        await self._calls.call(CALL_SECONDS, engine.check, connection.client)

    def _undo(self, starting: asyncio.Future[tuple[Container, socket.socket]]) -> asyncio.Task[object]:
        """Removes the container of a start that nobody waits for, as soon as there is one."""

        async def undo() -> None:
            with suppress(SandboxUnavailable):
                await self._leave(*await starting)

        return self._behind(undo())

    def _behind(self, work: Coroutine[Any, Any, object]) -> asyncio.Task[object]:
        """Does what nobody waits for but `aclose`."""
        task = asyncio.create_task(work)
        self._left_behind.add(task)
        task.add_done_callback(self._left_behind.discard)
        task.add_done_callback(unheard)
        return task

    async def _leave(self, container: Container, attached: socket.socket) -> None:
        """The streams first: an engine that cannot get rid of output does not kill for a minute."""
        attached.close()
        await self._calls.call(CALL_SECONDS, engine.remove, container)

    async def _connected(self) -> Connection:
        """All that come while nobody is connected wait for one attempt, and get its error."""
        if self._connection is not None:
            return self._connection
        if self._connecting is None:
            self._connecting = asyncio.create_task(self._connect())
            self._connecting.add_done_callback(unheard)
        return await asyncio.shield(self._connecting)

    async def _connect(self) -> Connection:
        try:
            self._connection = await self._calls.call(CALL_SECONDS, self._engine.connect)
            return self._connection
        finally:
            self._connecting = None

    def _forget(self, connection: Connection) -> None:
        """The next run connects anew: to an engine that is another one by then, or none."""
        if self._connection is connection:
            self._connection = None
            self._behind(self._calls.call(CALL_SECONDS, connection.client.close))

    async def _runs_node(self) -> bool:
        outcome = await self.run(NODE_CANARY, PROBE_LIMITS, Silence())
        return bool(outcome.answer)


@dataclass
class _Running:
    """What has come from one container so far."""

    program: Program
    limits: Limits
    streams: Streams

    def __post_init__(self) -> None:
        self.reason: Reason | None = None
        self.report: dict[str, Any] | None = None
        self._what = ""
        self._frames = Frames()
        self._answer = AnswerReader(self.limits, self.program.collect)

    async def follow(self, attached: socket.socket, check_engine: Callable[[], Awaitable[None]]) -> None:
        """Until the container's first process has reported, or is to be ended."""
        attached.setblocking(False)
        try:
            async with asyncio.timeout(self.limits.wall_seconds):
                while self.report is None and self.reason is None:
                    chunk = await _heard(attached, check_engine)
                    if not chunk:
                        return
                    for kind, payload in self._frames.feed(chunk):
                        self._take(kind, payload)
        except TimeoutError:
            self.reason = Reason.TIMEOUT
        except BrokenFrames:
            raise SandboxUnavailable("the image's python3 is not what it should be") from None

    def outcome(self, *, out_of_memory: bool, wall_seconds: float) -> Outcome:
        """From the report, or from why there is none. Raises `SandboxUnavailable` where the code was not run."""
        report = self.report or {}
        if report.get("end") == "setup":
            raise SandboxUnavailable(str(report["message"]))
        if out_of_memory:
            report = {"end": "memory"}
        elif not report and self.reason is None:
            complaint = self._frames.complaint.decode(errors="replace").strip().splitlines()
            raise SandboxUnavailable(
                f"the container ended at once: {complaint[-1] if complaint else 'it says nothing'}"
            )
        how, code = report.get("end"), report.get("code")
        return Outcome(
            answer=self._answer.answer,
            files=tuple(self._answer.files),
            reason=self.reason or REASONS.get(str(how)),
            what=self._what,
            exit_code=code if how == "exited" else None,
            signal=code if how == "signalled" else None,
            usage=Usage(
                wall_seconds=wall_seconds,
                cpu_seconds=report.get("cpuSeconds", 0),
                memory_bytes=report.get("peakMemory", 0),
            ),
        )

    def close(self) -> None:
        """Ends the files that the program has left."""
        self._answer.close()

    def _take(self, kind: int, payload: bytes) -> None:
        if self.reason is not None:
            return
        if kind == END:
            self.report = json.loads(payload)
        elif kind == ANSWER and not self._answer.feed(payload):
            self.reason, self._what = Reason.OUTPUT, self._answer.what
        elif kind in NAMES and not self.streams.write(NAMES[kind], payload):
            self.reason, self._what = Reason.OUTPUT, NAMES[kind]


async def _heard(attached: socket.socket, check_engine: Callable[[], Awaitable[None]]) -> bytes:
    """The next piece. A program may be silent for long; its engine may not: it would have kept the end to itself."""
    receiving = asyncio.create_task(asyncio.get_running_loop().sock_recv(attached, CHUNK_BYTES))
    try:
        while not (await asyncio.wait([receiving], timeout=SILENCE_SECONDS))[0]:
            await check_engine()
        return receiving.result()
    finally:
        receiving.cancel()
