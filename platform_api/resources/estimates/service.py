"""Reckons what runs will ask of models: what each place asks once, by how often a run may come to it."""

import asyncio
from collections.abc import Iterable, Sequence
from typing import Any
from uuid import UUID

from agents.errors import AgentError
from agents.llm.config import read_config
from agents.llm.estimate import Estimate, estimate
from agents.providers.pricing import CATALOGUE
from agents.providers.provider import Provider
from agents.spec import AgentType
from flows.compiler.schemas import check_inputs
from flows.errors import DefinitionInvalid
from flows.plan import Plan
from platform_api.access.scope import TenantScope
from platform_api.resources.agents.service import AgentService, spec_of
from platform_api.resources.estimates.places import Place, filled_in, places
from platform_api.resources.estimates.schemas import EstimateView, RangeView, StepEstimateView
from platform_api.resources.executions.planning import Planner
from platform_api.resources.llm_providers.service import LlmProviderLookup
from platform_api.resources.workflows.reader import WorkflowReader

MOST = 2**53 - 1
"""Tokens; greater numbers are none that every client of JSON can read."""


class Estimates:
    """Inside one scope."""

    def __init__(self, scope: TenantScope) -> None:
        self._scope = scope
        self._providers = LlmProviderLookup(scope)

    async def of_agent(self, agent_id: UUID, given: dict[str, Any]) -> EstimateView:
        """Of one run of the agent; other kinds than LLM and WORKFLOW ask nothing of models."""
        agent = await AgentService(self._scope).get(agent_id)
        spec, children = await Planner(self._scope, is_sketch=True).of_agent(agent)
        if spec.type is AgentType.WORKFLOW:
            handed = given if spec.config.get("inputs") is None else {}
            found = await asyncio.to_thread(_places, list(children.values()), handed)
        else:
            found = [Place(path="test", spec=filled_in(spec_of(agent), given))]
        return await self._view(found)

    async def of_workflow(self, workflow_id: UUID, given: dict[str, Any]) -> EstimateView:
        """Of a run of the workflow as it is now, ACTIVE or not; raises `InvalidState` where it has problems."""
        workflow = await WorkflowReader(self._scope).get(workflow_id)
        plan = await Planner(self._scope, is_sketch=True).plan(workflow)
        return await self._view(await asyncio.to_thread(_places, [plan], given))

    async def _view(self, found: Sequence[Place]) -> EstimateView:
        providers = await self._providers.usable()
        asking = [place for place in found if place.spec.type is AgentType.LLM]
        steps = await asyncio.to_thread(lambda: [_step(place, providers) for place in asking])
        tokens = [
            (each, step.runs)
            for step in steps
            for each in (step.prompt_tokens, step.completion_tokens)
            if each is not None
        ]
        return EstimateView(
            steps=steps,
            least_tokens=min(sum(each.least * runs.least for each, runs in tokens), MOST),
            most_tokens=min(sum(each.most * runs.most for each, runs in tokens), MOST),
            least_cost=_total((step.least_cost, step.runs.least) for step in steps),
            most_cost=_total((step.most_cost, step.runs.most) for step in steps),
            bounds=sorted({bound for step in steps for bound in step.bounds}),
            prices_as_of=CATALOGUE.as_of,
        )


def _places(plans: Sequence[Plan], given: dict[str, Any]) -> list[Place]:
    return [place for plan in plans for place in places(plan, _with_defaults(plan, given))]


def _with_defaults(plan: Plan, given: dict[str, Any]) -> dict[str, Any]:
    """As a run would see them; an estimate takes what does not fit the schema (yet) as it is."""
    try:
        return check_inputs(plan.input_schema, given)
    except DefinitionInvalid:
        return given


def _total(costs: Iterable[tuple[float | None, int]]) -> float | None:
    """Null as soon as one is not known, unless it is of something that does not run."""
    known = [None if cost is None and runs else (cost or 0.0) * runs for cost, runs in costs]
    return None if None in known else sum(cost for cost in known if cost is not None)


def _step(place: Place, providers: Sequence[Provider]) -> StepEstimateView:
    try:
        found = estimate(read_config(place.spec.config), providers)
    except AgentError as problem:
        return _shown(place, None, problem.message)
    return _shown(place, found, None)


def _shown(place: Place, found: Estimate | None, problem: str | None) -> StepEstimateView:
    return StepEstimateView(
        path=place.path,
        agent_id=place.spec.id,
        provider=found.provider if found else None,
        model=found.model if found else None,
        prompt_tokens=RangeView.model_validate(found.prompt_tokens) if found else None,
        completion_tokens=RangeView.model_validate(found.completion_tokens) if found else None,
        least_cost=None if found is None or found.least_cost is None else float(found.least_cost),
        most_cost=None if found is None or found.most_cost is None else float(found.most_cost),
        is_repeated=place.is_repeated,
        runs=RangeView(least=place.times.least, most=place.times.most),
        bounds=list(place.times.bounds),
        problem=problem,
    )
