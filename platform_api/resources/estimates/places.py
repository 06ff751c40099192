"""Where a run asks models, and how often each place may be come to: the items of loops, branches, repetitions.

A loop over a list that is written down, or that the inputs give, runs its steps once for each item or batch; of another
one it is known only that it makes at most `maxIterations`. A step behind a condition, a fallback or a race of branches
may not run at all, and one that is retried may run as often as its policy says.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from agents.spec import AgentSpec
from flows.compiler.agent_rules import templated_config
from flows.compiler.expressions import render
from flows.errors import ExpressionFailed
from flows.plan import Plan, PlanLoop, PlanParallel, PlanStep
from flows.spec import StepType

MOST_RUNS = 10**12
"""More than that is not told apart."""


@dataclass(frozen=True, kw_only=True)
class Times:
    """From how often to how often something runs, and what makes the upper end a bound rather than a number."""

    least: int = 1
    most: int = 1
    bounds: tuple[str, ...] = ()

    def by(self, other: "Times") -> "Times":
        """As often inside something that runs as often."""
        most = min(self.most * other.most, MOST_RUNS)
        return Times(least=min(self.least * other.least, most), most=most, bounds=(*self.bounds, *other.bounds))


@dataclass(frozen=True, kw_only=True)
class Place:
    """A step that runs an agent. `is_repeated` is inside a LOOP."""

    path: str
    spec: AgentSpec
    times: Times = Times()
    is_repeated: bool = False


def places(plan: Plan, inputs: Mapping[str, Any], *, prefix: str = "") -> Iterator[Place]:
    """All of a plan's, those of nested workflows behind the path of the step that runs them."""
    walk = _Walk(plan, {"inputs": dict(inputs)})
    yield from walk.steps(plan.steps, Place(path=prefix, spec=_NOBODY))


def filled_in(spec: AgentSpec, inputs: Mapping[str, Any]) -> AgentSpec:
    """With its templates filled in, unless they name what is not there yet."""
    try:
        rendered = render(templated_config(spec.type, spec.config), {"inputs": dict(inputs)})
    except ExpressionFailed:
        return spec
    return spec.model_copy(update={"config": {**spec.config, **rendered}})


_NOBODY = AgentSpec(id="", version=0, name="", type="LLM", config={})


class _Walk:
    """Through one plan."""

    def __init__(self, plan: Plan, scope: Mapping[str, Any]) -> None:
        self._plan = plan
        self._scope = scope

    def steps(self, steps: Sequence[PlanStep], around: Place) -> Iterator[Place]:
        """Those of a body, which lies at `around`."""
        for step in steps:
            path = f"{around.path}{step.step_key}"
            here = replace(around, path=path, times=around.times.by(_of_step(step, path)))
            if step.type is StepType.AGENT and step.agent is not None:
                yield from self._agent(step, step.agent, here)
            if step.loop is not None:
                times = here.times.by(self._of_loop(step.loop, path))
                yield from self.steps(step.loop.steps, replace(here, path=f"{path}.", times=times, is_repeated=True))
            if step.parallel is not None:
                times = here.times.by(_of_branches(step.parallel, path))
                for name, branch in step.parallel.branches.items():
                    yield from self.steps(branch, replace(here, path=f"{path}.{name}.", times=times))

    def _agent(self, step: PlanStep, agent: str, here: Place) -> Iterator[Place]:
        inputs = self._rendered(step.inputs)
        spec = self._plan.agents[agent]
        yield replace(here, spec=spec if inputs is None else filled_in(spec, inputs))
        child = self._plan.children.get(agent)
        if child is not None:
            given = spec.config.get("inputs")
            handed = inputs if given is None else None
            walk = _Walk(child, {} if handed is None else {"inputs": handed})
            yield from walk.steps(child.steps, replace(here, path=f"{here.path}."))

    def _of_loop(self, loop: PlanLoop, path: str) -> Times:
        if loop.condition is not None:
            reason = f"`{path}` repeats while its condition holds, at most {loop.max_iterations:,} times"
            return Times(least=0, most=loop.max_iterations, bounds=(reason,))
        total = self._total(loop.items)
        if total is None:
            reason = f"the items of `{path}` are not known yet; at most its `maxIterations` of {loop.max_iterations:,}"
            return Times(least=0, most=loop.max_iterations, bounds=(reason,))
        iterations = -(-total // loop.batch_size)
        return Times(least=iterations, most=iterations)

    def _total(self, written: Any) -> int | None:
        """A list's length is known even where its items are not."""
        found = written if isinstance(written, list) else self._rendered(written)
        if isinstance(found, dict):
            found = found.get("data")
        return len(found) if isinstance(found, list | tuple) else None

    def _rendered(self, written: Any) -> Any:
        try:
            return render(written, self._scope)
        except ExpressionFailed:
            return None


def _of_step(step: PlanStep, path: str) -> Times:
    attempts = step.retry.max_attempts if step.retry is not None else 1
    bounds = (f"`{path}` is tried up to {attempts} times",) if attempts > 1 else ()
    return Times(least=0 if step.gates or step.fallback_of else 1, most=attempts, bounds=bounds)


def _of_branches(parallel: PlanParallel, path: str) -> Times:
    if parallel.wait == "all":
        return Times()
    return Times(least=0, bounds=(f"of the branches of `{path}` the first to end stops the others",))
