"""Stand-ins for the runtime's ports: a journal that remembers, a store in memory, an executor that does as told."""

import asyncio
from collections import defaultdict
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any
from uuid import UUID, uuid4

from agents.calls import Call
from agents.context import AgentContext
from agents.errors import AgentError
from agents.result import AgentResult, DatasetRef
from agents.spec import AgentSpec, AgentType
from flows.plan import Plan, PlanStep, PlanWorkflow
from flows.runtime.activity import Activity
from flows.runtime.driver import KINDS, RunDriver
from flows.runtime.log import Mirror, RunLog
from flows.runtime.paths import lies_in
from flows.runtime.ports import (
    Answer,
    FinishedStep,
    LogLine,
    OpenStep,
    Past,
    Ports,
    Question,
    Run,
    RunOutcome,
    StepAttempt,
    StepOutcome,
    Wait,
)
from flows.runtime.surroundings import Limiter, NestedEnd, Surroundings
from flows.states import EXECUTION_MOVES, STEP_MOVES, ExecutionStatus, StepStatus, is_final


@dataclass
class MemoryRow:
    """The record of one attempt."""

    attempt: StepAttempt
    status: StepStatus
    outcome: StepOutcome | None = None
    wait: Wait | None = None
    begun_at: datetime | None = None
    calls: tuple[Call, ...] = ()


