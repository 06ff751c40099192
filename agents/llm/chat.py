"""What is asked of a model and how its answer comes in, whoever runs it. Messages are those of the OpenAI protocol."""

from collections.abc import AsyncGenerator, Mapping, Sequence
from dataclasses import dataclass
from http import HTTPStatus
from typing import Any, Protocol

Messages = Sequence[Mapping[str, Any]]


@dataclass(frozen=True, kw_only=True)
class Offered:
    """A tool as the model is told of it."""

    name: str
    description: str
    parameters: Mapping[str, Any]


@dataclass(frozen=True, kw_only=True)
class Request:
    """One question."""

    model: str
    messages: Messages
    temperature: float | None = None
    max_tokens: int | None = None
    response_schema: Mapping[str, Any] | None = None
    tools: tuple[Offered, ...] = ()
    stream: bool = True


@dataclass(frozen=True, kw_only=True)
class CallPart:
    """A piece of a tool call: the first of an `index` brings id and name, the arguments' text comes bit by bit."""

    index: int
    id: str = ""
    name: str = ""
    arguments: str = ""


@dataclass(frozen=True, kw_only=True)
class Reported:
    """Tokens as the provider counts them. It may lie."""

    prompt_tokens: int
    completion_tokens: int
    cached_tokens: int = 0


@dataclass(frozen=True, kw_only=True)
class Piece:
    """A piece of an answer."""

    text: str = ""
    refusal: str = ""
    calls: tuple[CallPart, ...] = ()
    reported: Reported | None = None
    finish_reason: str | None = None


class Chat(Protocol):
    """One provider's models."""

    def answer(self, request: Request) -> AsyncGenerator[Piece, None]:
        """The answer, piece by piece; the connection is closed when the iteration is.

        Raises `Unreachable` where another provider may do better, other `AgentError`s where none would.
        """
        ...

    async def models(self) -> list[str]:
        """Which models it says that it has; raises the same."""
        ...


BUSY = frozenset({408, 409, 425, 429})


def is_busy(status: int) -> bool:
    """Whether a status says that the provider cannot answer now, rather than that it will not."""
    return status in BUSY or status >= HTTPStatus.INTERNAL_SERVER_ERROR


class Unreachable(Exception):
    """This provider does not answer now: connection, 408, 429 or 5xx, or a stream that was cut.

    `retry_after` is how many seconds it wants to be left alone, if it said so.
    """

    def __init__(self, reason: str, *, status: int | None = None, retry_after: float | None = None) -> None:
        super().__init__(reason)
        self.reason = reason
        self.status = status
        self.retry_after = retry_after


def sound(text: str) -> str:
    """The text as UTF-8 can carry it: a lone surrogate, which JSON lets through, becomes `?`."""
    return text if text.isascii() else text.encode(errors="replace").decode()
