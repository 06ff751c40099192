"""In which order a plan runs: steps of one stage start together when everything of the stages before has ended."""

from flows.plan import Plan
from platform_api.resources.workflows.schemas import ExecutionPlan


def execution_plan(plan: Plan) -> ExecutionPlan:
    """The plan's steps in order, and as stages."""
    depth: dict[str, int] = {}
    for step in plan.steps:
        depth[step.step_key] = 1 + max((depth[key] for key in step.depends_on), default=-1)
    stages: list[list[str]] = [[] for _ in range(1 + max(depth.values(), default=-1))]
    for key, level in depth.items():
        stages[level].append(key)
    return ExecutionPlan(steps=list(depth), stages=stages)
