"""A question to a model as the record of its step shows it."""

import asyncio

from agents.calls import Call, CallKind, CallStatus
from agents.errors import AgentError
from agents.llm.chat import Request, Unreachable
from agents.llm.collector import Answer
from agents.llm.metering import CallMeter
from agents.llm.tokens import ASSUMED_ANSWER
from agents.providers.provider import Provider
from agents.result import Usage

MAX_REASON = 500


class ModelCall:
    """One question, while it is made and when it is over."""

    def __init__(self, provider: Provider, request: Request, meter: CallMeter) -> None:
        self._provider = provider
        self._request = request
        self._meter = meter

    def so_far(self) -> Call:
        """What it counts as should nobody hear more of it: what has come in, or all that may come in at once."""
        answer = 0 if self._request.stream else self._request.max_tokens or ASSUMED_ANSWER
        return self._call(self._meter.at_least(answer), status=CallStatus.RUNNING, is_estimate=True)

    def answered(self, answer: Answer) -> Call:
        """With what it came to."""
        return self._ended(CallStatus.COMPLETED, finish_reason=answer.finish_reason)

    def failed(self, error: BaseException) -> Call:
        """With what it came to until then, and why it came to nothing."""
        if isinstance(error, asyncio.CancelledError):
            return self._ended(CallStatus.CANCELLED)
        code = error.code if isinstance(error, AgentError) else "UNREACHABLE" if _is_away(error) else "INTERNAL_ERROR"
        return self._ended(CallStatus.FAILED, code=code, reason=str(error)[:MAX_REASON] or type(error).__name__)

    def _ended(self, status: CallStatus, **outcome: str | None) -> Call:
        used_up = self._meter.usage
        is_estimate = self._meter.is_estimate and used_up != Usage()
        return self._call(used_up, status=status, is_estimate=is_estimate, **outcome)

    def _call(self, usage: Usage, *, status: CallStatus, is_estimate: bool, **outcome: str | None) -> Call:
        unknown = f"the price of {self._request.model!r} at {self._provider.name!r} is not known"
        return Call(
            kind=CallKind.MODEL,
            status=status,
            provider=self._provider.name,
            model=self._request.model,
            prompt_tokens=usage.prompt_tokens,
            completion_tokens=usage.completion_tokens,
            cached_tokens=self._meter.cached_tokens,
            cost=usage.cost,
            unpriced=unknown if usage.cost is None else None,
            is_estimate=is_estimate,
            **outcome,
        )


def left_alone(provider: Provider, request: Request, reason: str) -> Call:
    """A question that was not put, since the provider has failed before."""
    model = provider.answering(request.model) or request.model
    return Call(kind=CallKind.MODEL, status=CallStatus.SKIPPED, provider=provider.name, model=model, reason=reason)


def _is_away(error: BaseException) -> bool:
    return isinstance(error, Unreachable)
