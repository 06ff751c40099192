"""Steps that can never run, because what must have happened before them excludes itself.

A step that runs tells something of the conditions before it: which of their arms was taken, and which steps failed.
That is known here as `Facts`: for each fork the outcomes that are still possible. Several ways to a step keep what
they agree on; several things that must all hold cut down what each allows. Where nothing is left, the step is dead.
"""

from collections.abc import Iterable, Iterator, Mapping

from agents.errors import Problem
from flows.compiler.graph import StepGraph
from flows.compiler.nesting import Naming, Placed, continues

Facts = Mapping[str, frozenset[str]]
"""By fork (a CONDITION, or `<key> ended`): its possible outcomes. What is not named is open."""

_MAX_FORKS = 64
"""Facts about more forks than this are dropped: that misses dead steps, and keeps the time linear."""


def unreachable_problems(graph: StepGraph) -> Iterator[Problem]:
    """A problem for each step of the body that can never run."""
    known: dict[str, Facts | None] = {}
    for key in graph.order:
        known[key] = _facts(graph, graph.steps[key], known)
        if known[key] is None:
            message = (
                f"`{key}` can never run: it waits for steps that run only when it does not; "
                "look at the conditions and fallbacks before it"
            )
            yield Problem(path=graph.steps[key].path, code="UNREACHABLE_STEP", message=message)


def _facts(graph: StepGraph, step: Placed, known: Mapping[str, Facts | None]) -> Facts | None:
    """What holds whenever `step` runs; None when it never does."""
    named = graph.namings[step.key]
    gates = [naming for naming in named if naming.kind != "fallback"]
    failures = [naming.by for naming in named if naming.kind == "fallback"]
    naming_steps = {naming.by for naming in named}
    others = [key for key in graph.dependencies[step.key] if key not in naming_steps]
    ways: list[Facts | None] = []
    if gates:
        ways.append(_any(_after(known[gate], gate, arms) for gate, arms in _arms(gates).items()))
    if failures:
        ways.append(_any(_after(known[key], _ended(key), frozenset({"failed"})) for key in failures))
    if others:
        ways.append(_any(_following(graph.steps[key], known[key]) for key in others))
    return _all(ways)


def _arms(gates: Iterable[Naming]) -> dict[str, frozenset[str]]:
    """By CONDITION its arms that name a step, each by where it is written."""
    arms: dict[str, set[str]] = {}
    for gate in gates:
        arms.setdefault(gate.by, set()).add(gate.path.rpartition("[")[0])
    return {condition: frozenset(taken) for condition, taken in arms.items()}


def _following(step: Placed, facts: Facts | None) -> Facts | None:
    """What holds when a step has run so that what waits for it goes on."""
    if step.spec.fallback is None or continues(step.spec):
        return facts
    return _after(facts, _ended(step.key), frozenset({"well"}))


def _ended(key: str) -> str:
    return f"{key} ended"


def _after(facts: Facts | None, fork: str, outcomes: frozenset[str]) -> Facts | None:
    return None if facts is None else _all([facts, {fork: outcomes}])


def _any(ways: Iterable[Facts | None]) -> Facts | None:
    """What holds whichever of `ways` was taken."""
    possible = [way for way in ways if way is not None]
    if len(possible) < 2:
        return possible[0] if possible else None
    shared = {fork for fork in possible[0] if all(fork in way for way in possible[1:])}
    return {fork: frozenset().union(*(way[fork] for way in possible)) for fork in shared}


def _all(ways: Iterable[Facts | None]) -> Facts | None:
    """What holds when all of `ways` were taken."""
    together: dict[str, frozenset[str]] = {}
    for way in ways:
        if way is None:
            return None
        for fork, outcomes in way.items():
            together[fork] = together[fork] & outcomes if fork in together else outcomes
    if not all(together.values()):
        return None
    return together if len(together) <= _MAX_FORKS else {}
