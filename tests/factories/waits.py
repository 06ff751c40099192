"""Executions that wait, as the journal leaves them."""

from dataclasses import dataclass
from datetime import datetime
from typing import Any
from uuid import UUID

from sqlalchemy import select
from sqlmodel import col

from flows.orchestrator import RunState
from flows.runtime.ports import StepAttempt, Wait
from flows.spec import WaitKind
from platform_api.access.scope import system_scope
from platform_api.db.engine import Sessions
from platform_api.db.models import Execution, ExecutionEvent, StepWait
from platform_api.kit import clock
from platform_api.kit.ids import new_id
from platform_api.resources.executions.journal import Journal
from tests.factories.api import Api
from tests.fakes.orchestrator import FakeOrchestrator


@dataclass(frozen=True, kw_only=True)
class Waiting:
    """One execution of a caller's tenant."""

    sessions: Sessions
    orchestrator: FakeOrchestrator
    tenant_id: UUID
    execution_id: UUID
    flow_run_id: UUID

    @property
    def journal(self) -> Journal:
        return Journal(self.sessions, self.tenant_id)

    async def opens(self, path: str, kind: str = "approval", **wait: Any) -> StepAttempt:
        """A WAIT step begins."""
        attempt = StepAttempt(step_key=path.rpartition(".")[2], path=path, attempt=1)
        opened = Wait(kind=WaitKind(kind), opened_at=clock.now(), **wait)
        await self.journal.wait_opened(self.execution_id, attempt, opened)
        return attempt

    async def suspends(self) -> None:
        """Its process leaves it, and Prefect knows."""
        await self.journal.run_suspended(self.execution_id)
        self.prefect_has("PAUSED")

    def prefect_has(self, state: str, since: datetime | None = None) -> None:
        """Where Prefect has the run from now on."""
        self.orchestrator.run_states[self.flow_run_id] = RunState(type=state, since=since or clock.now())

    async def row(self) -> Execution:
        async with system_scope(self.sessions) as scope:
            return await scope.session.get_one(Execution, self.execution_id)

    async def waits(self) -> dict[str, StepWait]:
        """Its waits by path."""
        async with system_scope(self.sessions) as scope:
            mine = select(StepWait).where(col(StepWait.execution_id) == self.execution_id)
            return {wait.path: wait for wait in await scope.session.scalars(mine)}

    async def events(self, kind: str) -> list[dict[str, Any]]:
        """The payloads of its events of a type, in their order."""
        async with system_scope(self.sessions) as scope:
            mine = (col(ExecutionEvent.execution_id) == self.execution_id, col(ExecutionEvent.type) == kind)
            found = await scope.session.scalars(select(ExecutionEvent).where(*mine).order_by(col(ExecutionEvent.seq)))
            return [event.payload for event in found]


async def a_waiting_run(
    api: Api, sessions: Sessions, orchestrator: FakeOrchestrator, workflow: dict[str, Any] | None = None, **start: Any
) -> Waiting:
    """A running execution of a new workflow of the caller's; its waits are opened by the test."""
    target = workflow or await api.active_workflow()
    started = await api.made(f"/workflows/{target['id']}/execute", start)
    run = Waiting(
        sessions=sessions,
        orchestrator=orchestrator,
        tenant_id=api.tenant_id,
        execution_id=UUID(started["executionId"]),
        flow_run_id=new_id(),
    )
    await run.journal.run_started(run.execution_id, prefect_flow_run_id=run.flow_run_id, run_count=1)
    run.prefect_has("RUNNING")
    return run
