"""Turns sound steps into the steps of a plan: implied edges written out, defaults decided, bodies in order."""

from collections.abc import Mapping
from typing import Any

from agents.spec import AgentSpec, AgentType
from flows.compiler.expressions import bare
from flows.compiler.graph import StepGraph
from flows.compiler.nesting import Body, Placed, continues, own_config
from flows.compiler.step_rules import items_document
from flows.compiler.tools import all_tools
from flows.plan import Plan, PlanCase, PlanLoop, PlanParallel, PlanStep
from flows.spec import ConditionConfig, LoopConfig, ParallelConfig, RetryPolicy, WaitConfig
from flows.states import OnError

REPEATABLE_METHODS = frozenset({"GET", "HEAD", "OPTIONS", "PUT", "DELETE"})
"""Asking twice is as good as once (RFC 9110, 9.2.2)."""


class Lowering:
    """Makes plan steps; `agents` are keyed as the definition writes them, `children` by the agent's id."""

    def __init__(self, agents: Mapping[str, AgentSpec], children: Mapping[str, Plan]) -> None:
        self._agents = agents
        self._children = children

    def steps(self, body: Body) -> tuple[PlanStep, ...]:
        """The steps of one body, each after those that it waits for."""
        graph = StepGraph(body)
        return tuple(self._step(graph, graph.steps[key]) for key in graph.order)

    def _step(self, graph: StepGraph, step: Placed) -> PlanStep:
        spec = step.spec
        agent = self._agents[spec.agent_id] if spec.agent_id is not None else None
        named = graph.namings[step.key]
        return PlanStep(
            step_key=spec.step_key,
            name=spec.name or spec.step_key,
            type=spec.type,
            agent=agent.id if agent is not None else None,
            inputs=spec.inputs,
            config=own_config(spec),
            depends_on=graph.dependencies[step.key],
            gates=tuple(dict.fromkeys(naming.by for naming in named if naming.kind != "fallback")),
            fallback_of=tuple(naming.by for naming in named if naming.kind == "fallback"),
            fallback=spec.fallback,
            cases=_cases(step.config) if isinstance(step.config, ConditionConfig) else (),
            loop=self._loop(step, step.config) if isinstance(step.config, LoopConfig) else None,
            parallel=self._parallel(step, step.config) if isinstance(step.config, ParallelConfig) else None,
            wait=_wait(step.config) if isinstance(step.config, WaitConfig) else None,
            on_error=spec.on_error,
            retry=(spec.retry or RetryPolicy()) if spec.on_error is OnError.RETRY else None,
            continue_on_failure=continues(spec),
            default=spec.default,
            timeout_seconds=_tightest(spec.timeout_seconds, agent.limits.timeout_seconds if agent else None),
            repeatable=agent is None or self._is_repeatable(agent),
        )

    def _loop(self, step: Placed, config: LoopConfig) -> PlanLoop:
        repeats = config.while_ is not None
        return PlanLoop(
            items=None if repeats else items_document(config.items),
            condition=bare(config.while_) if config.while_ is not None else None,
            steps=self.steps(step.bodies[0]),
            max_concurrency=1 if repeats else config.max_concurrency,
            batch_size=config.batch_size,
            max_iterations=config.max_iterations,
            collect=config.collect,
        )

    def _parallel(self, step: Placed, config: ParallelConfig) -> PlanParallel:
        branches = {name: self.steps(body) for name, body in zip(config.branches, step.bodies, strict=True)}
        return PlanParallel(branches=branches, wait=config.wait, max_concurrency=config.max_concurrency)

    def _is_repeatable(self, agent: AgentSpec) -> bool:
        """Whether what a lost worker was at may simply be done again."""
        if agent.type is AgentType.WORKFLOW:
            child = self._children.get(agent.id)
            return child is not None and all(_all_repeatable(step) for step in child.steps)
        if agent.type is AgentType.LLM:
            called = all_tools([agent], self._agents).values()
            return all(each.type is AgentType.LLM or self._is_repeatable(each) for each in called)
        if agent.type is not AgentType.API and not agent.has_network:
            return True
        if isinstance(said := agent.config.get("idempotent"), bool):
            return said
        return agent.type is AgentType.API and str(agent.config.get("method", "GET")).upper() in REPEATABLE_METHODS


def inner_steps(step: PlanStep) -> tuple[PlanStep, ...]:
    """The steps directly inside a container."""
    if step.loop is not None:
        return step.loop.steps
    branches = step.parallel.branches.values() if step.parallel is not None else ()
    return tuple(inner for branch in branches for inner in branch)


def _all_repeatable(step: PlanStep) -> bool:
    return step.repeatable and all(_all_repeatable(inner) for inner in inner_steps(step))


def _cases(config: ConditionConfig) -> tuple[PlanCase, ...]:
    if config.expression is not None:
        return PlanCase(when=bare(config.expression), then=config.then), PlanCase(when=None, then=config.otherwise)
    cases = (PlanCase(when=bare(case.when), then=case.then) for case in config.cases)
    return *cases, PlanCase(when=None, then=config.default)


def _wait(config: WaitConfig) -> WaitConfig:
    return config.model_copy(update={"filter": bare(config.filter)}) if config.filter is not None else config


def _tightest(*limits: Any) -> float | None:
    return min((limit for limit in limits if limit is not None), default=None)
