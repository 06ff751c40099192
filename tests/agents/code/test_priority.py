"""8 hostile programs and 1 good one (case 40): what has just begun gets the processors first."""

import asyncio
import os
import statistics
import textwrap
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager, suppress

import psutil
import pytest

from agents.code.backend import Language, Limits, Outcome, Program
from agents.code.canaries import Silence
from agents.code.guest import priority, usage
from agents.code.guest.launch import NAMESPACES
from agents.code.linux_backend import LinuxBackend
from tests.agents.code.conftest import Started, guests, soon

pytestmark = pytest.mark.case(40)

GOOD = Program(language=Language.PYTHON, code="def main(input):\n    return input\n", input=1)
COMPUTES = """
    import time
    def main(input):
        while time.process_time() < 0.1: pass
"""
SPINS = "import os\nprint(1, flush=True)\n{}\nwhile True: {}"
HOSTILE = [
    SPINS.format("", "pass"),
    SPINS.format("os.fork()", "pass"),
    SPINS.format("blocks = []", "blocks.append(bytearray(1 << 20)); blocks = blocks[-80:]"),
    SPINS.format("import threading\nthreading.Thread(target=sum, args=(iter(int, 1),)).start()", "0"),
]
WIDE = Limits(wall_seconds=300, cpu_seconds=300)
TRIES = 8
SOON_SECONDS = 0.1
"""What is promised of a good run on a machine that does nothing else."""


@pytest.fixture(params=[True, False], ids=["control groups", "niceness"])
async def backend(request: pytest.FixtureRequest) -> AsyncIterator[LinuxBackend]:
    """Everything of it on two processors, which what is hostile fills on any machine."""
    made = LinuxBackend(NAMESPACES, cgroups=request.param)
    with on_two_processors():
        await made.run(GOOD, WIDE, Silence())
    yield made
    await made.aclose()


@contextmanager
def on_two_processors() -> Iterator[None]:
    allowed = os.sched_getaffinity(0)
    os.sched_setaffinity(0, sorted(allowed)[:2])
    try:
        yield
    finally:
        os.sched_setaffinity(0, allowed)


@asynccontextmanager
async def under_attack(backend: LinuxBackend) -> AsyncIterator[list[int]]:
    """Eight programs that take all they can get, each past its youth; gives the processes that it has found."""
    attacks = [asyncio.ensure_future(_attack(backend, code)) for code in HOSTILE * 2]
    try:
        assert await asyncio.to_thread(soon, lambda: len(_old()) >= len(attacks), 120)
        await asyncio.sleep(0.3)  # watchers look ten times a second
        yield _old()
    finally:
        for attack in attacks:
            attack.cancel()
        await asyncio.gather(*attacks, return_exceptions=True)


async def _attack(backend: LinuxBackend, code: str) -> Outcome:
    return await backend.run(Program(language=Language.PYTHON, code=code, input=None), WIDE, Started())


def _old() -> list[int]:
    """Programs that have computed for longer than a run counts as young."""
    return [each.pid for each in guests() if _cpu_seconds(each.pid) > priority.YOUNG_SECONDS]


def _cpu_seconds(pid: int) -> float:
    with suppress(OSError), open(f"/proc/{pid}/schedstat") as file:
        return int(file.read().split()[0]) / 1e9
    return 0


async def test_a_young_program_gets_more_than_the_older_ones(backend: LinuxBackend) -> None:
    """What the hostile ones get in the time in which it computes for 0.1 s; what else the machine does matters not."""
    program = Program(language=Language.PYTHON, code=textwrap.dedent(COMPUTES), input=None)
    async with under_attack(backend) as hostile:
        before = {pid: _cpu_seconds(pid) for pid in hostile}
        young = (await backend.run(program, WIDE, Silence())).usage.cpu_seconds
        older = [_cpu_seconds(pid) - before[pid] for pid in hostile]
    assert statistics.median(older) < young / 2


async def test_a_good_run_stays_quick_among_hostile_ones(backend: LinuxBackend) -> None:
    """On the wall clock, in the best of some tries: a machine that is busy with other things is slower alone too."""
    alone = [(await backend.run(GOOD, WIDE, Silence())).usage.wall_seconds for _ in range(TRIES)]
    async with under_attack(backend):
        among = [(await backend.run(GOOD, WIDE, Silence())).usage.wall_seconds for _ in range(TRIES)]
    assert min(among) < max(SOON_SECONDS, 4 * min(alone))


async def test_priority_is_not_won_back(backend: LinuxBackend) -> None:
    code = """
        import os
        def tried(action):
            try: return action() or True
            except Exception as error: return type(error).__name__
        def main(input):
            import resource, time
            while time.process_time() < 0.3: pass
            time.sleep(0.3)
            own = os.getpriority(os.PRIO_PROCESS, 0)
            tried(lambda: os.setsid())
            again = [tried(lambda: os.setpriority(os.PRIO_PROCESS, 0, own - 1)),
                     tried(lambda: os.setpriority(os.PRIO_PROCESS, 0, -1)),
                     tried(lambda: os.sched_setscheduler(0, os.SCHED_FIFO, os.sched_param(1))),
                     tried(lambda: resource.setrlimit(resource.RLIMIT_NICE, (40, 40))),
                     tried(lambda: open('/proc/self/autogroup', 'w').write('0'))]
            return [own, os.getpriority(os.PRIO_PROCESS, 0), again]
    """
    program = Program(language=Language.PYTHON, code=textwrap.dedent(code), input=None)
    answer = (await backend.run(program, WIDE, Silence())).answer
    assert b"true" not in answer.replace(b'"ok": true', b"")


def test_many_threads_weigh_less_each() -> None:
    """Of a process without cgroups, all of its threads and those below it."""
    with psutil.Popen(["sleep", "60"]) as one:
        priority.lower([one.pid])
        assert os.getpriority(os.PRIO_PROCESS, one.pid) == priority.MILDEST
        priority.lower([one.pid] * 100)
        assert os.getpriority(os.PRIO_PROCESS, one.pid) == priority.LOWEST
        priority.lower([one.pid])
        assert os.getpriority(os.PRIO_PROCESS, one.pid) == priority.LOWEST
        assert usage.descendants(one.pid) == []
        one.kill()
