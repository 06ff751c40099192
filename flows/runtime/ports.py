"""What the runtime needs of the outside world. Wired in `deployments.wiring`, faked in tests."""

import asyncio
from collections.abc import Awaitable, Callable, Collection, Mapping, Sequence
from contextlib import AbstractAsyncContextManager, nullcontext
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Protocol
from uuid import UUID

from uuid6 import uuid7

from agents.calls import Call
from agents.context import DatasetStore, no_hosts
from agents.egress.policy import EgressPolicy
from agents.executor import Executor
from agents.providers.budget import Budget
from agents.providers.provider import NoProviders, Providers
from agents.result import ArtifactFile, Usage
from agents.spec import AgentType
from flows.plan import Plan
from flows.spec import WaitKind
from flows.states import ExecutionStatus, StepStatus


@dataclass(frozen=True, kw_only=True)
class FinishedStep:
    """How a step has ended before this process took the run up: its output is inline or lies under `output_ref`.

    COMPLETED, SKIPPED, or FAILED or TIMEOUT whose run went on.
    """

    status: StepStatus
    output: Any = None
    output_ref: str | None = None
    error: dict[str, Any] | None = None


@dataclass(frozen=True, kw_only=True)
class OpenStep:
    """The record of a container or a wait that was interrupted: gone on with rather than opened anew."""

    step_run_id: UUID
    attempt: int
    begun_at: datetime | None = None


@dataclass(frozen=True, kw_only=True)
class Past:
    """What is on record of a run that is taken up again (after a wait, a lost worker, or as a retry), by path."""

    finished: Mapping[str, FinishedStep] = field(default_factory=dict)
    open: Mapping[str, OpenStep] = field(default_factory=dict)
    attempts: Mapping[str, int] = field(default_factory=dict)
    """The highest attempt on record; the next has the number after it."""


@dataclass(frozen=True, kw_only=True)
class Wait:
    """A WAIT step that has begun. `due_at` is when it is over (duration, until) or given up (the other kinds)."""

    kind: WaitKind
    opened_at: datetime
    due_at: datetime | None = None
    message: str | None = None
    form: dict[str, Any] | None = None
    assignees: tuple[str, ...] = ()
    event_type: str | None = None
    filter: str | None = None


@dataclass(frozen=True, kw_only=True)
class Question:
    """An open approval or input, as a person is asked it. `form` is the JSON Schema of an input's data."""

    wait_id: UUID
    path: str
    kind: WaitKind
    message: str | None = None
    form: dict[str, Any] | None = None


@dataclass(frozen=True, kw_only=True)
class Answer:
    """What a wait got. `by` names who answered, `via` how: REST, PREFECT or EVENT.

    `data` is `{approved, comment}` of an approval, `{data}` of an input, `{type, data}` of an event.
    """

    data: dict[str, Any]
    by: str | None
    via: str
    at: datetime


@dataclass(frozen=True, kw_only=True)
class Run:
    """One execution as the runtime sees it."""

    execution_id: UUID
    plan: Plan
    inputs: dict[str, Any]
    environment: str
    trigger_type: str
    request_id: str | None = None
    past: Past = field(default_factory=Past)
    active_seconds: float = 0.0
    """How long it has run already; time in which it was suspended does not count towards its timeout."""
    usage: Usage = field(default_factory=Usage)
    """What it has used already, when it is taken up again."""
    depth: int = 0
    """How many runs this one is nested in."""


@dataclass(frozen=True, kw_only=True)
class StepAttempt:
    """Names one attempt in the record; `path` equals `step_key` outside loops and branches.

    `agent` is the id of the agent that it runs, None for what runs none.
    """

    step_key: str
    path: str
    attempt: int
    agent: str | None = None
    step_run_id: UUID = field(default_factory=lambda: UUID(int=uuid7().int))
    light: bool = False
    """Without side effects (DATA, CODE without egress): its start need not be durable before it runs."""


@dataclass(frozen=True, kw_only=True)
class StepOutcome:
    """How an attempt ended. `output` is inline JSON or None where `output_ref` names the stored result."""

    status: StepStatus
    output: Any = None
    output_ref: str | None = None
    preview: Any = None
    error: dict[str, Any] | None = None
    usage: Usage = field(default_factory=Usage)
    calls: tuple[Call, ...] | None = None
    """What it was used for. None: nobody knows, so that what was noted of the attempt's calls counts too."""
    sandbox: str | None = None
    """Where the code of its agent ran."""
    artifacts: tuple[ArtifactFile, ...] = ()
    last: bool = True
    """False when another attempt follows, so that the step does not count as failed yet."""


@dataclass(frozen=True, kw_only=True)
class RunOutcome:
    """How a run ended; `error` is `{code, message, stepKey}`."""

    status: ExecutionStatus
    outputs: Any = None
    error: dict[str, Any] | None = None


@dataclass(frozen=True, kw_only=True)
class LogLine:
    """One line of the execution's log."""

    level: str
    message: str
    step_key: str | None = None
    step_run_id: UUID | None = None
    metadata: Mapping[str, Any] = field(default_factory=dict)


