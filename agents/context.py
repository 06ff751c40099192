"""What an executor is handed beside its spec and inputs. Everything outside the agent comes through here."""

from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Protocol

from agents.calls import CallBook, NoBook
from agents.egress.policy import EgressPolicy
from agents.errors import ConfigInvalid, Problem
from agents.providers.budget import Budget, Unbounded
from agents.providers.provider import NoProviders, Providers
from agents.result import AgentResult, DatasetRef
from agents.spec import AgentSpec, Limits


class Log(Protocol):
    """Writes to the execution's record as the work goes on. Never blocks; the level is DEBUG, INFO, WARN or ERROR."""

    def __call__(self, level: str, message: str, **metadata: Any) -> None: ...


class DatasetStore(Protocol):
    """Where tables lie that steps hand to each other. Files appear whole or not at all."""

    def stage(self, suffix: str = ".parquet") -> Path:
        """A fresh path on the store's own file system, to be written by the caller."""
        ...

    async def keep(self, staged: Path, *, rows: int, columns: dict[str, str]) -> DatasetRef:
        """Takes a staged file in under its content's hash; the same content twice is kept once."""
        ...

    def locate(self, uri: str) -> Path:
        """The local file behind a reference; raises `InputInvalid` for a reference that is not of this store."""
        ...


class SchemaCheck(Protocol):
    """Tells what in a value breaks a JSON Schema, with paths from the value's root."""

    def __call__(self, schema: Mapping[str, Any], value: Any) -> Sequence[Problem]: ...


def no_schemas(schema: Mapping[str, Any], value: Any) -> Sequence[Problem]:
    """Where nobody can check them."""
    raise ConfigInvalid("schemas cannot be checked here")


class Launcher(Protocol):
    """Runs other agents inside this attempt: under its time limit and egress policy, and in its log."""

    def agent(self, agent_id: str) -> AgentSpec:
        """The agent as the plan froze it; raises `ConfigInvalid` for one that the plan does not hold."""
        ...

    async def run(self, agent_id: str, inputs: dict[str, Any], budget: Budget) -> AgentResult:
        """Checks the inputs, runs the agent inside `budget` and checks its output; raises `AgentError`."""
        ...


class NoLauncher:
    """Where an agent is by itself."""

    def agent(self, agent_id: str) -> AgentSpec:
        """There is none."""
        raise ConfigInvalid(f"there is no agent `{agent_id}` to run here")

    async def run(self, agent_id: str, inputs: dict[str, Any], budget: Budget) -> AgentResult:
        """There is none."""
        raise ConfigInvalid(f"there is no agent `{agent_id}` to run here")


async def no_hosts() -> Sequence[str]:
    """Where nobody lets programs reach anything."""
    return ()


@dataclass(frozen=True, kw_only=True)
class AgentContext:
    """One attempt's surroundings.

    Cancellation is asyncio's: an executor that meets `CancelledError` stops what it started (child process,
    connection, query) before it lets the error go on. The caller enforces `limits.timeout_seconds` the same way.
    """

    limits: Limits
    log: Log
    datasets: DatasetStore
    idempotency_key: str
    """Stable over the retries of one step of one execution; API agents send it as `X-Idempotency-Key`."""
    data_roots: tuple[Path, ...] = ()
    """Folders that file sources may read, looked through in order; sinks write into the first alone."""
    fused_into: str | None = None
    """The step that computes this one's table as a part of its own query: a DATA agent then gives a plan of it."""
    lazy_inputs: frozenset[str] = frozenset()
    """Inputs that are such plans. Others are never taken for one, whatever is in them."""
    replays: bool = False
    """Whether those plans are of an earlier run; files that have changed since then are refused."""
    egress: EgressPolicy = field(default_factory=EgressPolicy)
    code_egress: Callable[[], Awaitable[Sequence[str]]] = no_hosts
    """Asks for the hosts that the tenant lets the programs of CODE agents reach (see `agents.egress.hosts`)."""
    providers: Providers = field(default_factory=NoProviders)
    budget: Budget = field(default_factory=Unbounded)
    """Of the run and what is around it; an executor keeps the agent's own limits inside it.

    Usage that is told to it is recorded by that; `AgentResult.usage` is for what was not.
    """
    calls: CallBook = field(default_factory=NoBook)
    """Where each call of a model or a tool is put on record."""
    tell_text: Callable[[str], None] = lambda _text: None
    """Shows a piece of a model's answer to those who listen. Never blocks."""
    tell_sandbox: Callable[[str], None] = lambda _name: None
    """Notes in which sandbox the agent's code runs, before it does: it is recorded whatever comes of it."""
    check_schema: SchemaCheck = no_schemas
    launcher: Launcher = field(default_factory=NoLauncher)
