"""Engines that hang, are slow, are away for a while, or have much to do at once."""

import asyncio
import contextlib
import gc
import os
import socket
import tempfile
import time
from collections.abc import AsyncIterator, Iterator
from dataclasses import replace
from pathlib import Path

import docker
import pytest

from agents.code.backend import Language, Limits, Outcome, Program, SandboxUnavailable
from agents.code.canaries import Silence
from agents.code.docker import backend as backends
from agents.code.docker import engine as engines
from agents.code.docker.backend import DockerBackend
from agents.code.docker.place import EnginePlace
from tests.agents.code.conftest import Started
from tests.fixtures.engine import OwnEngine

pytestmark = [
    pytest.mark.case(39),
    pytest.mark.filterwarnings("ignore:Exception ignored in. <socket:pytest.PytestUnraisableExceptionWarning"),
]

AT_ONCE = 12
SLEEP = "import time\nprint('here', flush=True)\ndef main(input): time.sleep(600)"


@pytest.fixture(autouse=True)
def forgotten_sockets() -> Iterator[None]:
    """The SDK leaves those behind that did not connect, or whose answer never came: here it is known of."""
    yield
    gc.collect()


@pytest.fixture
def folder() -> Iterator[Path]:
    """With a path that is short enough for a socket."""
    with tempfile.TemporaryDirectory(prefix="hang-", dir="/var/tmp") as path:
        yield Path(path)


def lose_patience(monkeypatch: pytest.MonkeyPatch) -> None:
    """Seconds become moments, once nothing more is wanted of an engine that works, on a machine that may be slow."""
    monkeypatch.setattr(engines, "FIRST_ANSWER_SECONDS", 1)
    monkeypatch.setattr(backends, "CALL_SECONDS", 2.0)
    monkeypatch.setattr(backends, "START_SECONDS", 2.0)
    monkeypatch.setattr(backends, "LEAVING_SECONDS", 0.5)


class Between:
    """A socket before an engine's, which can stop to hand anything on."""

    def __init__(self, engine: EnginePlace, folder: Path) -> None:
        self.place = replace(engine, url=f"unix://{folder}/socket")
        self.flows = asyncio.Event()
        self.flows.set()
        self._path = engine.url.removeprefix("unix://")
        self._pumps: set[asyncio.Task[None]] = set()

    @contextlib.asynccontextmanager
    async def serving(self) -> AsyncIterator["Between"]:
        server = await asyncio.start_unix_server(self._serve, self.place.url.removeprefix("unix://"))
        yield self
        server.close()
        for pump in self._pumps:
            pump.cancel()
        await asyncio.gather(*self._pumps, return_exceptions=True)

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        there, back = await asyncio.open_unix_connection(self._path)
        for source, sink in ((reader, back), (there, writer)):
            pump = asyncio.create_task(self._pump(source, sink))
            self._pumps.add(pump)
            pump.add_done_callback(self._pumps.discard)

    async def _pump(self, source: asyncio.StreamReader, sink: asyncio.StreamWriter) -> None:
        with contextlib.closing(sink), contextlib.suppress(ConnectionError):
            while chunk := await source.read(65_536):
                await self.flows.wait()
                sink.write(chunk)
                await sink.drain()


async def run(backend: DockerBackend, code: str, streams: Silence | None = None, wall: float | None = None) -> Outcome:
    program = Program(language=Language.PYTHON, code=code, input=None)
    return await backend.run(program, Limits(wall_seconds=wall), streams or Silence())


async def none_left(engine: EnginePlace) -> None:
    async with asyncio.timeout(90):
        with contextlib.closing(docker.DockerClient(base_url=engine.url, timeout=60)) as client:
            while await asyncio.to_thread(client.containers.list, all=True, sparse=True):  # noqa: ASYNC110 - it tells nobody
                await asyncio.sleep(0.1)


@contextlib.contextmanager
def deaf(folder: Path) -> Iterator[EnginePlace]:
    """Takes connections, and never says a word."""
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(f"{folder}/socket")
        listener.listen(64)
        yield EnginePlace(url=f"unix://{folder}/socket")


