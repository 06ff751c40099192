"""Stand-ins for the runtime's ports: a journal that remembers, a store in memory, an executor that does as told."""

import asyncio
from collections.abc import Callable
from pathlib import Path
from typing import Any
from uuid import UUID, uuid4

from agents.context import AgentContext
from agents.errors import AgentError
from agents.result import AgentResult, DatasetRef
from agents.spec import AgentSpec, AgentType
from flows.plan import Plan, PlanStep, PlanWorkflow
from flows.runtime.ports import LogLine, Ports, Run, RunOutcome, StepAttempt, StepOutcome


class MemoryJournal:
    """Keeps what it is told, in order."""

    def __init__(self) -> None:
        self.started: list[tuple[UUID, int]] = []
        self.finished: list[RunOutcome] = []
        self.steps: list[tuple[str, str, int]] = []
        self.inputs: dict[tuple[str, int], Any] = {}
        self.outcomes: dict[tuple[str, int], StepOutcome] = {}
        self.skipped: dict[str, str] = {}
        self.lines: list[LogLine] = []

    async def run_started(self, execution_id: UUID, *, prefect_flow_run_id: UUID, run_count: int) -> None:
        self.started.append((prefect_flow_run_id, run_count))

    async def run_finished(self, execution_id: UUID, outcome: RunOutcome) -> None:
        self.finished.append(outcome)

    async def step_started(self, execution_id: UUID, attempt: StepAttempt, *, inputs: Any) -> None:
        self.steps.append(("start", attempt.path, attempt.attempt))
        self.inputs[attempt.path, attempt.attempt] = inputs

    async def step_finished(self, execution_id: UUID, attempt: StepAttempt, outcome: StepOutcome) -> None:
        self.steps.append(("end", attempt.path, attempt.attempt))
        self.outcomes[attempt.path, attempt.attempt] = outcome

    async def steps_skipped(self, execution_id: UUID, attempts: list[StepAttempt], *, reason: str) -> None:
        self.skipped |= {attempt.path: reason for attempt in attempts}

    async def logged(self, execution_id: UUID, lines: list[LogLine]) -> None:
        self.lines += lines


class MemoryResults:
    """A result store that holds JSON only."""

    def __init__(self) -> None:
        self.stored: dict[str, bytes] = {}

    async def keep_json(self, payload: bytes) -> str:
        uri = f"memory://{len(self.stored)}"
        self.stored[uri] = payload
        return uri

    async def read_json(self, uri: str) -> bytes:
        return self.stored[uri]

    def stage(self, suffix: str = ".parquet") -> Path:
        raise NotImplementedError(suffix)

    async def keep(self, staged: Path, *, rows: int, columns: dict[str, str]) -> DatasetRef:
        raise NotImplementedError(str(staged))

    def locate(self, uri: str) -> Path:
        raise NotImplementedError(uri)


class ScriptedExecutor:
    """Runs `script(spec, inputs, context)` for each attempt; by default gives the inputs back as the output."""

    def __init__(self, script: Callable[[AgentSpec, dict[str, Any], AgentContext], Any] | None = None) -> None:
        self.script = script
        self.calls: list[tuple[str, dict[str, Any]]] = []
        self.stopped: list[str] = []
        self.called = asyncio.Event()

    async def aclose(self) -> None:
        """Keeps nothing."""

    async def run(self, spec: AgentSpec, inputs: dict[str, Any], context: AgentContext) -> AgentResult:
        self.calls.append((spec.name, inputs))
        self.called.set()
        if "sleep" in inputs:
            try:
                await asyncio.sleep(inputs["sleep"])
            except asyncio.CancelledError:
                self.stopped.append(spec.name)
                raise
        if "fail" in inputs:
            raise AgentError("as told", code=inputs["fail"])
        output = self.script(spec, inputs, context) if self.script else inputs
        return AgentResult(output=output)


def an_agent(**changes: Any) -> AgentSpec:
    """An agent that the scripted executor runs."""
    return AgentSpec.model_validate({"id": "a", "version": 1, "name": "a", "type": "API", "config": {}} | changes)


def a_step(key: str, *depends_on: str, **changes: Any) -> PlanStep:
    """A step of that agent."""
    base = {"step_key": key, "name": key, "type": "AGENT", "agent": "a", "depends_on": depends_on}
    return PlanStep.model_validate(base | changes)


def a_run(*steps: PlanStep, agent: AgentSpec | None = None, inputs: dict[str, Any] | None = None, **plan: Any) -> Run:
    """A run of these steps."""
    workflow = PlanWorkflow(
        id=str(uuid4()), name="Sample", slug="sample", version=3, tenant_id=str(uuid4()), tenant_slug="acme"
    )
    chosen = agent or an_agent()
    full = Plan.model_validate({"workflow": workflow, "agents": {"a": chosen}, "steps": steps, **plan})
    return Run(execution_id=uuid4(), plan=full, inputs=inputs or {}, environment="DEVELOPMENT", trigger_type="MANUAL")


def some_ports(executor: ScriptedExecutor | None = None, **changes: Any) -> Ports:
    """Ports that are all in memory."""
    base: dict[str, Any] = {
        "journal": MemoryJournal(),
        "results": MemoryResults(),
        "executors": {AgentType.API: executor or ScriptedExecutor()},
    }
    return Ports(**(base | changes))
