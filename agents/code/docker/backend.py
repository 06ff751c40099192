"""Runs each program in a container of its own, on a Docker or Podman engine."""

import asyncio
import json
import socket
import time
from contextlib import suppress
from dataclasses import dataclass
from typing import Any

import docker
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
from agents.code.docker.engine import Engine
from agents.code.docker.frames import BrokenFrames, Frames
from agents.code.docker.place import EnginePlace
from agents.code.harness.container import ANSWER, END, STDERR, STDOUT

NAMES = {STDOUT: "stdout", STDERR: "stderr"}
REASONS = {"memory": Reason.MEMORY, "cpu": Reason.CPU, "disk": Reason.DISK}
CHUNK_BYTES = 65_536
NODE_CANARY = Program(language=Language.NODE, code="module.exports = async () => 1", input=None)


class DockerBackend:
    """One engine. Containers see no folder of this machine: what a program needs goes and comes by the engine's API."""

    name = "docker"
    safe = True
    networks = False
    """Only descriptors could carry one into a container, and an engine hands none on."""

    def __init__(self, place: EnginePlace) -> None:
        self._engine = Engine(place)
        self._client: docker.DockerClient | None = None
        self._connecting = asyncio.Lock()

    async def probe(self) -> Probe:
        """See `canaries`. Also removes what killed workers of this machine have left."""
        try:
            await asyncio.to_thread(engine.sweep, await self._connected())
        except SandboxUnavailable as error:
            return Probe(available=False, reason=str(error))
        found = await probed(self, frozenset({Language.PYTHON}))
        if not found.available or not await self._runs_node():
            return found
        return Probe(available=True, canaries=found.canaries, languages=found.languages | {Language.NODE})

    async def run(self, program: Program, limits: Limits, streams: Streams) -> Outcome:
        """As `SandboxBackend.run`."""
        began = time.monotonic()
        client = await self._connected()
        starting = asyncio.ensure_future(asyncio.to_thread(self._engine.start, client, program, limits))
        try:
            container, attached = await asyncio.shield(starting)
        except asyncio.CancelledError:
            await asyncio.shield(_undo(starting))
            raise
        running = _Running(program, limits, streams)
        try:
            await running.follow(attached)
            lost = running.report is None and running.reason is None
            out_of_memory = lost and await asyncio.to_thread(engine.died_of_memory, container)
        finally:
            await asyncio.shield(_leave(container, attached))
            running.close()
        return running.outcome(out_of_memory=out_of_memory, wall_seconds=time.monotonic() - began)

    async def aclose(self) -> None:
        """Lets go of the connection."""
        if self._client is not None:
            client, self._client = self._client, None
            await asyncio.to_thread(client.close)

    async def _connected(self) -> docker.DockerClient:
        async with self._connecting:
            if self._client is None:
                self._client = await asyncio.to_thread(self._engine.connect)
        return self._client

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

    async def follow(self, attached: socket.socket) -> None:
        """Until the container's first process has reported, or is to be ended."""
        attached.setblocking(False)
        loop = asyncio.get_running_loop()
        try:
            async with asyncio.timeout(self.limits.wall_seconds):
                while self.report is None and self.reason is None:
                    chunk = await loop.sock_recv(attached, CHUNK_BYTES)
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


async def _leave(container: Container, attached: socket.socket) -> None:
    """The streams first: an engine that cannot get rid of output does not kill for a minute."""
    attached.close()
    await asyncio.to_thread(engine.remove, container)


async def _undo(starting: asyncio.Future[tuple[Container, socket.socket]]) -> None:
    with suppress(SandboxUnavailable):
        await _leave(*await starting)
