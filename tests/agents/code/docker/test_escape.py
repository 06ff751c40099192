"""Case 40 in containers: the same attempts as against the walls of this machine."""

import asyncio
import contextlib
from collections.abc import Iterator

import docker
import pytest

from agents.code.backend import Language, Program
from agents.code.docker.backend import DockerBackend
from agents.code.docker.place import EnginePlace
from tests.agents.code.escape.bait import Bait, laid_out
from tests.agents.code.escape.case import Case, Seen
from tests.agents.code.escape.test_escape import CASES

pytestmark = [pytest.mark.case(40), pytest.mark.timeout(600)]

AT_ONCE = 4


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

    probe = await backend.probe()
    cases = [case for case in CASES if case.language in probe.languages]
    try:
        seen = await asyncio.gather(*(run(case) for case in cases))
    finally:
        await backend.aclose()
    return {case.name: each for case, each in zip(cases, seen, strict=True)}


@pytest.mark.parametrize("case", [pytest.param(case, id=case.name) for case in CASES])
def test_the_attempt_is_contained(case: Case, ran: dict[str, Seen], bait: Bait) -> None:
    if case.name not in ran:
        assert case.language is Language.NODE
        pytest.skip("there is no Node.js here")
    seen = ran[case.name]
    case.check(seen)
    text = b"".join(seen.printed.values()) + seen.outcome.answer
    assert bait.secret.encode() not in text


def test_nothing_was_touched_and_nothing_is_left(ran: dict[str, Seen], bait: Bait, engine: EnginePlace) -> None:
    assert bait.touched() == []
    with contextlib.closing(docker.DockerClient(base_url=engine.url)) as client:
        assert client.containers.list(all=True) == []