class Journal(Protocol):
    """The only writer of run records. Each call is one committed transaction; a refused move raises `IllegalMove`."""

    async def run_started(self, execution_id: UUID, *, prefect_flow_run_id: UUID | None, run_count: int) -> None:
        """PENDING or PAUSED to RUNNING. Prefect knows nothing of a nested run that lies in a loop or a branch."""
        ...

    async def run_suspended(self, execution_id: UUID, *, wake_at: datetime | None = None) -> None:
        """RUNNING to PAUSED; steps that are open become PAUSED with it.

        It is taken up again when one of its waits is over, and at `wake_at` whatever it waits for.
        """
        ...

    async def run_finished(self, execution_id: UUID, outcome: RunOutcome) -> None: ...

    async def step_started(self, execution_id: UUID, attempt: StepAttempt, *, inputs: Any) -> None:
        """Opens the attempt's record; one that was interrupted (`Past.open`) is RUNNING again."""
        ...

    async def calls_noted(self, execution_id: UUID, attempt: StepAttempt, calls: Sequence[Call]) -> None:
        """What the attempt has called until now, and how that stands."""
        ...

    async def step_finished(self, execution_id: UUID, attempt: StepAttempt, outcome: StepOutcome) -> None: ...

    async def wait_opened(self, execution_id: UUID, attempt: StepAttempt, wait: Wait) -> Wait:
        """Opens the record of a WAIT step as PAUSED; one that was open already is given back as it is."""
        ...

    async def answers(self, execution_id: UUID) -> Mapping[str, Answer]:
        """The answers to open waits of the run, by path."""
        ...

    async def question(self, execution_id: UUID) -> Question | None:
        """The oldest unanswered approval or input of the run and of those nested in it."""
        ...

    async def inside_closed(self, execution_id: UUID, path: str, *, reason: str) -> None:
        """Cancels the records and nested runs inside a container, or a nested run's step, that are still open."""
        ...

    async def child_opened(self, execution_id: UUID, attempt: StepAttempt, plan: Plan, inputs: dict[str, Any]) -> Run:
        """The nested run of a WORKFLOW step, made now or found again; it has its own record, linked to its parent."""
        ...

    async def progressed(self, execution_id: UUID, path: str, *, done: int, total: int | None) -> None:
        """Tells listeners how far a loop is."""
        ...

    async def text_told(self, execution_id: UUID, *, step_key: str, path: str, text: str) -> None:
        """Tells listeners a piece of a model's answer. It is no part of the record."""
        ...

    async def steps_skipped(self, execution_id: UUID, attempts: list[StepAttempt], *, reason: str) -> None: ...

    async def logged(self, execution_id: UUID, lines: list[LogLine]) -> None: ...


class ResultStore(DatasetStore, Protocol):
    """Where results lie that are too large for the record."""

    async def keep_json(self, payload: bytes) -> str:
        """Stores JSON under its content's hash and returns its uri."""
        ...

    async def read_json(self, uri: str) -> bytes:
        """The bytes behind a uri that `keep_json` returned."""
        ...


class Secrets(Protocol):
    """Gives out the values of secrets, for one step at a time."""

    async def resolve(self, names: Collection[str], project_id: str | None) -> dict[str, str]:
        """The values of those of `names` that there are, the project's before the tenant's.

        Raises `AgentError` when one cannot be decrypted.
        """
        ...


class NoSecrets:
    """Where there is nothing to give out."""

    async def resolve(self, names: Collection[str], project_id: str | None) -> dict[str, str]:
        """Nothing, whatever is asked for."""
        return {}


@dataclass(frozen=True, kw_only=True)
class Ports:
    """Everything that a run is handed, made once per process."""

    journal: Journal
    results: ResultStore
    executors: Mapping[AgentType, Executor]
    data_roots: tuple[Path, ...] = ()
    egress: EgressPolicy = field(default_factory=EgressPolicy)
    code_egress: Callable[[], Awaitable[Sequence[str]]] = no_hosts
    """Asks for the hosts that the tenant lets programs reach."""
    secrets: Secrets = field(default_factory=NoSecrets)
    providers: Providers = field(default_factory=NoProviders)
    """Of the tenant whose run it is."""
    budget_around: Callable[[Run, Budget], Budget] = lambda _run, outer: outer
    """Puts what bounds more than one run (a project's budget) between a run and what is around it."""
    environment_variables: Mapping[str, str] = field(default_factory=dict)
    claim: Callable[[UUID], AbstractAsyncContextManager[None]] = lambda _: nullcontext()
    """Says that this process drives the execution, for as long as the block lasts and the process lives."""
    cpu_slots: asyncio.Semaphore | None = None
    """Bounds the CPU-heavy steps of this process; None bounds nothing."""
    now: Callable[[], datetime] = lambda: datetime.now(UTC)
    """The time of day, by which waits are due."""
