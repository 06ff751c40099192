"""A Prefect worker that hands runs to warm processes and is woken by an event instead of waiting for its next poll.

It serves pools of Prefect's own type `process`: heartbeats, queues, priorities and limits are Prefect's, and a stock
process worker can serve the same pool beside it.
"""

import asyncio
from typing import Any
from uuid import UUID

import anyio
import anyio.abc
import structlog
from prefect.client.schemas.objects import FlowRun
from prefect.client.schemas.responses import WorkerFlowRunResponse
from prefect.exceptions import ObjectNotFound
from prefect.workers.base import BaseWorker
from prefect.workers.process import ProcessJobConfiguration, ProcessVariables, ProcessWorkerResult

from deployments.wiring import Wiring
from deployments.worker.cancelling import Cancelling
from deployments.worker.messages import STOPPED
from deployments.worker.processes import WarmPool
from flows.orchestrator import workflow_of
from flows.states import ExecutionStatus

QUIET_SECONDS = 15.0
"""After so long without a run a pool is polled half as often: still within the time that schedules are told ahead."""

log = structlog.get_logger(__name__)


class TurbocatWorker(BaseWorker[ProcessJobConfiguration, ProcessVariables, ProcessWorkerResult]):
    """Serves one work pool with warm processes that it may share with other workers of this process."""

    type = "process"
    job_configuration = ProcessJobConfiguration
    job_configuration_variables = ProcessVariables

    def __init__(
        self,
        *,
        processes: WarmPool,
        wiring: Wiring,
        slots: anyio.CapacityLimiter,
        cancelling: Cancelling,
        **settings: Any,
    ) -> None:
        super().__init__(**settings)
        self._cancelling = cancelling
        self._slots = slots
        self._processes = processes
        self._wiring = wiring
        self._polling = asyncio.Lock()
        self._workflows: dict[UUID, UUID | None] = {}
        self._held: set[UUID] = set()
        self._ran_at = 0.0
        self._rested = False

    @classmethod
    def __dispatch_key__(cls) -> str:
        """A key of its own, so that Prefect's process worker stays the one registered for the type."""
        return "turbocat"

    async def setup(self) -> None:
        """Runs of all pools that this process serves share its slots."""
        await super().setup()
        self._limiter = self._slots
        self._ran_at = asyncio.get_running_loop().time()

    async def get_and_submit_flow_runs(self) -> list[FlowRun]:
        """Polls because the clock asks for it, which counts half in a quiet pool: each poll costs the server 20 ms."""
        self._rested = not self._rested and asyncio.get_running_loop().time() - self._ran_at > QUIET_SECONDS
        return [] if self._rested else await self.poll()

    async def poll(self) -> list[FlowRun]:
        """One poll at a time, whether the clock or an event asked for it."""
        async with self._polling:
            found = await super().get_and_submit_flow_runs()
        if found:
            self._ran_at = asyncio.get_running_loop().time()
        return found

    async def _submit_scheduled_flow_runs(self, flow_run_response: list[WorkerFlowRunResponse]) -> list[FlowRun]:
        """Leaves out what it holds already: a run may be put back that was only slow to begin."""
        fresh = [each for each in flow_run_response if each.flow_run.id not in self._held]
        return await super()._submit_scheduled_flow_runs(fresh)

    async def run(
        self,
        flow_run: FlowRun,
        configuration: ProcessJobConfiguration,
        task_status: anyio.abc.TaskStatus[int] | None = None,
    ) -> ProcessWorkerResult:
        """Gives the run to a warm process, which has its own environment, and waits until it has ended."""
        workflow_id = await self._workflow_id(flow_run)
        process = await self._processes.take()
        if task_status is not None:
            task_status.started(process.pid)
        status = await process.run(flow_run.model_dump(mode="json"), str(workflow_id) if workflow_id else None)
        return ProcessWorkerResult(status_code=status, identifier=str(process.pid))

    async def _submit_run(self, flow_run: FlowRun) -> None:
        """Claims the run and starts it.

        Prefect's own way asks its server eight times before a run starts (deployment, flow, labels, job template …),
        all for a command line and an environment that a warm process does not need. One call is left: the claim,
        which the server grants to one worker.
        """
        self._held.add(flow_run.id)
        try:
            if not await self._propose_pending_state(flow_run):
                self._leave(flow_run)
                await self._drop_orphan(flow_run)
                return
        except Exception:
            log.exception("claim_failed", flow_run_id=str(flow_run.id))
            self._leave(flow_run)
            return
        finally:
            self._submitting_flow_run_ids.discard(flow_run.id)
        if self._runs_task_group is not None:
            self._runs_task_group.start_soon(self._run_to_its_end, flow_run)

    def _leave(self, flow_run: FlowRun) -> None:
        """The run is none of this worker's any more: its slot is free, its cancellation is not waited for."""
        self._held.discard(flow_run.id)
        self._release_limit_slot(flow_run.id)
        if self._cancelling_observer is not None:
            self._cancelling_observer.remove_in_flight_flow_run_id(flow_run.id)

    async def _drop_orphan(self, flow_run: FlowRun) -> None:
        """Cancels a run whose deployment is gone.

        Prefect's scheduler leaves such runs when it meets the deletion of a deployment. They can never start, stay the
        oldest of the queue for ever, and a hundred of them keep every other run from being taken.
        """
        if flow_run.deployment_id is None:
            return
        try:
            await self.client.read_deployment(flow_run.deployment_id)
        except ObjectNotFound:
            message = "Its deployment no longer exists"
            await self._mark_flow_run_as_cancelled(flow_run, state_updates={"message": message})
            log.info("orphan_dropped", flow_run_id=str(flow_run.id))

    async def _cancel_run(self, flow_run_id: UUID) -> None:
        """Called when Prefect's UI or API asks for the end of a run: ours ends it in its process, and records it."""
        message = await self._why_cancelled(flow_run_id)
        held = self._cancelling.cancel(str(flow_run_id), message)
        try:
            await self._wiring.request_cancel(flow_run_id, message)
        except Exception:
            log.exception("cancel_not_recorded", flow_run_id=str(flow_run_id))
        if not held:
            await super()._cancel_run(flow_run_id)

    async def _why_cancelled(self, flow_run_id: UUID) -> str:
        """Our API tells Prefect of the cancels that it takes, after they are on record."""
        try:
            is_ours = await self._wiring.is_cancel_requested(flow_run_id)
        except Exception:
            log.exception("cancel_not_looked_up", flow_run_id=str(flow_run_id))
            is_ours = False
        return "The run was cancelled" if is_ours else "The run was cancelled in Prefect"

    async def _run_to_its_end(self, flow_run: FlowRun) -> None:
        try:
            status = (await self.run(flow_run, ProcessJobConfiguration())).status_code
        except (ObjectNotFound, ValueError):
            log.exception("run_not_started", flow_run_id=str(flow_run.id))
            message = "The worker could not start this; its log says why"
            await self._give_up(flow_run, code="WORKER_LOST", message=message)
            return
        except Exception:
            log.exception("run_put_back", flow_run_id=str(flow_run.id))
            await self._take_back(flow_run, died=False)
            return
        finally:
            self._leave(flow_run)
        if status == STOPPED:
            message, cancelled = "The run was cancelled before it started", ExecutionStatus.CANCELLED
            await self._give_up(flow_run, code="CANCELLED", message=message, status=cancelled)
        elif status != 0:
            await self._take_back(flow_run)

    async def _take_back(self, flow_run: FlowRun, *, died: bool = True) -> None:
        """Lets another process go on with what the one that died had begun; what fails here the reconciler does."""
        try:
            await self._wiring.recover(flow_run.id, died=died)
        except Exception:
            log.exception("lost_run_not_taken_back", flow_run_id=str(flow_run.id))

    async def _give_up(
        self, flow_run: FlowRun, *, code: str, message: str, status: ExecutionStatus = ExecutionStatus.FAILED
    ) -> None:
        """Records an end that the run could not record, ours first. What cannot be said now the reconciler says."""
        try:
            ended = await self._wiring.abandon(flow_run, code=code, message=message, status=status)
            if ExecutionStatus.CANCELLED in (status, ended):
                await self._mark_flow_run_as_cancelled(flow_run, state_updates={"message": message})
            else:
                await self._propose_crashed_state(flow_run, message)
        except Exception:
            log.exception("end_not_recorded", flow_run_id=str(flow_run.id))

    async def _workflow_id(self, flow_run: FlowRun) -> UUID | None:
        """From the deployment's entrypoint, which never changes; asked for once each. None: a single agent."""
        if flow_run.deployment_id is None:
            raise ValueError("it belongs to no deployment, and this pool serves the deployments of workflows")
        if flow_run.deployment_id not in self._workflows:
            deployment = await self.client.read_deployment(flow_run.deployment_id)
            self._workflows[flow_run.deployment_id] = workflow_of(deployment.entrypoint or "")
        return self._workflows[flow_run.deployment_id]
