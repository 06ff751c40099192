"""From a workflow's JSON to the plan that a run follows: shape, then meaning, then order.

    document ──parse_definition──▶ WorkflowDefinition ──definition_problems──▶ all problems at once
                                                      ──compile_plan────────▶ Plan

Nothing here reads a database or loads an executor; the caller hands in the agents that its user may run.
"""

from collections.abc import Iterator, Mapping
from itertools import islice
from types import MappingProxyType

from agents.errors import Problem
from agents.spec import AgentSpec
from flows.compiler.agent_rules import AgentFit
from flows.compiler.expressions import expression_uses, syntax_problems, uses
from flows.compiler.fusion import with_fusions
from flows.compiler.graph import StepGraph
from flows.compiler.lowering import Lowering
from flows.compiler.nesting import Body, Placed, all_bodies, all_steps, body_of
from flows.compiler.reachability import unreachable_problems
from flows.compiler.schemas import input_schema_problems
from flows.compiler.scopes import BodyScope, KnownSecrets, Surroundings
from flows.compiler.step_rules import config_uses, step_problems
from flows.compiler.tools import all_tools
from flows.errors import DefinitionInvalid
from flows.plan import Plan, PlanWorkflow
from flows.spec import LoopConfig, StepType, WorkflowDefinition

MAX_STEPS = 2_000
MAX_PROBLEMS = 1_000
_NO_SECRETS: KnownSecrets = MappingProxyType({})
_NO_CHILDREN: Mapping[str, Plan] = MappingProxyType({})


def definition_problems(
    definition: WorkflowDefinition,
    agents: Mapping[str, AgentSpec],
    *,
    known_secrets: KnownSecrets = _NO_SECRETS,
    project_id: str | None = None,
) -> list[Problem]:
    """What is wrong with the meaning of `definition`, up to `MAX_PROBLEMS`; `agents` are keyed by `agentId`.

    Inputs of steps may name the secrets of the workflow's project, an agent's config those of the agent's.
    """
    try:
        body = body_of(definition)
    except DefinitionInvalid as invalid:
        return list(invalid.problems)
    if not body.steps:
        return [Problem(path="steps", code="EMPTY_WORKFLOW", message="a workflow has at least one step")]
    total = sum(1 for _ in all_steps(body))
    if total > MAX_STEPS:
        message = f"{total:,} steps; at most {MAX_STEPS:,}, use a LOOP or a nested workflow"
        return [Problem(path="steps", code="TOO_MANY_STEPS", message=message)]
    check = _Check(definition, body, agents, known_secrets, project_id)
    return list(islice(check.problems(), MAX_PROBLEMS))


class _Check:
    """One pass over all bodies of a definition."""

    def __init__(
        self,
        definition: WorkflowDefinition,
        body: Body,
        agents: Mapping[str, AgentSpec],
        known_secrets: KnownSecrets,
        project_id: str | None,
    ) -> None:
        self._definition = definition
        self._broken_schema = input_schema_problems(definition.input_schema, "inputSchema")
        self._fit = AgentFit(agents, known_secrets)
        nested = {step.key: place.at(step.key) for place in all_bodies(body) if place.place for step in place.steps}
        schema = None if self._broken_schema else definition.input_schema
        shared = Surroundings(agents, schema, known_secrets.get(project_id, ()), nested)
        self._outermost = BodyScope(StepGraph(body), shared)

    def problems(self) -> Iterator[Problem]:
        yield from self._broken_schema
        yield from self._body_problems(self._outermost)
        yield from syntax_problems(self._definition.output, "output")
        yield from self._outermost.end_problems(uses(self._definition.output, "output"))

    def _body_problems(self, scope: BodyScope) -> Iterator[Problem]:
        graph = scope.graph
        yield from graph.problems()
        yield from scope.shadow_problems()
        yield from unreachable_problems(graph)
        for step in graph.body.steps:
            yield from step_problems(step)
            yield from self._reference_problems(step, scope)
            if step.spec.type is StepType.AGENT:
                yield from self._fit.problems(step.path, step.spec)
            for body in step.bodies:
                inner = scope.inside(step, body)
                yield from self._body_problems(inner)
                if isinstance(step.config, LoopConfig):
                    yield from inner.end_problems(uses(step.config.collect, f"{step.path}.config.collect"))

    def _reference_problems(self, step: Placed, scope: BodyScope) -> Iterator[Problem]:
        if step.config is None:
            yield from syntax_problems(step.spec.inputs, f"{step.path}.inputs")
            yield from scope.input_problems(step, uses(step.spec.inputs, f"{step.path}.inputs"))
            return
        yield from scope.config_problems(step.key, config_uses(step))
        if isinstance(step.config, LoopConfig) and step.config.while_ is not None:
            used = expression_uses(step.config.while_, f"{step.path}.config.while")
            yield from scope.config_problems(step.key, used, step.config)


def compile_plan(
    definition: WorkflowDefinition,
    workflow: PlanWorkflow,
    agents: Mapping[str, AgentSpec],
    *,
    known_secrets: KnownSecrets = _NO_SECRETS,
    children: Mapping[str, Plan] = _NO_CHILDREN,
) -> Plan:
    """The plan of a sound definition; raises `DefinitionInvalid` with every problem of any other.

    `children` are the plans of what its WORKFLOW agents run, by the agent's id. Agents that models call are frozen with
    those of the steps, under the text that names them.
    """
    project_id = workflow.project_id
    problems = definition_problems(definition, agents, known_secrets=known_secrets, project_id=project_id)
    if problems:
        raise DefinitionInvalid(problems)
    body = body_of(definition)
    used = [agents[step.spec.agent_id] for step in all_steps(body) if step.spec.agent_id is not None]
    return Plan(
        workflow=workflow,
        input_schema=definition.input_schema,
        limits=definition.limits,
        agents={agent.id: agent for agent in used} | all_tools(used, agents),
        steps=with_fusions(Lowering(agents, children).steps(body), definition, {each.id: each for each in used}),
        output=definition.output,
        children={agent.id: children[agent.id] for agent in used if agent.id in children},
    )
