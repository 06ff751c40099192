"""Which steps of one body run, are skipped, or wait: the rules of branching and joining, and nothing beside them.

An edge leads from a step to one that depends on it. When a step has ended, its edges have *run*, or they are *skipped*:

    the step has run                     every edge has run
    it failed and its fallback takes over   the edge to the fallback has run, all others are skipped
    it was skipped                       every edge is skipped

A step is looked at when all that it depends on has ended. It is skipped when it has `gates` and none of them chose it,
when it has `fallback_of` and none of those failed, or when all its edges are skipped; else it is ready.
"""

from collections import deque
from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass, field
from enum import StrEnum

from flows.plan import PlanStep


class Ending(StrEnum):
    """How a step has ended, as far as those after it are concerned."""

    RAN = "RAN"
    """It ended well, or it failed and the run goes on as if it had not."""
    REPLACED = "REPLACED"
    """It failed, and its fallback takes over."""
    SKIPPED = "SKIPPED"


@dataclass(frozen=True)
class Skip:
    """A step that will not run, and why."""

    step: PlanStep
    reason: str


@dataclass
class Moves:
    """What follows from the end of a step."""

    ready: list[PlanStep] = field(default_factory=list)
    skipped: list[Skip] = field(default_factory=list)


class BodyShape:
    """The steps of a body and their edges; the same for all iterations of a loop."""

    def __init__(self, steps: Iterable[PlanStep]) -> None:
        self.steps = tuple(steps)
        self.by_key: Mapping[str, PlanStep] = {step.step_key: step for step in self.steps}
        self.waits_for = {step.step_key: len(set(step.depends_on)) for step in self.steps}
        self.dependants: dict[str, list[PlanStep]] = {step.step_key: [] for step in self.steps}
        for step in self.steps:
            for key in dict.fromkeys(step.depends_on):
                self.dependants[key].append(step)


class BodyGraph:
    """Where one run of a body stands. Each step is given out once: as ready or as skipped."""

    def __init__(self, shape: BodyShape) -> None:
        self._shape = shape
        self._waits_for = dict(shape.waits_for)
        self._endings: dict[str, Ending] = {}
        self._reached: set[str] = set()
        """Steps that an edge has run to."""
        self._chosen: set[str] = set()
        self._failed: set[str] = set()

    def begin(self) -> Moves:
        """The steps that depend on nothing."""
        return Moves(ready=[step for step in self._shape.steps if not step.depends_on])

    def ended(self, key: str, ending: Ending, *, chosen: Collection[str] = (), failed: bool = False) -> Moves:
        """Notes how a step that was ready has ended. `chosen` are the steps that a condition switches on."""
        self._chosen.update(chosen)
        if failed:
            self._failed.add(key)
        moves = Moves()
        open_ends = deque([(key, ending)])
        while open_ends:
            self._end(*open_ends.popleft(), moves, open_ends)
        return moves

    def _end(self, key: str, ending: Ending, moves: Moves, open_ends: deque[tuple[str, Ending]]) -> None:
        self._endings[key] = ending
        fallback = self._shape.by_key[key].fallback
        for step in self._shape.dependants[key]:
            if ending is Ending.RAN or (ending is Ending.REPLACED and step.step_key == fallback):
                self._reached.add(step.step_key)
            self._waits_for[step.step_key] -= 1
            if self._waits_for[step.step_key] > 0:
                continue
            reason = self._reason_to_skip(step)
            if reason is None:
                moves.ready.append(step)
            else:
                moves.skipped.append(Skip(step, reason))
                open_ends.append((step.step_key, Ending.SKIPPED))

    def _reason_to_skip(self, step: PlanStep) -> str | None:
        if step.gates and step.step_key not in self._chosen:
            return f"{_named(step.gates)} did not choose this step"
        if step.fallback_of and not self._failed.intersection(step.fallback_of):
            return f"{_named(step.fallback_of)} did not fail"
        if step.step_key not in self._reached:
            return f"{_named(step.depends_on)} did not run"
        return None

    @property
    def is_finished(self) -> bool:
        """Whether every step has ended."""
        return len(self._endings) == len(self._shape.steps)

    def last_that_ran(self) -> PlanStep | None:
        """The last step in plan order that was not skipped."""
        ran = (step for step in reversed(self._shape.steps) if self._endings.get(step.step_key) in _HAVE_RUN)
        return next(ran, None)


_HAVE_RUN = frozenset({Ending.RAN, Ending.REPLACED})


def _named(keys: Collection[str]) -> str:
    return " and ".join(f"`{key}`" for key in keys)
