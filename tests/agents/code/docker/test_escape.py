"""Case 40 in containers: the same attempts as against the walls of this machine."""

import asyncio
import contextlib
from collections.abc import Iterator, Mapping

import docker
import pytest

from agents.code.backend import Language, Limits, Program
from agents.code.docker.backend import DockerBackend
from agents.code.docker.place import EnginePlace
from agents.code.docker.podman import is_podman
from tests.agents.code.escape.bait import Bait, laid_out
from tests.agents.code.escape.case import Case, Seen
from tests.agents.code.escape.test_escape import CASES

pytestmark = [pytest.mark.case(40), pytest.mark.timeout(600)]

AT_ONCE = 4
OF_ITS_OWN = {
    "01 files of the host": {"/etc/hostname", "accounts"},  # the container's name, the image's users
    "17 writing outside of the work folder": {
        "/proc/self/uid_map",  # opens, but takes nothing: see `test_what_opens_takes_nothing`
        "less likely to be killed",  # the same
    },
    "21 what /proc shows": {"kallsyms", "cmdline", "net/tcp", "config.gz", "sys/kernel/random/boot_id"},
    "24 every system call that is on no list": {"prctl 4"},  # dumpable: what the first process does to itself
}
"""What attempts reach in a container that is not the host's, or that engines show in every container: which kernel it
is (without its addresses), and the sockets of the container's own network."""
PODMANS_OWN = {"35 files without number, folders without end": {"files"}}
"""Podman bounds the inodes of a folder by the container's memory alone."""


class Kept:
    """What was printed, as long as it is within bounds."""

    def __init__(self, bound: int) -> None:
        self.printed = {"stdout": b"", "stderr": b""}
        self._bound = bound

    def write(self, stream: str, chunk: bytes) -> bool:
        room = self._bound - len(self.printed[stream])
        self.printed[stream] += chunk[:room]
        return len(chunk) <= room


@pytest.fixture(scope="module")
def bait() -> Iterator[Bait]:
    with pytest.MonkeyPatch.context() as environment, laid_out() as found:
        environment.setenv("PLANTED", found.secret)
        yield found


@pytest.fixture(scope="module")
def of_its_own(engine: EnginePlace) -> Mapping[str, set[str]]:
    with contextlib.closing(docker.DockerClient(base_url=engine.url, timeout=60)) as client:
        return OF_ITS_OWN | PODMANS_OWN if is_podman(client.version()) else OF_ITS_OWN


@pytest.fixture(scope="module")
def ran(engine: EnginePlace, bait: Bait) -> dict[str, Seen]:
    """All attempts, several at once, with what came of them."""
    return asyncio.run(_run_all(engine, bait))


async def _run_all(engine: EnginePlace, bait: Bait) -> dict[str, Seen]:
    backend, slots = DockerBackend(engine), asyncio.Semaphore(AT_ONCE)

    async def run(case: Case) -> Seen:
        kept = Kept(case.limits.output_bytes)
        program = Program(language=case.language, code=case.code, input=bait.shown)
        async with slots:
            outcome = await backend.run(program, case.limits, kept)
        return Seen(outcome, kept.printed)

    try:
        seen = await asyncio.gather(*map(run, CASES))
    finally:
        await backend.aclose()
    return {case.name: each for case, each in zip(CASES, seen, strict=True)}


@pytest.mark.parametrize("case", [pytest.param(case, id=case.name) for case in CASES])
def test_the_attempt_is_contained(
    case: Case, ran: dict[str, Seen], bait: Bait, of_its_own: Mapping[str, set[str]]
) -> None:
    seen = ran[case.name]
    if case.name in of_its_own:
        assert set(map(str, seen.result)) <= of_its_own[case.name]
    else:
        case.check(seen)
    text = b"".join(seen.printed.values()) + seen.outcome.answer
    assert bait.secret.encode() not in text


async def test_what_opens_takes_nothing(engine: EnginePlace) -> None:
    code = """
import os
def main(input):
    def refused(path, text):
        file = os.open(path, os.O_WRONLY)
        try:
            os.write(file, text)
        except OSError as error:
            return error.errno in (1, 13)
    zeros = {line.split()[0] for line in open("/proc/kallsyms")}
    return [
        refused("/proc/self/oom_score_adj", b"-1000"),
        refused("/proc/self/uid_map", b"0 0 1"),
        {int(address, 16) for address in zeros} == {0},
        len(open("/proc/net/tcp").read().splitlines()) == 1,
    ]
"""
    backend = DockerBackend(engine)
    kept = Kept(1000)
    outcome = await backend.run(Program(language=Language.PYTHON, code=code, input=None), Limits(), kept)
    await backend.aclose()
    assert outcome.answer == b'{"ok": true, "result": [true, true, true, true]}', kept.printed


def test_nothing_was_touched_and_nothing_is_left(ran: dict[str, Seen], bait: Bait, engine: EnginePlace) -> None:
    assert bait.touched() == []
    with contextlib.closing(docker.DockerClient(base_url=engine.url)) as client:
        assert client.containers.list(all=True, sparse=True) == []