class MemoryJournal:
    """Keeps what it is told, in order, and refuses what the real one would. A nested run has a journal of its own."""

    def __init__(self, plan: Plan | None = None, books: "dict[UUID, MemoryJournal] | None" = None) -> None:
        self.books: dict[UUID, MemoryJournal] = {} if books is None else books
        """Those of nested runs, by execution, at any depth."""
        self.plan = plan
        self.run: Run | None = None
        self.parent_path: str | None = None
        self.status = ExecutionStatus.PENDING
        self.started: list[tuple[UUID | None, int]] = []
        self.finished: list[RunOutcome] = []
        self.suspended = 0
        self.wake_at: datetime | None = None
        self.rows: dict[UUID, MemoryRow] = {}
        self.steps: list[tuple[str, str, int]] = []
        self.inputs: dict[tuple[str, int], Any] = {}
        self.outcomes: dict[tuple[str, int], StepOutcome] = {}
        self.skipped: dict[str, str] = {}
        self.lines: list[LogLine] = []
        self.progress: list[tuple[str, int, int | None]] = []
        self.now: Callable[[], datetime] = lambda: datetime.now(UTC)
        self.told: list[tuple[str, str]] = []
        """Pieces of models' answers, by path."""
        self.given: dict[str, Answer] = {}
        """Answers to waits, by path; put there by tests."""

    def book(self, execution_id: UUID) -> "MemoryJournal":
        """The journal of an execution: this one unless it is a nested one's."""
        return self.books.get(execution_id, self)

    def lose(self) -> None:
        """What recovery writes of a run whose process has died: steps that were at work failed, all else is paused."""
        for book in (self, *self.books.values()):
            if is_final(book.status):
                continue
            book.status = ExecutionStatus.PAUSED
            for row in [row for row in book.rows.values() if row.status is StepStatus.RUNNING]:
                if row.attempt.agent and row.attempt.path not in self._nested_paths():
                    error = {"code": "WORKER_LOST", "message": "as told"}
                    row.outcome = StepOutcome(status=StepStatus.FAILED, error=error, last=False)
                    row.status = StepStatus.FAILED
                else:
                    row.status = StepStatus.PAUSED

    def _nested_paths(self) -> set[str | None]:
        return {book.parent_path for book in self.books.values()}

    def past(self) -> Past:
        """What a process that takes the run up is told; by the rules of the real journal."""
        newest: dict[str, MemoryRow] = {}
        for row in self.rows.values():
            known = newest.get(row.attempt.path)
            if known is None or known.attempt.attempt <= row.attempt.attempt:
                newest[row.attempt.path] = row
        open_rows = {path: row for path, row in newest.items() if row.status in _OPEN}
        ended = {path: row.outcome for path, row in newest.items() if row.outcome and row.outcome.last}
        return Past(
            finished={
                path: FinishedStep(status=each.status, output=each.output, output_ref=each.output_ref, error=each.error)
                for path, each in ended.items()
                if each.status is not StepStatus.CANCELLED
            },
            open={
                path: OpenStep(step_run_id=row.attempt.step_run_id, attempt=row.attempt.attempt, begun_at=row.begun_at)
                for path, row in open_rows.items()
            },
            attempts={path: row.attempt.attempt for path, row in newest.items()},
        )

    async def run_started(self, execution_id: UUID, *, prefect_flow_run_id: UUID | None, run_count: int) -> None:
        book = self.book(execution_id)
        assert ExecutionStatus.RUNNING in EXECUTION_MOVES[book.status], book.status
        book.status = ExecutionStatus.RUNNING
        book.started.append((prefect_flow_run_id, run_count))

    async def run_suspended(self, execution_id: UUID, *, wake_at: datetime | None = None) -> None:
        book = self.book(execution_id)
        book.wake_at = wake_at
        assert book.status is ExecutionStatus.RUNNING, book.status
        book.status = ExecutionStatus.PAUSED
        book.suspended += 1
        for row in book.rows.values():
            row.status = StepStatus.PAUSED if row.status is StepStatus.RUNNING else row.status

    async def run_finished(self, execution_id: UUID, outcome: RunOutcome) -> None:
        book = self.book(execution_id)
        assert outcome.status in EXECUTION_MOVES[book.status], (book.status, outcome)
        book.status = outcome.status
        book.finished.append(outcome)

    async def step_started(self, execution_id: UUID, attempt: StepAttempt, *, inputs: Any) -> None:
        book = self.book(execution_id)
        known = book.rows.get(attempt.step_run_id)
        assert known is None or known.status is StepStatus.PAUSED, known
        book.rows[attempt.step_run_id] = known or MemoryRow(attempt, StepStatus.RUNNING, begun_at=self.now())
        book.rows[attempt.step_run_id].status = StepStatus.RUNNING
        book.steps.append(("start", attempt.path, attempt.attempt))
        book.inputs[attempt.path, attempt.attempt] = inputs

    async def calls_noted(self, execution_id: UUID, attempt: StepAttempt, calls: Sequence[Call]) -> None:
        row = self.book(execution_id).rows[attempt.step_run_id]
        assert row.status is StepStatus.RUNNING, row
        row.calls = tuple(calls)

    async def step_finished(self, execution_id: UUID, attempt: StepAttempt, outcome: StepOutcome) -> None:
        book = self.book(execution_id)
        row = book.rows[attempt.step_run_id]
        assert outcome.status in STEP_MOVES[row.status], (attempt.path, row.status, outcome.status)
        row.status, row.outcome = outcome.status, outcome
        book.steps.append(("end", attempt.path, attempt.attempt))
        book.outcomes[attempt.path, attempt.attempt] = outcome

    async def wait_opened(self, execution_id: UUID, attempt: StepAttempt, wait: Wait) -> Wait:
        book = self.book(execution_id)
        known = book.rows.get(attempt.step_run_id)
        if known is not None and known.wait is not None:
            return known.wait
        book.rows[attempt.step_run_id] = MemoryRow(attempt, StepStatus.PAUSED, wait=wait, begun_at=wait.opened_at)
        book.steps.append(("start", attempt.path, attempt.attempt))
        return wait

    async def answers(self, execution_id: UUID) -> dict[str, Answer]:
        return dict(self.book(execution_id).given)

    async def question(self, execution_id: UUID) -> Question | None:
        return None

    async def inside_closed(self, execution_id: UUID, path: str, *, reason: str) -> None:
        book = self.book(execution_id)
        outcome = StepOutcome(status=StepStatus.CANCELLED, error={"code": "CANCELLED", "message": reason})
        for row in book.rows.values():
            if row.status in _OPEN and row.attempt.path != path and lies_in(row.attempt.path, path):
                row.status, row.outcome = StepStatus.CANCELLED, outcome
        for child in self.books.values():
            if child.parent_path is not None and lies_in(child.parent_path, path) and not is_final(child.status):
                child.status = ExecutionStatus.CANCELLED

    async def child_opened(self, execution_id: UUID, attempt: StepAttempt, plan: Plan, inputs: dict[str, Any]) -> Run:
        outer = self.book(execution_id)
        for book in self.books.values():
            if book.parent_path == attempt.path and not is_final(book.status) and book.run is not None:
                return replace(book.run, past=book.past())
        depth = (outer.run.depth if outer.run else 0) + 1
        run = Run(
            execution_id=uuid4(),
            plan=plan,
            inputs=inputs,
            environment="DEVELOPMENT",
            trigger_type="MANUAL",
            depth=depth,
        )
        book = self.books[run.execution_id] = MemoryJournal(plan, self.books)
        book.run, book.parent_path = run, attempt.path
        return run

    async def progressed(self, execution_id: UUID, path: str, *, done: int, total: int | None) -> None:
        self.book(execution_id).progress.append((path, done, total))

    async def text_told(self, execution_id: UUID, *, step_key: str, path: str, text: str) -> None:
        self.book(execution_id).told.append((path, text))

    async def steps_skipped(self, execution_id: UUID, attempts: list[StepAttempt], *, reason: str) -> None:
        book = self.book(execution_id)
        for attempt in attempts:
            assert attempt.path not in {row.attempt.path for row in book.rows.values()}, attempt.path
            outcome = StepOutcome(status=StepStatus.SKIPPED, error={"code": "SKIPPED", "message": reason})
            book.rows[attempt.step_run_id] = MemoryRow(attempt, StepStatus.SKIPPED, outcome)
        book.skipped |= {attempt.path: reason for attempt in attempts}

    async def logged(self, execution_id: UUID, lines: list[LogLine]) -> None:
        self.book(execution_id).lines += lines


