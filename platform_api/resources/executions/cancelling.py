"""Cancels runs: what has not started or waits ends at once, of what runs the process is told (`CANCEL_CHANNEL`).

Prefect is told after the commit; where it is away our record stands without it.
"""

from dataclasses import dataclass
from functools import partial
from uuid import UUID

import structlog

from flows.errors import PrefectRefused, PrefectUnavailable
from flows.orchestrator import Orchestrator
from flows.states import is_final
from platform_api.access.scope import TenantScope
from platform_api.db.models import Execution
from platform_api.errors import IllegalMove, InvalidState
from platform_api.resources.audit_log.service import AuditLog
from platform_api.resources.executions.endings import request_cancel
from platform_api.resources.executions.record import Record
from platform_api.resources.executions.service import ExecutionService

log = structlog.get_logger(__name__)


@dataclass(frozen=True)
class Cancelling:
    """Cancels executions for the caller of a scope."""

    scope: TenantScope
    orchestrator: Orchestrator

    async def cancel(self, execution_id: UUID) -> Execution:
        """The execution as it is then: CANCELLED, or RUNNING until its process has stopped, 5 s later at most.

        Raises `InvalidState` for one that is over, and for a nested one, which ends with the run around it.
        """
        execution, _ = await ExecutionService(self.scope).get(execution_id)
        if execution.parent_execution_id is not None:
            raise InvalidState(f"It is a step of execution {execution.parent_execution_id}; cancel that one")
        before = {"status": execution.status, "cancel_requested_at": execution.cancel_requested_at}
        ended = await self._request(execution_id)
        await self.scope.session.refresh(execution)
        await AuditLog(self.scope).record(
            "execution.cancel",
            "execution",
            execution_id,
            before=before,
            after={"status": execution.status, "cancel_requested_at": execution.cancel_requested_at},
        )
        self.scope.after_commit(partial(self._tell, execution.prefect_flow_run_id, ended))
        return execution

    async def _request(self, execution_id: UUID) -> list[UUID]:
        record = await Record.join(self.scope, execution_id)
        if is_final(record.row.status):
            raise InvalidState(f"The execution is over: it is {record.row.status.value}")
        try:
            ended = await request_cancel(record, "The run was cancelled")
        except IllegalMove as late:
            raise InvalidState(str(late)) from late
        await record.close()
        return ended

    async def _tell(self, flow_run_id: UUID | None, ended: list[UUID]) -> None:
        try:
            for each in ended:
                await self.orchestrator.mark_cancelled(each, "The run was cancelled")
            if flow_run_id is not None and flow_run_id not in ended:
                await self.orchestrator.cancel(flow_run_id)
        except (PrefectUnavailable, PrefectRefused) as error:
            log.warning("prefect_not_told_of_cancel", flow_run_id=str(flow_run_id), reason=str(error))
