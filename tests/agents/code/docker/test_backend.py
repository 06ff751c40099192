"""What a container of ours lets programs do. The escape cases run against it as well."""

import asyncio
import contextlib
import gc
import os
import subprocess
import sys
import textwrap
from collections.abc import AsyncIterator, Iterator, Mapping
from pathlib import Path

import docker
import pytest

from agents.code.backend import MIB, Language, Limits, Outcome, Program, Reason, SandboxUnavailable
from agents.code.backends import selection
from agents.code.canaries import Silence
from agents.code.docker import engine as engines
from agents.code.docker import podman as podmans
from agents.code.docker.backend import DockerBackend
from agents.code.docker.place import EnginePlace
from agents.code.selection import SandboxChoice
from tests.agents.code.conftest import Started

LIMITS = Limits(cpu_seconds=5, wall_seconds=60, memory_bytes=128 * MIB, disk_bytes=8 * MIB, processes=16)


class Kept(Silence):
    """What was printed; too much above `bound` bytes."""

    def __init__(self, bound: int = MIB) -> None:
        self.text = b""
        self._bound = bound

    def write(self, stream: str, chunk: bytes) -> bool:
        self.text += f"{stream}:".encode() + chunk
        return len(self.text) <= self._bound


@pytest.fixture
async def backend(engine: EnginePlace) -> AsyncIterator[DockerBackend]:
    """One that leaves no container behind."""
    containers = DockerBackend(engine)
    yield containers
    await containers.aclose()
    assert _containers(engine) == []


def _containers(engine: EnginePlace) -> list[str]:
    with contextlib.closing(docker.DockerClient(base_url=engine.url)) as client:
        return [str(each.id) for each in client.containers.list(all=True, sparse=True)]


async def _run(backend: DockerBackend, code: str, limits: Limits = LIMITS, **program: object) -> Outcome:
    made = Program(language=Language.PYTHON, code=textwrap.dedent(code), input={"n": 1}, **program)  # type: ignore[arg-type]
    return await backend.run(made, limits, Silence())


async def test_it_is_found_where_it_is_asked_for(engine: EnginePlace) -> None:
    found = selection(SandboxChoice.DOCKER, engine)
    try:
        assert (await found.backend()).name == "docker"
        probe = found.probes["docker"]
        assert len(probe.canaries) > 5
        assert all(probe.canaries.values())
        assert probe.languages == set(Language)
    finally:
        await found.aclose()


async def test_what_goes_in_and_what_comes_out(backend: DockerBackend, tmp_path: Path) -> None:
    data, out = tmp_path / "rows.csv", tmp_path / "out"
    data.write_text("a\n1\n")
    out.mkdir()
    code = """
        import sys
        def main(input):
            print("said")
            print("warned", file=sys.stderr)
            open("out/copy.csv", "w").write(open("data/rows.csv").read() * 2)
            return {"n": input["n"] + 1}
    """
    kept = Kept()
    program = Program(
        language=Language.PYTHON,
        code=textwrap.dedent(code),
        input={"n": 1},
        datasets={"rows.csv": data},
        collect=out,
    )
    outcome = await backend.run(program, LIMITS, kept)
    assert outcome.answer == b'{"ok": true, "result": {"n": 2}}'
    assert outcome.exit_code == 0
    assert outcome.files == ("copy.csv",)
    assert (out / "copy.csv").read_text() == "a\n1\na\n1\n"
    assert b"stdout:said\n" in kept.text
    assert b"stderr:warned\n" in kept.text
    assert 0 < outcome.usage.cpu_seconds < outcome.usage.wall_seconds


async def test_node_programs_run(backend: DockerBackend) -> None:
    program = Program(language=Language.NODE, code="module.exports = async (input) => input.n * 2", input={"n": 21})
    outcome = await backend.run(program, LIMITS, Silence())
    assert outcome.answer == b'{"ok":true,"result":42}'