_OPEN = frozenset({StepStatus.RUNNING, StepStatus.PAUSED})


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
        self.keys: list[str] = []
        """The paths that were run, in order."""
        self.begins: defaultdict[str, asyncio.Event] = defaultdict(asyncio.Event)
        """Set when the path is run."""
        self.working = 0
        self.most_at_once = 0
        self.stopped: list[str] = []
        self.called = asyncio.Event()

    async def aclose(self) -> None:
        """Keeps nothing."""

    async def run(self, spec: AgentSpec, inputs: dict[str, Any], context: AgentContext) -> AgentResult:
        self.calls.append((spec.name, inputs))
        path = context.idempotency_key.partition(":")[2]
        self.keys.append(path)
        self.begins[path].set()
        self.working += 1
        self.most_at_once = max(self.most_at_once, self.working)
        self.called.set()
        try:
            return await self._run(spec, inputs, context)
        finally:
            self.working -= 1

    async def _run(self, spec: AgentSpec, inputs: dict[str, Any], context: AgentContext) -> AgentResult:
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


async def _nested_nowhere(*_: object) -> NestedEnd:
    raise NotImplementedError


def surroundings(
    run: Run, executor: ScriptedExecutor, *, mirror: Mirror = lambda *_: None, **ports: Any
) -> Surroundings:
    """What steps of the run see, all in memory."""
    all_ports = some_ports(executor, **ports)

    async def write(lines: list[LogLine]) -> None:
        await all_ports.journal.logged(run.execution_id, lines)

    return Surroundings(
        run=run,
        ports=all_ports,
        log=RunLog(write, mirror),
        limiter=Limiter(8),
        activity=Activity(),
        kinds=KINDS,
        drive_nested=_nested_nowhere,
    )


class Drive:
    """Drives a run without Prefect, as often as it takes, over one journal."""

    def __init__(
        self, *steps: PlanStep, executor: ScriptedExecutor | None = None, run: Run | None = None, **plan: Any
    ) -> None:
        self.executor = executor or ScriptedExecutor()
        self.run = run or a_run(*steps, **plan)
        self.journal = MemoryJournal(self.run.plan)
        self.ports = some_ports(self.executor, journal=self.journal)

    async def once(self) -> RunOutcome:
        """Starts the run, or takes it up where the journal says that it stands."""
        run = replace(self.run, past=self.journal.past())

        async def write(lines: list[LogLine]) -> None:
            await self.journal.logged(run.execution_id, lines)

        async with RunLog(write, lambda *_: None) as log:
            return await RunDriver(run, self.ports, log).drive(flow_run_id=uuid4(), run_count=1)

    @property
    def statuses(self) -> dict[str, StepStatus]:
        """How each step stands, by path: as its newest attempt does."""
        rows = sorted(self.journal.rows.values(), key=lambda row: row.attempt.attempt)
        return {row.attempt.path: row.status for row in rows}


def a_condition(
    key: str, *depends_on: str, when: str, then: tuple[str, ...] = (), otherwise: tuple[str, ...] = ()
) -> PlanStep:
    """A CONDITION with `expression`, `then` and `else`."""
    cases = [{"when": when, "then": then}, {"when": None, "then": otherwise}]
    return a_step(key, *depends_on, type="CONDITION", agent=None, config={"expression": when}, cases=cases)


def a_loop(key: str, *depends_on: str, steps: tuple[PlanStep, ...], loop: dict[str, Any], **changes: Any) -> PlanStep:
    """A LOOP over `loop["items"]`, or while `loop["condition"]` holds."""
    return a_step(key, *depends_on, type="LOOP", agent=None, loop={**loop, "steps": steps}, **changes)


def a_parallel(key: str, *depends_on: str, branches: dict[str, tuple[PlanStep, ...]], **changes: Any) -> PlanStep:
    """A PARALLEL; `wait` and `max_concurrency` are the config's."""
    config = {name: changes.pop(name) for name in ("wait", "max_concurrency") if name in changes}
    return a_step(key, *depends_on, type="PARALLEL", agent=None, parallel={"branches": branches, **config}, **changes)


def a_wait(key: str, *depends_on: str, wait: dict[str, Any], **changes: Any) -> PlanStep:
    """A WAIT."""
    return a_step(key, *depends_on, type="WAIT", agent=None, wait=wait, **changes)
