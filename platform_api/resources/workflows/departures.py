"""Takes the Prefect deployments of archived and deleted workflows away, once their last run has ended.

So a run that waits goes on to its end, whatever becomes of its workflow meanwhile.
"""

import structlog

from flows.errors import PrefectRefused, PrefectUnavailable
from flows.orchestrator import Orchestrator
from platform_api.access.scope import system_scope
from platform_api.db.engine import Sessions
from platform_api.resources.workflows.registration import Registration
from platform_api.resources.workflows.repository import find_abandoned

LOOK_SECONDS = 30.0
BATCH = 100

log = structlog.get_logger(__name__)


class Departures:
    """`sweep` does one round; safe to call from any number of processes."""

    def __init__(self, sessions: Sessions, orchestrator: Orchestrator) -> None:
        self._sessions = sessions
        self._orchestrator = orchestrator

    async def sweep(self) -> int:
        """One round; returns how many workflows Prefect has forgotten. What fails is tried again in a later one."""
        async with system_scope(self._sessions) as scope:
            abandoned = await find_abandoned(scope.session, limit=BATCH)
        forgotten = 0
        for workflow_id, tenant_id in abandoned:
            try:
                await Registration(self._sessions, self._orchestrator, tenant_id).refresh(workflow_id)
            except PrefectUnavailable:
                break
            except PrefectRefused as error:
                log.warning("deployment_not_removed", workflow_id=str(workflow_id), reason=str(error))
            else:
                forgotten += 1
        return forgotten
