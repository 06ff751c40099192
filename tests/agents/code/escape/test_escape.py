"""Case 40: programs that try to get out, on every kind of walls that there is here.

Where walls cannot be built, every run must be refused; that is what the tests of that kind then see.
"""

import asyncio
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass, replace
from pathlib import Path

import pytest

from agents.code.backend import Language, Limits, Program, SandboxUnavailable
from agents.code.canaries import Silence
from agents.code.guest.launch import LANDLOCK, NAMESPACES
from agents.code.linux_backend import LinuxBackend
from tests.agents.code.conftest import guests, soon
from tests.agents.code.escape import ending, exhausting, in_node, kernel, reaching
from tests.agents.code.escape.bait import Bait, laid_out
from tests.agents.code.escape.case import Case, Seen

pytestmark = [pytest.mark.case(40), pytest.mark.timeout(600)]

AT_ONCE = 6
CASES = [*reaching.CASES, *kernel.CASES, *exhausting.CASES, *ending.CASES, *in_node.CASES]


@dataclass(frozen=True)
class Tier:
    """`cgroups` says whether control groups are used where they can be had; without them runs are watched."""

    name: str
    walls: str
    prewarmed: bool = False
    cgroups: bool = True
    waiting: bool = False
    """Whether programs get a run that was made before there was a program."""

    def runs(self, case: Case) -> bool:
        """Only Python has a prewarmed mode."""
        return not (self.prewarmed and case.language.value == "node")


TIERS = [
    Tier("namespace, fresh", NAMESPACES),
    Tier("namespace, prewarmed", NAMESPACES, prewarmed=True),
    Tier("namespace, fresh, waiting", NAMESPACES, waiting=True),
    Tier("namespace, prewarmed, waiting", NAMESPACES, prewarmed=True, waiting=True),
    Tier("namespace, watched", NAMESPACES, cgroups=False),
    Tier("landlock, watched", LANDLOCK, cgroups=False),
]
NOTHING = {Language.PYTHON: "def main(input): ...", Language.NODE: "module.exports = () => null"}
Ran = dict[tuple[Tier, Case], Seen | SandboxUnavailable]


@pytest.fixture(scope="module")
def bait() -> Iterator[Bait]:
    with pytest.MonkeyPatch.context() as environment, laid_out() as found:
        environment.setenv("PLANTED", found.secret)
        yield found


@pytest.fixture(scope="module")
def ran(request: pytest.FixtureRequest, bait: Bait) -> Ran:
    """All attempts that were asked for, several at once, with what came of them."""
    found = [item for item in request.session.items if item.path == Path(__file__)]
    wanted = [item.callspec.params for item in found if hasattr(item, "callspec")]
    return asyncio.run(_run_all([(each["tier"], each["case"]) for each in wanted], bait))


async def _run_all(wanted: list[tuple[Tier, Case]], bait: Bait) -> Ran:
    backends = {tier: LinuxBackend(tier.walls, cgroups=tier.cgroups) for tier in TIERS}
    slots = asyncio.Semaphore(AT_ONCE)

    async def run(tier: Tier, case: Case) -> Seen | SandboxUnavailable:
        async with slots:
            return await attempted(backends[tier], tier, case, bait)

    try:
        seen = await asyncio.gather(*(run(tier, case) for tier, case in wanted))
    finally:
        await asyncio.gather(*(backend.aclose() for backend in backends.values()))
    return dict(zip(wanted, seen, strict=True))


async def attempted(backend: LinuxBackend, tier: Tier, case: Case, bait: Bait) -> Seen | SandboxUnavailable:
    printed = {"stdout": b"", "stderr": b""}

    class Kept:
        def write(self, stream: str, chunk: bytes) -> bool:
            room = case.limits.output_bytes - len(printed[stream])
            printed[stream] += chunk[:room]
            return len(chunk) <= room

    program = Program(language=case.language, code=case.code, input=bait.shown, prewarmed=tier.prewarmed)
    if tier.waiting:
        await has_waiting(backend, program, case.limits)
    try:
        outcome = await backend.run(program, case.limits, Kept())
    except SandboxUnavailable as refused:
        return refused
    return Seen(outcome, printed)


async def has_waiting(backend: LinuxBackend, program: Program, limits: Limits) -> None:
    """Has a run wait for just this program, or none where no walls can be built."""
    if not backend.prepare(program, limits):
        with suppress(SandboxUnavailable):
            await backend.run(replace(program, code=NOTHING[program.language]), limits, Silence())
        backend.prepare(program, limits)


@pytest.mark.parametrize(
    ("tier", "case"),
    [pytest.param(tier, case, id=f"{tier.name} - {case.name}") for tier in TIERS for case in CASES if tier.runs(case)],
)
def test_the_attempt_is_contained(tier: Tier, case: Case, ran: Ran, bait: Bait) -> None:
    seen = ran[tier, case]
    if isinstance(seen, SandboxUnavailable):
        assert seen.message
        return
    case.check(seen)
    text = b"".join(seen.printed.values()) + seen.outcome.answer
    assert bait.secret.encode() not in text


def test_nothing_was_touched_and_nothing_is_left(ran: Ran, bait: Bait) -> None:
    assert bait.touched() == []
    assert soon(lambda: guests() == [])


def test_there_are_all_of_the_cases() -> None:
    assert len(CASES) == 49
    assert len({case.name for case in CASES}) == 49
