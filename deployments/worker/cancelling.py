"""Ends runs in the processes that hold them: asked first, and with their process where they do not hear.

A cancel may come several times: from our API over `CANCEL_CHANNEL`, and from Prefect, which our API tells too.
"""

import asyncio
import contextlib

import structlog

from deployments.worker.processes import WarmPool, WarmProcess

PATIENCE_SECONDS = 3.0
"""How long a run has to end by itself; its process is the price of one that does not."""

log = structlog.get_logger(__name__)


class Cancelling:
    """The cancels under way in one worker."""

    def __init__(self, processes: WarmPool) -> None:
        self._processes = processes
        self._under_way: dict[str, asyncio.Task[None]] = {}

    def cancel(self, flow_run_id: str, reason: str) -> bool:
        """Begins to end a run; False when this worker does not hold it. Asking again changes nothing."""
        holder = self._processes.holder(flow_run_id)
        if holder is None:
            return False
        if flow_run_id not in self._under_way:
            task = asyncio.create_task(self._end(holder, flow_run_id, reason))
            self._under_way[flow_run_id] = task
            task.add_done_callback(lambda _: self._under_way.pop(flow_run_id, None))
        return True

    async def _end(self, holder: WarmProcess, flow_run_id: str, reason: str) -> None:
        with contextlib.suppress(ConnectionError):
            await holder.cancel(flow_run_id, reason)
        if not await holder.gone(flow_run_id, within=PATIENCE_SECONDS):
            log.warning("run_did_not_end", flow_run_id=flow_run_id, pid=holder.pid, runs=holder.load)
            holder.kill()
