"""A Prefect server in memory, behind the real gateway's methods."""

from collections.abc import Collection
from datetime import datetime
from typing import Any
from uuid import UUID

import httpx

from flows.errors import PrefectRefused, PrefectUnavailable
from flows.orchestrator import DeploymentSpec, Orchestrator, RunState, Submission
from flows.states import ExecutionStatus
from platform_api.kit.ids import new_id

OPEN = ("PENDING", "RUNNING", "CANCELLING", "PAUSED", "CRASHED")


class FakeOrchestrator(Orchestrator):
    """Remembers deployments and submissions; `available = False` makes every call fail as an absent server does."""

    def __init__(self) -> None:
        super().__init__(api_url="http://prefect.invalid/api", transport=httpx.MockTransport(_unreachable))
        self.available = True
        self.workers = 1
        self.closed = False
        self.deployments: dict[UUID, DeploymentSpec] = {}
        self.submissions: list[Submission] = []
        self.refused: set[UUID] = set()
        """Executions that `submit` refuses."""
        self.run_states: dict[UUID, RunState] = {}
        self.put_back_runs: list[UUID] = []
        self.wanted_anew: set[UUID] = set()
        """Flow runs that were run again in the Prefect UI."""
        self.resumed: list[UUID] = []
        self.not_resumable: set[UUID] = set()
        """Flow runs that `resume` refuses."""
        self.answers: dict[UUID, dict[str, Any]] = {}
        """What was answered in the Prefect UI, by the id of the wait."""
        self.ends: dict[UUID, ExecutionStatus] = {}
        """What `mark_ended` told of flow runs."""
        self.asked_for_cancels = 0
        self.cancelling: list[UUID] = []
        self.cancelled: list[UUID] = []

    async def aclose(self) -> None:
        self.closed = True
        await super().aclose()

    async def health(self) -> float:
        self._answer()
        return 1.5

    async def workers_online(self) -> int:
        self._answer()
        return self.workers

    async def ensure_deployment(self, spec: DeploymentSpec) -> UUID:
        self._answer()
        for deployment_id, known in self.deployments.items():
            if (known.workflow_id, known.environment) == (spec.workflow_id, spec.environment):
                self.deployments[deployment_id] = spec
                return deployment_id
        deployment_id = new_id()
        self.deployments[deployment_id] = spec
        return deployment_id

    async def remove_deployment(self, deployment_id: UUID) -> None:
        self._answer()
        self.deployments.pop(deployment_id, None)

    async def submit(self, submission: Submission) -> UUID:
        self._answer()
        if submission.execution_id in self.refused:
            raise PrefectRefused("the Prefect API does not like it")
        self.submissions.append(submission)
        return new_id()

    async def flow_run(self, flow_run_id: UUID) -> dict[str, Any] | None:
        self._answer()
        return None

    async def states(self, flow_run_ids: Collection[UUID]) -> dict[UUID, RunState]:
        self._answer()
        return {each: self.run_states[each] for each in flow_run_ids if each in self.run_states}

    async def put_back(self, flow_run_id: UUID) -> None:
        self._answer()
        self.put_back_runs.append(flow_run_id)

    async def is_wanted_anew(self, flow_run_id: UUID) -> bool:
        self._answer()
        return flow_run_id in self.wanted_anew

    async def resume(self, flow_run_id: UUID) -> RunState | None:
        self._answer()
        if flow_run_id in self.not_resumable:
            raise PrefectRefused("Prefect does not resume the run")
        state = self.run_states.get(flow_run_id)
        if state is not None and state.type == "PAUSED":
            self.resumed.append(flow_run_id)
        return state

    async def given_answer(self, flow_run_id: UUID, wait_id: UUID) -> dict[str, Any] | None:
        self._answer()
        return self.answers.get(wait_id)

    async def forget_answer(self, flow_run_id: UUID, wait_id: UUID) -> None:
        self._answer()
        self.answers.pop(wait_id, None)

    async def mark_ended(self, flow_run_id: UUID, status: ExecutionStatus, message: str | None) -> None:
        self._answer()
        self.ends[flow_run_id] = status

    async def unfinished(self, *, limit: int, offset: int) -> dict[UUID, RunState]:
        self._answer()
        running = {each: state for each, state in self.run_states.items() if state.type in OPEN}
        return dict(list(running.items())[offset : offset + limit])

    async def cancelled_since(self, since: datetime) -> list[UUID]:
        self._answer()
        self.asked_for_cancels += 1
        states = self.run_states.items()
        return [each for each, state in states if state.type == "CANCELLED" and state.since >= since]

    async def cancel(self, flow_run_id: UUID) -> None:
        self._answer()
        self.cancelling.append(flow_run_id)

    async def mark_cancelled(self, flow_run_id: UUID, message: str) -> None:
        self._answer()
        self.cancelled.append(flow_run_id)

    def _answer(self) -> None:
        if not self.available:
            raise PrefectUnavailable("the Prefect API gives no answer")


def _unreachable(request: httpx.Request) -> httpx.Response:
    raise httpx.ConnectError("nothing of the fake's leaves it", request=request)
