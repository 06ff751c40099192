"""What a step asks of others while it runs, as its record keeps it: each question to a model, and each tool.

The tokens and costs of all calls of a step add up to what the step has used: what the models behind a tool used stands
at their own calls, and beside the tool once more as `nested`.
"""

from collections.abc import Callable, Iterable
from datetime import datetime
from decimal import Decimal
from enum import StrEnum
from typing import Protocol

from pydantic import BaseModel, ConfigDict
from pydantic.alias_generators import to_camel

from agents.result import Usage


class CallKind(StrEnum):
    """What is called. OTHERS stands for all calls beyond those that a record lists one by one."""

    MODEL = "MODEL"
    TOOL = "TOOL"
    OTHERS = "OTHERS"


class CallStatus(StrEnum):
    """How a call stands. SKIPPED was not made, LOST is one whose process died before it was over."""

    RUNNING = "RUNNING"
    COMPLETED = "COMPLETED"
    FAILED = "FAILED"
    CANCELLED = "CANCELLED"
    SKIPPED = "SKIPPED"
    LOST = "LOST"


class Call(BaseModel):
    """One call. Who keeps the record says the number, whose call it is and when; executors say the rest."""

    model_config = ConfigDict(frozen=True, alias_generator=to_camel, populate_by_name=True)

    kind: CallKind
    status: CallStatus = CallStatus.RUNNING
    number: int = 0
    agent_id: str = ""
    depth: int = 0
    """0 for the step's own agent, 1 for one that it calls as a tool, and so on."""
    started_at: datetime | None = None
    duration_ms: int | None = None

    provider: str | None = None
    model: str | None = None
    """The one that was asked at that provider; what the agent names may have another one answer for it."""
    prompt_tokens: int = 0
    completion_tokens: int = 0
    cached_tokens: int = 0
    cost: Decimal | None = Decimal(0)
    unpriced: str | None = None
    """Why `cost` is not known."""
    is_estimate: bool = False
    finish_reason: str | None = None

    tool: str | None = None
    tool_agent_id: str | None = None
    arguments: str | None = None
    """The beginning of them."""
    argument_bytes: int | None = None
    nested: Usage | None = None

    code: str | None = None
    reason: str | None = None
    """Why it failed, or was not made."""
    calls: int = 1
    """How many this stands for."""

    @property
    def usage(self) -> Usage:
        """What it adds to its step's."""
        return Usage(prompt_tokens=self.prompt_tokens, completion_tokens=self.completion_tokens, cost=self.cost)


def usage_of(calls: Iterable[Call]) -> Usage:
    """Of all of them together."""
    return sum((call.usage for call in calls), start=Usage())


class CallBook(Protocol):
    """Keeps the calls of one step."""

    async def begin(self, so_far: Callable[[], Call]) -> int:
        """Notes that a call begins, and gives its number: it is on record before it is made.

        How it stands is asked for now and then until it has ended, so that little is unknown should the process die.
        """
        ...

    def end(self, number: int, call: Call) -> None:
        """Notes how it ended."""
        ...

    def add(self, call: Call) -> None:
        """Notes one that was over, or ruled out, at once."""
        ...


class NoBook:
    """Keeps nothing."""

    async def begin(self, so_far: Callable[[], Call]) -> int:
        """Has no numbers."""
        return 0

    def end(self, number: int, call: Call) -> None:
        """Nothing comes of it."""

    def add(self, call: Call) -> None:
        """Nor of that."""
