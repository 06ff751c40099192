"""Reckons what runs will ask of models. Retries and the items of loops multiply it; that is for the reader to do."""

import asyncio
from collections.abc import Iterator, Sequence
from typing import Any
from uuid import UUID

from agents.errors import AgentError
from agents.llm.config import read_config
from agents.llm.estimate import Estimate, estimate
from agents.providers.pricing import CATALOGUE
from agents.providers.provider import Provider
from agents.spec import AgentSpec, AgentType
from flows.compiler.agent_rules import templated_config
from flows.compiler.expressions import render
from flows.errors import ExpressionFailed
from flows.plan import Plan, PlanStep
from flows.spec import StepType
from platform_api.access.scope import TenantScope
from platform_api.resources.agents.service import AgentService, spec_of
from platform_api.resources.estimates.schemas import EstimateView, RangeView, StepEstimateView
from platform_api.resources.executions.planning import Planner
from platform_api.resources.llm_providers.service import LlmProviderLookup
from platform_api.resources.workflows.reader import WorkflowReader

Place = tuple[str, AgentSpec, bool]
"""Path of a step, its agent, and whether it is inside a loop."""


class Estimates:
    """Inside one scope."""

    def __init__(self, scope: TenantScope) -> None:
        self._scope = scope
        self._providers = LlmProviderLookup(scope)

    async def of_agent(self, agent_id: UUID, given: dict[str, Any]) -> EstimateView:
        """Of one run of the agent; other kinds than LLM and WORKFLOW ask nothing of models."""
        agent = await AgentService(self._scope).get(agent_id)
        spec, children = await Planner(self._scope).of_agent(agent)
        if spec.type is AgentType.WORKFLOW:
            places = [place for child in children.values() for place in _places(child)]
        else:
            places = [("test", _filled_in(spec_of(agent), given), False)]
        return await self._view(places)

    async def of_workflow(self, workflow_id: UUID) -> EstimateView:
        """Of a run of the workflow as it is now; raises `InvalidState` when it could not start."""
        workflow = await WorkflowReader(self._scope).get(workflow_id)
        return await self._view(list(_places(await Planner(self._scope).plan(workflow))))

    async def _view(self, places: Sequence[Place]) -> EstimateView:
        providers = await self._providers.usable()
        asking = [place for place in places if place[1].type is AgentType.LLM]
        steps = await asyncio.to_thread(lambda: [_step(place, providers) for place in asking])
        costs = [step.most_cost for step in steps]
        ranges = [each for step in steps for each in (step.prompt_tokens, step.completion_tokens) if each is not None]
        return EstimateView(
            steps=steps,
            most_tokens=sum(each.most for each in ranges),
            most_cost=None if None in costs else sum(cost for cost in costs if cost is not None),
            prices_as_of=CATALOGUE.as_of,
        )


def _places(plan: Plan, prefix: str = "", *, repeated: bool = False) -> Iterator[Place]:
    yield from _of_steps(plan, plan.steps, prefix, repeated=repeated)


def _of_steps(plan: Plan, steps: Sequence[PlanStep], prefix: str, *, repeated: bool) -> Iterator[Place]:
    for step in steps:
        path = f"{prefix}{step.step_key}"
        if step.type is StepType.AGENT and step.agent is not None:
            yield path, plan.agents[step.agent], repeated
            if step.agent in plan.children:
                yield from _places(plan.children[step.agent], f"{path}.", repeated=repeated)
        if step.loop is not None:
            yield from _of_steps(plan, step.loop.steps, f"{path}.", repeated=True)
        for name, branch in (step.parallel.branches if step.parallel is not None else {}).items():
            yield from _of_steps(plan, branch, f"{path}.{name}.", repeated=repeated)


def _filled_in(spec: AgentSpec, given: dict[str, Any]) -> AgentSpec:
    """With its templates filled in, unless they name what is not there yet."""
    templated = templated_config(spec.type, spec.config)
    try:
        rendered = render(templated, {"inputs": given})
    except ExpressionFailed:
        return spec
    return spec.model_copy(update={"config": {**spec.config, **rendered}})


def _step(place: Place, providers: Sequence[Provider]) -> StepEstimateView:
    path, spec, repeated = place
    try:
        found = estimate(read_config(spec.config), providers)
    except AgentError as problem:
        return _shown(path, spec, None, repeated=repeated, problem=problem.message)
    return _shown(path, spec, found, repeated=repeated, problem=None)


def _shown(
    path: str, spec: AgentSpec, found: Estimate | None, *, repeated: bool, problem: str | None
) -> StepEstimateView:
    return StepEstimateView(
        path=path,
        agent_id=spec.id,
        provider=found.provider if found else None,
        model=found.model if found else None,
        prompt_tokens=RangeView.model_validate(found.prompt_tokens) if found else None,
        completion_tokens=RangeView.model_validate(found.completion_tokens) if found else None,
        least_cost=None if found is None or found.least_cost is None else float(found.least_cost),
        most_cost=None if found is None or found.most_cost is None else float(found.most_cost),
        is_repeated=repeated,
        problem=problem,
    )
