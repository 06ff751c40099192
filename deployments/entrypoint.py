"""Where Prefect loads our flows: `deployments.entrypoint.workflow_<id as 32 hex digits>`, and `….agent_runs`.

A workflow's attribute is made on demand, so that each workflow has an entrypoint of its own without a file of its own.
Stock Prefect workers come this way; our own worker's processes keep a wiring of theirs (`deployments.worker.child`).
"""

import asyncio
import functools
import re
from concurrent.futures import ThreadPoolExecutor
from typing import Any
from uuid import UUID

from prefect import Flow
from prefect.client.schemas.objects import FlowRun

from deployments.wiring import Wiring, wired
from flows.orchestrator import AGENT_RUNS_ATTRIBUTE, AGENT_RUNS_FLOW
from flows.runtime.builder import FlowHeader, build_flow
from flows.runtime.ports import Ports, Run
from platform_api.db.engine import create_engine
from platform_api.settings import load_settings

_ATTRIBUTE = re.compile(r"^workflow_([0-9a-f]{32})$")


def __getattr__(name: str) -> Flow[Any, Any]:
    if name == AGENT_RUNS_ATTRIBUTE:
        return flow_for(None, FlowHeader(name=AGENT_RUNS_FLOW, version="1"))
    match = _ATTRIBUTE.match(name)
    if match is None:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    workflow_id = UUID(match[1])
    return flow_for(workflow_id, _header(workflow_id))


def flow_for(workflow_id: UUID | None, header: FlowHeader) -> Flow[Any, Any]:
    """The workflow's flow (that of single agents without one), with a wiring made in the event loop that it runs in."""

    async def open_run(flow_run: FlowRun) -> tuple[Run, Ports]:
        return await _wiring().open_run(flow_run, workflow_id, run_count=flow_run.run_count)

    return build_flow(header, open_run)


@functools.cache
def _wiring() -> Wiring:
    settings = load_settings()
    return Wiring(settings, create_engine(settings.database, application_name="turbocat-flow"))


def _header(workflow_id: UUID) -> FlowHeader:
    """Asked for in a thread of its own: Prefect may load flows from inside a running event loop."""

    async def ask() -> FlowHeader:
        async with wired(load_settings(), application_name="turbocat-entrypoint") as wiring:
            return await wiring.header(workflow_id)

    with ThreadPoolExecutor(max_workers=1) as executor:
        return executor.submit(lambda: asyncio.run(ask())).result()
