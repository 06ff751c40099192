"""The same on stock parts, against the very server of the stack: Prefect's process worker, tuned, and background tasks.

The worker polls each 0.5 s and its deployment sets the command, without which it takes several seconds more.
"""

import asyncio
import json
import statistics
import subprocess
import sys
import time
from collections.abc import AsyncIterator, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from tests.bench.measure import Figure, percentile
from tests.fixtures.live import Live
from tests.fixtures.stack import ROOT, RunningStack

POOL = "bench-stock"
MODULE = "tests.bench.peer_tasks"
PATIENCE_SECONDS = 300.0


async def figures(live: Live, folder: Path, *, starts: int, burst: int) -> AsyncIterator[Figure]:
    """Both peers."""
    async for figure in background_tasks(live, folder, starts=starts, burst=burst):
        yield figure
    async for figure in stock_worker(live, folder, starts=max(starts // 4, 1)):
        yield figure


async def background_tasks(live: Live, folder: Path, *, starts: int, burst: int) -> AsyncIterator[Figure]:
    """From `delay` to the first line of the task, one at a time; and a burst of three steps each."""
    environment = _environment(live.stack, folder)
    with _process(environment, sys.executable, "-m", MODULE, "serve"):
        waited = []
        for number in range(starts + 1):
            begun = await _delayed(environment, folder / f"one{number}", count=1, clients=1)
            (path, at), *_ = begun.items()
            waited.append(((await _written(Path(path)))["first"] - at) * 1e3)
        what = "peer: Prefect background task, start → first line"
        yield Figure(f"{what}, p50", statistics.median(waited[1:]), "ms", starts)
        yield Figure(f"{what}, p95", percentile(waited[1:], 95), "ms", starts)
        begun = await _delayed(environment, folder / "burst", count=burst, clients=8)
        done = [(await _written(Path(path)))["done"] for path in begun]
        minutes = (max(done) - min(begun.values())) / 60
        yield Figure(f"peer: burst of {burst} background tasks of 3", burst / minutes, "runs/min", 1)


async def stock_worker(live: Live, folder: Path, *, starts: int) -> AsyncIterator[Figure]:
    """From the API call to the first line of the first task."""
    environment = _environment(live.stack, folder) | {"PREFECT_WORKER_QUERY_SECONDS": "0.5"}
    deployment = await _deployment(live)
    worker = (sys.executable, "-m", "prefect", "worker", "start", "--pool", POOL, "--type", "process")
    with _process(environment, *worker):
        waited = []
        for number in range(starts + 1):
            path = folder / f"stock{number}.json"
            begun = time.time()
            body = {"parameters": {"path": str(path)}, "state": {"type": "SCHEDULED"}}
            started = await live.prefect.post(f"deployments/{deployment}/create_flow_run", json=body)
            assert started.is_success, started.text
            waited.append(((await _written(path))["first"] - begun) * 1e3)
        what = "peer: stock process worker, tuned, start → first line"
        yield Figure(f"{what}, p50", statistics.median(waited[1:]), "ms", starts)


async def _deployment(live: Live) -> str:
    pool = {"name": POOL, "type": "process"}
    assert (await live.prefect.post("work_pools/", json=pool)).status_code in (201, 409)
    flow = (await live.prefect.post("flows/", json={"name": "one-task"})).json()
    body = {
        "name": "one-task",
        "flow_id": flow["id"],
        "entrypoint": "tests/bench/peer_tasks.py:one_task",
        "path": str(ROOT),
        "work_pool_name": POOL,
        "job_variables": {"command": f"{sys.executable} -m prefect.engine", "working_dir": str(ROOT)},
        "enforce_parameter_schema": False,
    }
    made = await live.prefect.post("deployments/", json=body)
    assert made.is_success, made.text
    return str(made.json()["id"])


async def _delayed(environment: Mapping[str, str], folder: Path, *, count: int, clients: int) -> dict[str, float]:
    """When each background task was started, by the file that it writes."""
    await asyncio.to_thread(folder.mkdir)
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", MODULE, "delay", str(count), str(clients), str(folder)),
        cwd=ROOT,
        env=dict(environment),
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.DEVNULL,
    )
    output, _ = await process.communicate()
    begun: dict[str, float] = json.loads(output)
    return begun


async def _written(path: Path) -> dict[str, Any]:
    deadline = time.monotonic() + PATIENCE_SECONDS
    while not (text := _text(path)):
        assert time.monotonic() < deadline, f"{path.name} was not written"
        await asyncio.sleep(0.02)
    found: dict[str, Any] = json.loads(text)
    return found


def _text(path: Path) -> str:
    return path.read_text() if path.exists() else ""


def _environment(stack: RunningStack, folder: Path) -> dict[str, str]:
    return {
        "PATH": "/usr/bin:/bin",
        "HOME": str(folder),
        "PYTHONPATH": str(ROOT),
        "PREFECT_HOME": str(folder / "prefect"),
        "PREFECT_API_URL": stack.prefect_api_url,
        "PREFECT_API_AUTH_STRING": stack.prefect_auth,
        "PREFECT_LOGGING_LEVEL": "ERROR",
        "DO_NOT_TRACK": "1",
    }


@contextmanager
def _process(environment: Mapping[str, str], *command: str) -> Iterator[None]:
    """A process that runs for as long as the block does."""
    quiet = subprocess.DEVNULL
    process = subprocess.Popen(command, cwd=ROOT, env=dict(environment), stdout=quiet, stderr=quiet)
    try:
        yield
    finally:
        process.terminate()
        try:
            process.wait(10)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()
