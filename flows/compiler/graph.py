"""The steps of one body as a graph: names, dependencies, cycles, order, ancestors."""

import keyword
import re
from collections.abc import Iterator, Sequence
from difflib import get_close_matches
from functools import cached_property
from itertools import pairwise

from agents.errors import Problem
from flows.compiler.cycles import find_cycles, topological_order
from flows.compiler.nesting import Body, Naming, Placed, namings
from flows.compiler.parser import KEYWORDS

RESERVED = frozenset(
    {"inputs", "steps", "item", "index", "previous", "secrets", "env", "execution", "workflow", *KEYWORDS}
)
_KEY = re.compile(r"[A-Za-z][A-Za-z0-9_]*")
_SHOWN = 20
_SUGGESTIONS = 50
_COMPARED = 2_000


class StepGraph:
    """The steps of one body by key, the first where a key is written twice."""

    def __init__(self, body: Body) -> None:
        self.body = body
        self._suggested = 0
        self.steps: dict[str, Placed] = {}
        self.positions: dict[str, int] = {}
        for position, step in enumerate(body.steps):
            if step.key not in self.steps:
                self.steps[step.key] = step
                self.positions[step.key] = position

    @cached_property
    def namings(self) -> dict[str, list[Naming]]:
        """By key: where other steps of the body name it in `then`, `else`, `cases`, `default` or `fallback`."""
        found: dict[str, list[Naming]] = {key: [] for key in self.steps}
        for step in self.steps.values():
            for naming in namings(step):
                if naming.key in found:
                    found[naming.key].append(naming)
        return found

    @cached_property
    def dependencies(self) -> dict[str, tuple[str, ...]]:
        """The known steps that each step waits for, each once: those that it writes, and those that name it."""
        return {
            key: tuple(dict.fromkeys([*self._written(step), *(naming.by for naming in self.namings[key])]))
            for key, step in self.steps.items()
        }

    def _written(self, step: Placed) -> list[str]:
        return [each for each in step.spec.depends_on if each in self.steps]

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
        for step in self.body.steps:
            path, key = f"{step.path}.stepKey", step.key
            if self.steps[key] is not step:
                message = f"`{key}` is the key of {self.steps[key].path} too; keys are unique"
                yield Problem(path=path, code="DUPLICATE_STEP_KEY", message=message)
            elif key in RESERVED or keyword.iskeyword(key):
                message = f"`{key}` has a meaning of its own in expressions; choose another key"
                yield Problem(path=path, code="BAD_STEP_KEY", message=message)
            elif not is_name(key):
                message = "a key has letters, digits and `_` and starts with a letter, so that expressions can name it"
                yield Problem(path=path, code="BAD_STEP_KEY", message=message)

    def _dependency_problems(self) -> Iterator[Problem]:
        for step in self.body.steps:
            for index, dependency in enumerate(step.spec.depends_on):
                if dependency not in self.steps:
                    yield self._unknown(f"{step.path}.dependsOn[{index}]", dependency)
            for naming in namings(step):
                if naming.key not in self.steps:
                    yield self._unknown(naming.path, naming.key)

    def _unknown(self, path: str, key: str) -> Problem:
        beside = " beside this one" if self.body.place else ""
        message = f"there is no step `{key}`{beside}; {self.suggestion(key)}"
        return Problem(path=path, code="UNKNOWN_DEPENDENCY", message=message)

    def _cycle_problems(self) -> Iterator[Problem]:
        for cycle in find_cycles(self.dependencies):
            message = f"these steps wait for each other: {' → '.join(cycle)}; remove one of the dependencies"
            paths = [self._edge_path(key, dependency) for key, dependency in pairwise(cycle)]
            if not all(path.endswith(".dependsOn") for path in paths):
                message += " (a step that is named in `then`, `else`, … or `fallback` waits for the one that names it)"
            yield Problem(path=paths[0], code="CYCLE", message=message)

    def _edge_path(self, key: str, dependency: str) -> str:
        """Where it is written that `key` waits for `dependency`."""
        step = self.steps[key]
        if dependency in step.spec.depends_on:
            return f"{step.path}.dependsOn"
        return next(naming.path for naming in self.namings[key] if naming.by == dependency)

    def suggestion(self, key: str) -> str:
        """What might have been meant by `key`; close names are looked for a few times only, since that takes long."""
        self._suggested += 1
        known = list(self.steps)
        return suggestion(key, known) if self._suggested <= _SUGGESTIONS else listed(known)


def is_name(text: str) -> bool:
    """Whether `text` can be a step's key or a branch's name, as expressions and paths write them."""
    return _KEY.fullmatch(text) is not None


def suggestion(name: str, known: Sequence[str]) -> str:
    """A close name, or those that there are."""
    near = get_close_matches(name, known, n=1) if len(known) <= _COMPARED else []
    return f"did you mean `{near[0]}`?" if near else listed(known)


def listed(known: Sequence[str]) -> str:
    """The first few of the names that there are."""
    shown = ", ".join(known[:_SHOWN]) + (", …" if len(known) > _SHOWN else "")
    return f"there are: {shown}" if shown else "there are none"
