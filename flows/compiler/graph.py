"""The steps of a definition as a graph: names, dependencies, cycles, order, ancestors."""

import keyword
import re
from collections.abc import Iterator, Sequence
from difflib import get_close_matches
from functools import cached_property

from agents.errors import Problem
from flows.compiler.cycles import find_cycles, topological_order
from flows.compiler.parser import KEYWORDS
from flows.spec import StepSpec

RESERVED = frozenset(
    {"inputs", "steps", "item", "index", "previous", "secrets", "env", "execution", "workflow", *KEYWORDS}
)
_KEY = re.compile(r"[A-Za-z][A-Za-z0-9_]*")
_SHOWN = 20
_SUGGESTIONS = 50
_COMPARED = 2_000


class StepGraph:
    """Steps by key, the first where a key is written twice."""

    def __init__(self, steps: Sequence[StepSpec]) -> None:
        self._written = steps
        self._suggested = 0
        self.steps: dict[str, StepSpec] = {}
        self.positions: dict[str, int] = {}
        for position, step in enumerate(steps):
            if step.step_key not in self.steps:
                self.steps[step.step_key] = step
                self.positions[step.step_key] = position

    @cached_property
    def dependencies(self) -> dict[str, tuple[str, ...]]:
        """The known steps that each step waits for, each once."""
        return {
            key: tuple(dict.fromkeys(each for each in step.depends_on if each in self.steps))
            for key, step in self.steps.items()
        }

    @cached_property
    def order(self) -> list[str]:
        """Keys in an order to run in, as close to the written one as can be; steps behind a cycle are left out."""
        return topological_order(self.steps, self.dependencies)

    @cached_property
    def _ancestors(self) -> dict[str, int]:
        """Every ancestor of a step as one bit, at its written position."""
        found: dict[str, int] = {}
        for key in self.order:
            found[key] = 0
            for dependency in self.dependencies[key]:
                found[key] |= found[dependency] | (1 << self.positions[dependency])
        return found

    def runs_before(self, ancestor: str, key: str) -> bool:
        """Whether `key` waits, directly or not, for `ancestor`; true for steps behind a cycle, which is reported."""
        ancestors = self._ancestors.get(key)
        return ancestors is None or bool(ancestors >> self.positions[ancestor] & 1)

    def problems(self) -> Iterator[Problem]:
        """What is wrong with keys and dependencies."""
        yield from self._key_problems()
        yield from self._dependency_problems()
        yield from self._cycle_problems()

    def _key_problems(self) -> Iterator[Problem]:
        for position, step in enumerate(self._written):
            path, key = f"steps[{position}].stepKey", step.step_key
            if self.positions[key] != position:
                message = f"`{key}` is the key of steps[{self.positions[key]}] too; keys are unique"
                yield Problem(path=path, code="DUPLICATE_STEP_KEY", message=message)
            elif key in RESERVED or keyword.iskeyword(key):
                message = f"`{key}` has a meaning of its own in expressions; choose another key"
                yield Problem(path=path, code="BAD_STEP_KEY", message=message)
            elif not _KEY.fullmatch(key):
                message = "a key has letters, digits and `_` and starts with a letter, so that expressions can name it"
                yield Problem(path=path, code="BAD_STEP_KEY", message=message)

    def _dependency_problems(self) -> Iterator[Problem]:
        for position, step in enumerate(self._written):
            for index, dependency in enumerate(step.depends_on):
                if dependency not in self.steps:
                    path = f"steps[{position}].dependsOn[{index}]"
                    message = f"there is no step `{dependency}`; {self.suggestion(dependency)}"
                    yield Problem(path=path, code="UNKNOWN_DEPENDENCY", message=message)

    def _cycle_problems(self) -> Iterator[Problem]:
        for cycle in find_cycles(self.dependencies):
            path = f"steps[{self.positions[cycle[0]]}].dependsOn"
            message = f"these steps wait for each other: {' → '.join(cycle)}; remove one of the dependencies"
            yield Problem(path=path, code="CYCLE", message=message)

    def suggestion(self, key: str) -> str:
        """What might have been meant by `key`; close names are looked for a few times only, since that takes long."""
        self._suggested += 1
        known = list(self.steps)
        return suggestion(key, known) if self._suggested <= _SUGGESTIONS else _listed(known)


def suggestion(name: str, known: Sequence[str]) -> str:
    """A close name, or those that there are."""
    near = get_close_matches(name, known, n=1) if len(known) <= _COMPARED else []
    return f"did you mean `{near[0]}`?" if near else _listed(known)


def _listed(known: Sequence[str]) -> str:
    listed = ", ".join(known[:_SHOWN]) + (", …" if len(known) > _SHOWN else "")
    return f"there are: {listed}" if listed else "there are none"
