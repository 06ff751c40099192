"""In which order a plan runs: steps of one stage start together when everything of the stages before has ended."""

from collections.abc import Iterator, Sequence

from flows.plan import Plan, PlanStep
from platform_api.resources.workflows.schemas import ExecutionPlan


def execution_plan(plan: Plan) -> ExecutionPlan:
    """The plan's steps in order, and as stages; what is inside others by its path (`each`, `both.left`)."""
    order = [step.step_key for step in plan.steps]
    return ExecutionPlan(steps=order, stages=_stages(plan.steps), nested=dict(_nested(plan.steps, "")))


def _nested(steps: Sequence[PlanStep], above: str) -> Iterator[tuple[str, list[list[str]]]]:
    for step in steps:
        bodies = {step.step_key: step.loop.steps} if step.loop is not None else {}
        if step.parallel is not None:
            bodies = {f"{step.step_key}.{name}": branch for name, branch in step.parallel.branches.items()}
        for place, body in bodies.items():
            yield f"{above}{place}", _stages(body)
            yield from _nested(body, f"{above}{place}.")


def _stages(steps: Sequence[PlanStep]) -> list[list[str]]:
    depth: dict[str, int] = {}
    for step in steps:
        depth[step.step_key] = 1 + max((depth[key] for key in step.depends_on), default=-1)
    stages: list[list[str]] = [[] for _ in range(1 + max(depth.values(), default=-1))]
    for key, level in depth.items():
        stages[level].append(key)
    return stages
