"""A Prefect server in memory, spoken to over the real gateway, that may lose requests and answers.

`faults` is asked at each request: "request" loses it before anything is done, "answer" after all is done.
"""

import json
import re
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any
from uuid import UUID, uuid4, uuid5

import httpx
from prefect.client.schemas.objects import FlowRun

from flows.orchestrator import Orchestrator

TERMINAL = frozenset({"COMPLETED", "FAILED", "CRASHED", "CANCELLED"})
NAMES = UUID(int=0)
Faults = Callable[[], str | None]


@dataclass
class Run:
    """One flow run, with all states that it has had."""

    flow_run: FlowRun
    states: list[dict[str, Any]] = field(default_factory=list)

    @property
    def state(self) -> dict[str, Any]:
        return self.states[-1]

    @property
    def is_resumed(self) -> bool:
        """Whether it was scheduled last to go on after a suspension, which to Prefect is no new run."""
        return [each["name"] for each in self.states if each["type"] == "SCHEDULED"][-1] == "Resuming"

    def enter(self, **state: Any) -> None:
        """The next state."""
        now = datetime.now(UTC).isoformat()
        self.states.append({"name": state["type"].title(), "message": None, "timestamp": now, **state})


class PrefectServer:
    """Flow runs by id, and by the key that they were made with."""

    def __init__(self, faults: Faults = lambda: None) -> None:
        self.runs: dict[UUID, Run] = {}
        self.keys: dict[str, UUID] = {}
        self._faults = faults
        self._routes: list[tuple[str, str, Callable[..., Any]]] = [
            ("POST", r"deployments/([^/]+)/create_flow_run", self._create),
            ("POST", r"flow_runs/filter", self._filter),
            ("POST", r"flow_runs/([^/]+)/set_state", self._set_state),
            ("GET", r"flow_run_states/", self._history),
            ("POST", r"(flows|deployments)/", lambda kind, body: {"id": str(uuid5(NAMES, f"{kind} {body['name']}"))}),
            ("GET", r"work_pools/.*", lambda _: {}),
        ]

    def orchestrator(self) -> Orchestrator:
        """The gateway to this server."""
        return Orchestrator(api_url="http://prefect.localhost/api", transport=httpx.MockTransport(self._handle))

    def due(self) -> list[Run]:
        """Runs that a worker may take."""
        return [each for each in self.runs.values() if each.state["type"] == "SCHEDULED"]

    def _handle(self, request: httpx.Request) -> httpx.Response:
        fault = self._faults()
        if fault == "request":
            raise httpx.ConnectError("connection refused")
        response = self._answer(request)
        if fault == "answer":
            raise httpx.ReadTimeout("no answer")
        return response

    def _answer(self, request: httpx.Request) -> httpx.Response:
        body = json.loads(request.content) if request.content else dict(request.url.params)
        for method, pattern, answer in self._routes:
            match = re.fullmatch(pattern, request.url.path.removeprefix("/api/"))
            if match and method == request.method:
                found = answer(*match.groups(), body)
                return httpx.Response(404 if found is None else 200, json=found)
        return httpx.Response(404, json={"detail": "not found"})

    def _create(self, deployment_id: str, body: dict[str, Any]) -> dict[str, Any]:
        key = body["idempotency_key"]
        if key not in self.keys:
            made = FlowRun(
                id=uuid4(),
                flow_id=uuid4(),
                deployment_id=UUID(deployment_id),
                idempotency_key=key,
                parameters=body["parameters"],
                work_pool_name="turbocat-development",
            )
            self.runs[made.id], self.keys[key] = Run(made), made.id
            self.runs[made.id].enter(type="SCHEDULED")
        return {"id": str(self.keys[key])}

    def _filter(self, body: dict[str, Any]) -> list[dict[str, Any]]:
        wanted = body["flow_runs"]
        ids, types = wanted.get("id", {}).get("any_"), wanted.get("state", {}).get("type", {}).get("any_")
        return [
            {"id": str(key), "state": each.state}
            for key, each in self.runs.items()
            if (ids is None or str(key) in ids) and (types is None or each.state["type"] in types)
        ]

    def _set_state(self, flow_run_id: str, body: dict[str, Any]) -> dict[str, Any] | None:
        run = self.runs.get(UUID(flow_run_id))
        if run is None:
            return None
        if run.state["type"] in TERMINAL and body["state"]["type"] in ("CANCELLING", "PAUSED", "CRASHED"):
            return {"status": "ABORT", "details": {"reason": "it is over"}}
        run.enter(**body["state"])
        return {"status": "ACCEPT", "details": {}}

    def _history(self, body: dict[str, Any]) -> list[dict[str, Any]]:
        return self.runs[UUID(body["flow_run_id"])].states