@pytest.mark.parametrize(
    ("code", "reason"),
    [
        ("def main(input):\n    while True: pass", Reason.CPU),
        ("import time\ndef main(input): time.sleep(600)", Reason.TIMEOUT),
        ("import signal, time\nsignal.signal(15, signal.SIG_IGN)\ndef main(input): time.sleep(600)", Reason.TIMEOUT),
        ("def main(input):\n    kept = []\n    while True: kept.append(bytearray(4 << 20))", Reason.MEMORY),
        ("import os\ndef main(input):\n    while True: os.write(1, b'x' * 65536)", Reason.OUTPUT),
        ("import os\ndef main(input):\n    while True: os.write(3, b'x' * 65536)", Reason.OUTPUT),
    ],
)
async def test_every_limit_has_its_reason(backend: DockerBackend, code: str, reason: Reason) -> None:
    wall = 3 if reason is Reason.TIMEOUT else 90
    limits = Limits(cpu_seconds=2, wall_seconds=wall, memory_bytes=64 * MIB, result_bytes=MIB)
    program = Program(language=Language.PYTHON, code=code, input=None)
    outcome = await backend.run(program, limits, Kept())
    assert outcome.reason is reason
    if reason is Reason.MEMORY:
        assert b"MemoryError" not in outcome.answer


async def test_limits_that_a_program_meets_as_errors(backend: DockerBackend) -> None:
    full = await _run(backend, "def main(input):\n    open('big', 'wb').write(bytes(16 << 20))")
    assert b'"failure": "disk"' in full.answer
    forks = "import os, time\ndef main(input):\n    while os.fork(): pass\n    time.sleep(600)"
    crowded = await _run(backend, forks)
    assert b'"failure": "processes"' in crowded.answer


async def test_how_a_program_ended_is_known(backend: DockerBackend) -> None:
    killed = await _run(backend, "import os\ndef main(input): os.kill(os.getpid(), 9)")
    assert (killed.signal, killed.exit_code, killed.answer) == (9, None, b"")
    left = await _run(backend, "import os\ndef main(input): os._exit(7)")
    assert (left.signal, left.exit_code, left.answer) == (None, 7, b"")


async def test_the_first_process_cannot_be_looked_into_nor_killed(backend: DockerBackend) -> None:
    code = """
        import os
        def main(input):
            found = {}
            for name in ("environ", "mem", "fd/1"):
                try:
                    found[name] = bool(os.open(f"/proc/1/{name}", os.O_RDWR))
                except OSError as error:
                    found[name] = error.errno
            os.kill(1, 9)
            return found
    """
    outcome = await _run(backend, code)
    assert outcome.answer == b'{"ok": true, "result": {"environ": 13, "mem": 13, "fd/1": 13}}'


async def test_a_cancelled_run_leaves_nothing(backend: DockerBackend, engine: EnginePlace) -> None:
    started = Started()
    code = "import time\nprint('started', flush=True)\ndef main(input): time.sleep(600)"
    program = Program(language=Language.PYTHON, code=code, input=None)
    running = asyncio.ensure_future(backend.run(program, LIMITS, started))
    async with asyncio.timeout(60):
        await started.said.wait()
    running.cancel()
    with pytest.raises(asyncio.CancelledError):
        await running
    assert _containers(engine) == []


async def test_a_cancel_while_the_container_is_made_leaves_nothing(backend: DockerBackend, engine: EnginePlace) -> None:
    running = asyncio.ensure_future(_run(backend, "import time\ndef main(input): time.sleep(600)"))
    await asyncio.sleep(0.05)
    running.cancel()
    with pytest.raises(asyncio.CancelledError):
        await running
    assert _containers(engine) == []


KILLED_WORKER = """
import asyncio, sys
from agents.code.backend import Language, Limits, Program
from agents.code.docker.backend import DockerBackend
from agents.code.docker.place import EnginePlace

class Streams:
    def write(self, stream, chunk):
        print("started", flush=True)
        return True

code = "import time\\nprint('here', flush=True)\\ndef main(input): time.sleep(600)"
program = Program(language=Language.PYTHON, code=code, input=None)
backend = DockerBackend(EnginePlace(image=sys.argv[1], url=sys.argv[2]))
asyncio.run(backend.run(program, Limits(), Streams()))
"""


