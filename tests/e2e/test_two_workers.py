"""Two workers serve the same pools while one of them dies and the workflow gets a new version."""

import asyncio
import signal
import subprocess
import sys
import time
from collections.abc import Iterator

import psutil
import pytest

from tests.factories.api import step
from tests.fixtures.breaking import COMMANDS
from tests.fixtures.live import PATIENCE_SECONDS, Live
from tests.fixtures.stack import ROOT, RunningStack
from tests.fixtures.true_record import TrueRecord

pytestmark = [pytest.mark.e2e, pytest.mark.slow, pytest.mark.timeout(280), pytest.mark.case(32, 34)]

RUNS = 6
POOL = "turbocat-development"


@pytest.fixture
def second_worker(stack: RunningStack) -> Iterator[psutil.Process]:
    """Another worker process with the settings of the stack's own, as on another machine."""
    own = next(each for each in psutil.Process(stack.pid).children() if COMMANDS["worker"] in " ".join(each.cmdline()))
    process = subprocess.Popen([sys.executable, "-m", COMMANDS["worker"]], cwd=ROOT, env=own.environ())
    yield psutil.Process(process.pid)
    process.kill()
    process.wait()


async def test_runs_of_one_that_dies_go_on_in_the_other_by_the_version_that_they_began_with(
    live: Live, second_worker: psutil.Process
) -> None:
    await until_it_serves(live, second_worker)
    slow = await live.code("import time\ntime.sleep(0.3)\nreturn {'n': input['n'] + 1}")
    steps = [step("s1", slow, inputs={"n": 0})]
    steps += [
        step(f"s{n}", slow, inputs={"n": f"{{{{ s{n - 1}.output.n }}}}"}, dependsOn=[f"s{n - 1}"]) for n in (2, 3, 4)
    ]
    workflow = await live.api.active_workflow(steps=steps)
    before = [await live.start(workflow) for _ in range(RUNS)]
    await live.until(before[0], lambda execution: execution["stepsCompleted"] >= 1)
    changed = await live.api.patch(f"/workflows/{workflow['id']}", {"steps": [step("s1", slow, inputs={"n": 9})]})
    assert changed.status_code == 200, changed.text
    processes = [second_worker, *second_worker.children(recursive=True)]
    second_worker.send_signal(signal.SIGKILL)
    after = await live.start(workflow)
    record = TrueRecord(stack=live.stack, tenant_id=live.api.tenant_id)
    await record.until_over([*before, after])
    expected = {**{key: {"s4": {"n": 4}} for key in before}, after: {"s1": {"n": 10}}}
    assert await record.check_ends(expected) == RUNS + 1
    await record.check()
    await record.until_unclaimed()
    await record.until_prefect_agrees(live.prefect)
    _, alive = psutil.wait_procs(processes[1:], timeout=30)
    assert alive == []


async def until_it_serves(live: Live, worker: psutil.Process) -> None:
    """Waits for its heartbeat in Prefect."""
    deadline = time.monotonic() + PATIENCE_SECONDS
    names: list[str] = []
    while not any(f"-{worker.pid}-" in name for name in names):
        assert time.monotonic() < deadline, names
        await asyncio.sleep(0.2)
        online = {"workers": {"status": {"any_": ["ONLINE"]}}}
        found = await live.prefect.post(f"work_pools/{POOL}/workers/filter", json=online)
        names = [each["name"] for each in found.json()]
