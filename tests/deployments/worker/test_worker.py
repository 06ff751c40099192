"""What becomes of a run that a worker could not hand to a process, or that is to end."""

from types import SimpleNamespace
from typing import Any
from uuid import uuid4

import anyio
import httpx
import pytest
from prefect.client.schemas.objects import FlowRun
from prefect.exceptions import Abort, ObjectNotFound
from prefect.workers.base import BaseWorker

from deployments.worker import child
from deployments.worker.child import Child
from deployments.worker.worker import TurbocatWorker
from flows.states import ExecutionStatus


class Told:
    """Stands in for wiring and for what cancels; remembers what it is told."""

    def __init__(self) -> None:
        self.calls: list[tuple[str, Any]] = []
        self.cancel_requested = False

    async def recover(self, flow_run_id: object, *, died: bool) -> None:
        self.calls.append(("recover", died))

    async def abandon(self, flow_run: FlowRun, *, code: str, **_: object) -> ExecutionStatus:
        self.calls.append(("abandon", code))
        return ExecutionStatus.FAILED

    async def is_cancel_requested(self, flow_run_id: object) -> bool:
        return self.cancel_requested

    async def request_cancel(self, flow_run_id: object, message: str) -> None:
        self.calls.append(("request_cancel", message))

    def cancel(self, flow_run_id: str, reason: str) -> bool:
        self.calls.append(("cancel", reason))
        return True


@pytest.fixture
def told() -> Told:
    return Told()


@pytest.fixture
def flow_run() -> FlowRun:
    return FlowRun(id=uuid4(), flow_id=uuid4())


@pytest.fixture
def worker(told: Told, monkeypatch: pytest.MonkeyPatch) -> TurbocatWorker:
    async def nothing(*_: object, **__: object) -> None:
        """Prefect is not told."""

    for name in ("_propose_crashed_state", "_mark_flow_run_as_cancelled"):
        monkeypatch.setattr(BaseWorker, name, nothing)
    monkeypatch.setattr(TurbocatWorker, "_leave", lambda *_: None)
    stand_in: Any = told
    return TurbocatWorker(
        processes=SimpleNamespace(),  # type: ignore[arg-type]
        wiring=stand_in,
        slots=anyio.CapacityLimiter(1),
        cancelling=stand_in,
        work_pool_name="pool",
    )


@pytest.mark.parametrize(
    ("trouble", "told_of"),
    [
        (httpx.ConnectError("away"), ("recover", False)),
        (ObjectNotFound(ValueError("the deployment is gone")), ("abandon", "WORKER_LOST")),
        (ValueError("no entrypoint of ours"), ("abandon", "WORKER_LOST")),
    ],
)
async def test_what_is_only_away_now_costs_no_run(
    worker: TurbocatWorker,
    told: Told,
    flow_run: FlowRun,
    monkeypatch: pytest.MonkeyPatch,
    trouble: Exception,
    told_of: tuple[str, Any],
) -> None:
    async def run(*_: object) -> None:
        raise trouble

    monkeypatch.setattr(worker, "run", run)
    await worker._run_to_its_end(flow_run)
    assert told.calls == [told_of]


@pytest.mark.parametrize(
    ("by_our_api", "message"), [(True, "The run was cancelled"), (False, "The run was cancelled in Prefect")]
)
async def test_a_cancel_says_where_it_came_from(
    worker: TurbocatWorker, told: Told, flow_run: FlowRun, by_our_api: bool, message: str
) -> None:
    told.cancel_requested = by_our_api
    await worker._cancel_run(flow_run.id)
    assert told.calls == [("cancel", message), ("request_cancel", message)]


async def test_a_run_that_prefect_refuses_to_go_on_with_ends_alone(
    flow_run: FlowRun, monkeypatch: pytest.MonkeyPatch
) -> None:
    sent: list[Any] = []

    async def send(_: object, message: Any) -> None:
        sent.append(message)

    async def refused(*_: object) -> None:
        raise Abort("the run is gone")

    monkeypatch.setattr(child, "send", send)
    monkeypatch.setattr(child.os, "_exit", lambda code: pytest.fail(f"the process ends with {code}"))
    stand_in: Any = None
    process = Child(stand_in, stand_in, stand_in)
    monkeypatch.setattr(process, "_run_flow", refused)
    await process._run(flow_run, None)
    assert sent == [{"ended": str(flow_run.id), "status": 0}]


async def test_a_quiet_pool_is_polled_half_as_often_by_the_clock_and_at_once_when_told(
    worker: TurbocatWorker, monkeypatch: pytest.MonkeyPatch, flow_run: FlowRun
) -> None:
    found: list[list[FlowRun]] = [[], [], [flow_run]]

    async def polled(_: object) -> list[FlowRun]:
        return found.pop(0) if found else []

    monkeypatch.setattr(BaseWorker, "get_and_submit_flow_runs", polled)
    for _ in range(4):
        await worker.get_and_submit_flow_runs()
    assert found == [[flow_run]]
    assert await worker.poll() == [flow_run]
    found.append([flow_run])
    await worker.get_and_submit_flow_runs()
    found.append([flow_run])
    await worker.get_and_submit_flow_runs()
    assert found == []