async def test_an_engine_that_never_answers_keeps_nothing_back(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Neither the runs that ask for it, however many, nor the threads that the rest of the process shares."""
    lose_patience(monkeypatch)
    with deaf(folder) as place:
        backend = DockerBackend(place)
        began = time.monotonic()
        runs = [asyncio.create_task(run(backend, "def main(input): ...")) for _ in range(100)]
        await asyncio.sleep(0)
        at_once = 4 * (os.cpu_count() or 1)
        assert await asyncio.gather(*(asyncio.to_thread(int, "1") for _ in range(at_once))) == [1] * at_once
        assert not any(task.done() for task in runs)
        ended = await asyncio.gather(*runs, return_exceptions=True)
        assert time.monotonic() - began < 60
        assert all(isinstance(each, SandboxUnavailable) and "no engine answers" in str(each) for each in ended)
        probe = await backend.probe()
        assert (probe.available, "no engine answers" in probe.reason) == (False, True)
        await backend.aclose()


async def test_an_engine_that_stops_to_answer_ends_the_run_and_what_was_left_goes_later(
    engine: EnginePlace, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(backends, "SILENCE_SECONDS", 0.5)
    async with Between(engine, folder).serving() as between:
        backend, started = DockerBackend(between.place), Started()
        running = asyncio.create_task(run(backend, SLEEP, started))
        async with asyncio.timeout(90):
            await started.said.wait()
            between.flows.clear()
            lose_patience(monkeypatch)
            with pytest.raises(SandboxUnavailable, match=r"answer"):
                await running
        between.flows.set()
        await none_left(engine)
        await backend.aclose()


async def test_a_start_that_takes_too_long_is_given_up_and_undone(
    engine: EnginePlace, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with Between(engine, folder).serving() as between:
        backend = DockerBackend(between.place)
        connection = await backend._connected()
        between.flows.clear()
        lose_patience(monkeypatch)
        with pytest.raises(SandboxUnavailable, match="did not answer within"):
            await run(backend, SLEEP)
        backend._connection = connection
        slow = asyncio.create_task(run(backend, SLEEP))
        await asyncio.sleep(0.2)
        slow.cancel()
        async with asyncio.timeout(60):
            with pytest.raises(asyncio.CancelledError):
                await slow
        between.flows.set()
        await asyncio.gather(*backend._left_behind)
        await none_left(engine)
        await backend.aclose()


async def test_a_silent_program_is_no_engine_that_hangs(engine: EnginePlace, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(backends, "SILENCE_SECONDS", 0.05)
    backend = DockerBackend(engine)
    outcome = await run(backend, "import time\ndef main(input):\n    time.sleep(1)\n    return 7", wall=90)
    assert outcome.answer == b'{"ok": true, "result": 7}'
    await backend.aclose()


async def test_many_runs_at_once_on_one_engine(engine: EnginePlace) -> None:
    backend = DockerBackend(engine)
    codes = [f"def main(input):\n    print({number})\n    return {number} ** 2" for number in range(AT_ONCE)]
    outcomes = await asyncio.gather(*(run(backend, code, wall=300) for code in codes))
    wanted = [f'{{"ok": true, "result": {number**2}}}'.encode() for number in range(AT_ONCE)]
    assert [outcome.answer for outcome in outcomes] == wanted
    await backend.aclose()
    await none_left(engine)


async def test_an_engine_that_was_started_anew_is_used_again(own_engine: OwnEngine) -> None:
    backend = DockerBackend(own_engine.place)
    before = await run(backend, "def main(input): return 1", wall=90)
    await asyncio.to_thread(own_engine.stop)
    with pytest.raises(SandboxUnavailable):
        await run(backend, "def main(input): return 1", wall=90)
    await asyncio.to_thread(own_engine.start)
    after = await run(backend, "def main(input): return 1", wall=90)
    assert before.answer == after.answer == b'{"ok": true, "result": 1}'
    await backend.aclose()
    await none_left(own_engine.place)
