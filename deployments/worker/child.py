"""A warm process: runs flows on one event loop, several at once, and keeps its clients and connections between them.

It is forked from a server process that has imported everything and run nothing (see `fork_server`). It ends when its
worker says so or is gone; it leaves the runs that are still going on to whoever takes them up.
"""

import asyncio
import contextlib
import gc
import os
import signal
import socket
from typing import Any
from uuid import UUID

import structlog
from prefect.client.schemas.objects import FlowRun
from prefect.context import AsyncClientContext, SyncClientContext
from prefect.exceptions import Abort
from prefect.flow_engine import run_flow_async

from deployments.prefect_client import prefect_client
from deployments.wiring import AlreadyOver, AlreadyRunning, Wiring, wired
from deployments.worker.messages import LINE_LIMIT_BYTES, STOPPED, UNTOLD, receive, send
from flows.errors import PrefectUnavailable
from flows.orchestrator import AGENT_RUNS_FLOW
from flows.runtime.builder import FlowHeader, build_flow
from flows.runtime.ports import Ports, Run
from flows.runtime.step import WORKER_LOST
from platform_api.kit.logging import configure_logging
from platform_api.resources.executions.persistence import ABSENCES
from platform_api.settings import Settings, load_settings

GRACE_SECONDS = 10.0
"""What runs get to stop what they do after the worker is gone."""

log = structlog.get_logger(__name__)


def main(channel: socket.socket) -> None:
    """Serves the worker behind `channel` until it hangs up. The target of the forked process.

    It logs to the console, which is its worker's: several processes cannot rotate one file.
    """
    gc.freeze()
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    signal.signal(signal.SIGTERM, signal.SIG_DFL)
    settings = load_settings()
    configure_logging(settings.logs.model_copy(update={"folder": None}), application="runs")
    with prefect_client(settings):
        asyncio.run(_serve(channel, settings))


async def _serve(channel: socket.socket, settings: Settings) -> None:
    reader, writer = await asyncio.open_connection(sock=channel, limit=LINE_LIMIT_BYTES)
    name = "turbocat-run"
    async with wired(settings, application_name=name, on_taken_over=_die) as wiring, AsyncClientContext.get_or_create():
        with SyncClientContext.get_or_create():
            await Child(wiring, reader, writer).serve()
    writer.close()


class Child:
    """Takes `run` and `cancel` messages and answers each run with `ended`."""

    def __init__(self, wiring: Wiring, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._wiring = wiring
        self._reader = reader
        self._writer = writer
        self._runs: dict[str, asyncio.Task[None]] = {}

    async def serve(self) -> None:
        """Until the worker hangs up; then stops what still runs."""
        await send(self._writer, {"ready": True})
        while (message := await receive(self._reader)) is not None:
            self._handle(message)
        await self._stop()

    def _handle(self, message: dict[str, Any]) -> None:
        if "run" in message:
            flow_run = FlowRun.model_validate(message["run"])
            task = asyncio.create_task(self._run(flow_run, UUID(message["workflow"]) if message["workflow"] else None))
            self._runs[str(flow_run.id)] = task
        elif "cancel" in message and message["cancel"] in self._runs:
            self._runs[message["cancel"]].cancel(message.get("reason", ""))

    async def _run(self, flow_run: FlowRun, workflow_id: UUID | None) -> None:
        status = 0
        try:
            await self._run_flow(flow_run, workflow_id)
        except asyncio.CancelledError:
            log.info("flow_run_cancelled_at_its_start", flow_run_id=str(flow_run.id))
            status = STOPPED
        except AlreadyOver as late:
            log.warning("run_was_over", flow_run_id=str(flow_run.id), reason=str(late))
            status = UNTOLD
        except Abort as refusal:
            log.warning("flow_run_refused_by_prefect", flow_run_id=str(flow_run.id), reason=str(refusal))
        except Exception:
            log.exception("flow_run_broke", flow_run_id=str(flow_run.id))
            status = 1
        except BaseException:
            os._exit(1)  # Prefect's answer to SIGTERM while a flow runs; there is nothing to wait for
        finally:
            self._runs.pop(str(flow_run.id), None)
        with contextlib.suppress(ConnectionError):
            await send(self._writer, {"ended": str(flow_run.id), "status": status})

    async def _run_flow(self, flow_run: FlowRun, workflow_id: UUID | None) -> None:
        opened: tuple[Run, Ports] | Exception
        try:
            opened = await self._wiring.open_run(flow_run, workflow_id, run_count=_coming_run_count(flow_run))
            header = FlowHeader.of(opened[0].plan)
        except AlreadyRunning as second:
            log.warning("run_left_to_another", flow_run_id=str(flow_run.id), reason=str(second))
            return
        except (AlreadyOver, PrefectUnavailable, *ABSENCES):
            raise
        except Exception as error:
            log.warning("run_not_opened", flow_run_id=str(flow_run.id), error=str(error))
            name = f"workflow-{workflow_id}" if workflow_id else AGENT_RUNS_FLOW
            opened, header = error, FlowHeader(name=name, version="0")

        async def open_run(_: FlowRun) -> tuple[Run, Ports]:
            if isinstance(opened, Exception):
                raise opened
            return opened

        flow = build_flow(header, open_run)
        async with _claimed(opened):
            await run_flow_async(flow, flow_run=flow_run, parameters={}, return_type="state")

    async def _stop(self) -> None:
        tasks = list(self._runs.values())
        for task in tasks:
            task.cancel(WORKER_LOST)
        if tasks:
            await asyncio.wait(tasks, timeout=GRACE_SECONDS)


def _claimed(opened: tuple[Run, Ports] | Exception) -> contextlib.AbstractAsyncContextManager[None]:
    """From before Prefect is asked anything, so that a run that was taken by a process that died can be told."""
    if isinstance(opened, Exception):
        return contextlib.nullcontext()
    run, ports = opened
    return ports.claim(run.execution_id)


def _die() -> None:
    """The process was thought dead, for longer than its claims may be away: none of its runs is its own any more."""
    log.error("runs_taken_over")
    os.kill(os.getpid(), signal.SIGKILL)


def _coming_run_count(flow_run: FlowRun) -> int:
    """What Prefect counts once the run is running: one that goes on after a suspension is no new run to it."""
    policy = flow_run.empirical_policy
    return flow_run.run_count if policy is not None and policy.resuming else flow_run.run_count + 1
