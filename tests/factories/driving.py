"""Runs driven in this process with everything that a worker has, but for Prefect."""

from typing import Any
from uuid import UUID, uuid4

from prefect.client.schemas.objects import FlowRun

from deployments.wiring import Wiring
from flows.runtime.driver import RunDriver
from flows.runtime.log import RunLog
from flows.runtime.ports import LogLine, RunOutcome
from tests.factories.api import Api


async def driven(wiring: Wiring, execution_id: UUID, workflow_id: UUID | None) -> RunOutcome:
    """Drives an execution that was submitted to its end."""
    flow_run = FlowRun(id=uuid4(), flow_id=uuid4(), idempotency_key=str(execution_id))
    run, ports = await wiring.open_run(flow_run, workflow_id, run_count=1)

    async def write(lines: list[LogLine]) -> None:
        await ports.journal.logged(run.execution_id, lines)

    async with ports.claim(run.execution_id), RunLog(write, lambda *_: None) as log:
        return await RunDriver(run, ports, log).drive(flow_run_id=flow_run.id, run_count=1)


async def run_of(api: Api, wiring: Wiring, workflow: dict[str, Any], **body: Any) -> tuple[dict[str, Any], RunOutcome]:
    """Starts a workflow and drives it; what the API then shows of it, and how it ended."""
    started = await api.made(f"/workflows/{workflow['id']}/execute", body)
    outcome = await driven(wiring, UUID(started["executionId"]), UUID(workflow["id"]))
    return (await api.get(f"/executions/{started['executionId']}")).json()["data"], outcome
