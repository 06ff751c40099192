"""The calls of one attempt of a step, in memory: the first hundred one by one, all others added up."""

import time
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime

from agents.calls import Call, CallKind, CallStatus, usage_of

MOST_CALLS = 100

SoFar = Callable[[], Call]


@dataclass(frozen=True, kw_only=True)
class _Begun:
    so_far: SoFar
    agent_id: str
    depth: int
    at: datetime
    ticks: float

    def written(self, number: int, call: Call) -> Call:
        """The call with what its maker does not say."""
        duration = None if call.status is CallStatus.RUNNING else round((time.monotonic() - self.ticks) * 1000)
        mine = {"agent_id": self.agent_id, "depth": self.depth, "started_at": self.at}
        return call.model_copy(update={**mine, "number": number, "duration_ms": duration})


class CallList:
    """Of one attempt."""

    def __init__(self) -> None:
        self._count = 0
        self._open: dict[int, _Begun] = {}
        self._ended: dict[int, Call] = {}
        self._others: Call | None = None

    @property
    def is_open(self) -> bool:
        """Whether a call is being made."""
        return bool(self._open)

    def begin(self, so_far: SoFar, *, agent_id: str, depth: int, at: datetime) -> int:
        """One more call begins."""
        self._count += 1
        self._open[self._count] = _Begun(so_far=so_far, agent_id=agent_id, depth=depth, at=at, ticks=time.monotonic())
        return self._count

    def drop(self, number: int) -> None:
        """It was not made after all."""
        self._open.pop(number, None)

    def end(self, number: int, call: Call) -> None:
        """It has ended so."""
        written = self._open.pop(number).written(number, call)
        if number <= MOST_CALLS:
            self._ended[number] = written
        else:
            self._others = _together(self._others, written)

    def now(self) -> tuple[Call, ...]:
        """All of them, in the order in which they began."""
        standing = {number: begun.written(number, begun.so_far()) for number, begun in self._open.items()}
        standing |= self._ended
        others = self._others
        for number in [number for number in standing if number > MOST_CALLS]:
            others = _together(others, standing.pop(number))
        return (*(standing[number] for number in sorted(standing)), *([others] if others else []))


def _together(others: Call | None, one: Call) -> Call:
    """Still RUNNING where one of them is: its process may yet die."""
    both = [each for each in (others, one) if each is not None]
    usage = usage_of(both)
    is_running = any(each.status is CallStatus.RUNNING for each in both)
    return Call(
        kind=CallKind.OTHERS,
        status=CallStatus.RUNNING if is_running else CallStatus.COMPLETED,
        number=MOST_CALLS + 1,
        prompt_tokens=usage.prompt_tokens,
        completion_tokens=usage.completion_tokens,
        cached_tokens=sum(each.cached_tokens for each in both),
        cost=usage.cost,
        unpriced=next((each.unpriced for each in both if each.unpriced), None),
        is_estimate=any(each.is_estimate for each in both),
        calls=sum(each.calls for each in both),
    )
