"""P7: the whole run of an empty program, from the hand-over to the last process gone, beside bare interpreters.

Each as it comes on demand, when the machine has had a moment to make the next run ready; where there is none that waits
(the first of a kind, with tables, with a network); and in a row, each started as the one before has ended.
"""

import asyncio
import statistics
import subprocess
import time
from collections.abc import Awaitable, Callable, Iterator

from agents.code import machine
from agents.code.backend import Language, Limits, Program
from agents.code.canaries import Silence
from agents.code.guest.launch import NAMESPACES
from agents.code.linux_backend import LinuxBackend
from tests.bench.measure import Figure

EMPTY = "def main(input): ..."
EMPTY_NODE = "module.exports = () => null"
PAUSE_SECONDS = 0.15
USES_NUMPY = "import numpy\ndef main(input):\n    return int(numpy.arange(3).sum())"
PROGRAMS = {
    "CODE: empty Python program, fresh": (Program(language=Language.PYTHON, code=EMPTY, input=None), 20.0),
    "CODE: Python with numpy, prewarmed": (
        Program(language=Language.PYTHON, code=USES_NUMPY, input=None, prewarmed=True),
        12.0,
    ),
    "CODE: empty Node program": (Program(language=Language.NODE, code=EMPTY_NODE, input=None), 50.0),
}


def figures(*, rounds: int) -> Iterator[Figure]:
    """The goals are for a machine that does nothing else; what counts is what comes on top of the bare interpreter."""
    yield Figure(
        "bare Python, clean environment", _bare([machine.python(), "-I", "-S", "-c", ""], rounds), "ms", rounds
    )
    if (node := machine.node()) is not None:
        yield Figure("bare Node, clean environment", _bare([node, "-e", "0"], rounds), "ms", rounds)
    measured = asyncio.run(_in_sandbox(rounds))
    for name, value in measured.items():
        yield Figure(name, value, "ms", rounds, PROGRAMS[name][1] if name in PROGRAMS else None)


async def _in_sandbox(rounds: int) -> dict[str, float]:
    backend = LinuxBackend(NAMESPACES)
    found: dict[str, float] = {}
    try:
        probe = await backend.probe()
        for name, (program, _) in PROGRAMS.items():
            if program.language in probe.languages:
                found |= await _three_ways(backend, name, program, rounds)
    finally:
        await backend.aclose()
    return found


async def _three_ways(backend: LinuxBackend, name: str, program: Program, rounds: int) -> dict[str, float]:
    async def rest() -> None:
        await asyncio.sleep(PAUSE_SECONDS)

    async def rest_without_any() -> None:
        await asyncio.sleep(0)  # after which one is being made
        backend.release()
        await rest()

    async def no_rest() -> None: ...

    ways = {name: rest, f"{name}, none waits": rest_without_any, f"{name}, in a row": no_rest}
    return {
        way: await _median(lambda: backend.run(program, Limits(), Silence()), before, rounds)
        for way, before in ways.items()
    }


async def _median(run: Callable[[], Awaitable[object]], before: Callable[[], Awaitable[object]], rounds: int) -> float:
    samples = []
    for _ in range(rounds + 1):
        await before()
        began = time.perf_counter()
        await run()
        samples.append(time.perf_counter() - began)
    return statistics.median(samples[1:]) * 1e3


def _bare(command: list[str], rounds: int) -> float:
    samples = []
    for _ in range(rounds + 1):
        began = time.perf_counter()
        subprocess.run(command, env={"OPENSSL_CONF": "/dev/null"}, check=True)
        samples.append(time.perf_counter() - began)
    return statistics.median(samples[1:]) * 1e3