@pytest.mark.case(39)
async def test_a_killed_worker_leaves_no_program_and_its_container_is_removed(
    backend: DockerBackend, engine: EnginePlace
) -> None:
    worker = await asyncio.create_subprocess_exec(
        sys.executable, "-c", KILLED_WORKER, engine.image, engine.url, stdout=subprocess.PIPE, cwd=os.getcwd()
    )
    assert worker.stdout is not None
    async with asyncio.timeout(90):
        assert await worker.stdout.readline() == b"started\n"
        worker.kill()
        await worker.wait()
        with contextlib.closing(docker.DockerClient(base_url=engine.url)) as client:
            while client.containers.list(sparse=True):  # noqa: ASYNC110 - an engine tells nobody
                await asyncio.sleep(0.1)
            engines.sweep(client)
    assert _containers(engine) == []


async def test_a_container_without_a_filter_runs_no_code(
    backend: DockerBackend, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As an engine that leaves it out: what Podman does with a profile that it lacks."""
    unconfined = {"security_opt": ["no-new-privileges", "seccomp=unconfined"]}
    safe, for_podman = engines._options, engines.options_for_podman

    @contextlib.contextmanager
    def also_for_podman(options: Mapping[str, object]) -> Iterator[Mapping[str, object]]:
        with for_podman(options) as fitting:
            yield {**fitting, **unconfined}

    monkeypatch.setattr(engines, "_options", lambda *of: {**safe(*of), **unconfined})
    monkeypatch.setattr(engines, "options_for_podman", also_for_podman)
    reason, printed = await _refused(backend)
    assert "lacks the filter of system calls" in reason
    assert printed == b""


async def test_a_container_with_another_filter_runs_no_code(
    backend: DockerBackend, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As an engine that takes its own in place of ours."""
    for module in (engines, podmans):
        monkeypatch.setattr(module, "seccomp_profile", lambda: '{"defaultAction": "SCMP_ACT_ALLOW"}')
    reason, printed = await _refused(backend)
    assert "lacks the filter of system calls" in reason
    assert printed == b""


async def _refused(backend: DockerBackend) -> tuple[str, bytes]:
    """Why the program was not run, and what it has printed."""
    kept = Kept()
    program = Program(language=Language.PYTHON, code="print('ran')\ndef main(input): pass", input=None)
    with pytest.raises(SandboxUnavailable) as refused:
        await backend.run(program, LIMITS, kept)
    return refused.value.message, bytes(kept.text)


@pytest.mark.filterwarnings("ignore:Exception ignored in. <socket:pytest.PytestUnraisableExceptionWarning")
@pytest.mark.case(39)
async def test_an_engine_that_is_gone_refuses_and_nothing_else_is_tried(engine: EnginePlace, tmp_path: Path) -> None:
    gone = EnginePlace(image=engine.image, url=f"unix://{tmp_path}/nobody")
    with pytest.raises(SandboxUnavailable, match="no engine answers"):
        await selection(SandboxChoice.DOCKER, gone).backend()
    with pytest.raises(SandboxUnavailable, match="docker build -t missing"):
        await selection(SandboxChoice.DOCKER, EnginePlace(image="missing", url=engine.url)).backend()
    gc.collect()  # the SDK leaves a socket behind that did not connect: here it is known of


async def test_an_engine_that_dies_in_the_middle_is_told_as_such(
    backend: DockerBackend, engine: EnginePlace, monkeypatch: pytest.MonkeyPatch
) -> None:
    real = engines.Container.remove

    def away(container: engines.Container, **how: bool) -> None:
        real(container, **how)
        raise ConnectionError

    monkeypatch.setattr(engines.Container, "remove", away)
    with pytest.raises(SandboxUnavailable, match="did not remove a container"):
        await _run(backend, "def main(input): return 1")


async def test_hostile_neighbours_do_not_reach_each_other(backend: DockerBackend) -> None:
    bomb = "import os\ndef main(input):\n    while True:\n        try: os.fork()\n        except OSError: pass"
    hostile = [asyncio.ensure_future(_run(backend, bomb, Limits(wall_seconds=8))) for _ in range(2)]
    good = await _run(backend, "def main(input): return sum(range(1000))")
    assert good.answer == b'{"ok": true, "result": 499500}'
    for outcome in await asyncio.gather(*hostile):
        assert outcome.reason in (Reason.TIMEOUT, Reason.CPU, Reason.PROCESSES)
