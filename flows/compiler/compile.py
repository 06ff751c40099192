"""From a workflow's JSON to the plan that a run follows: shape, then meaning, then order.

    document ──parse_definition──▶ WorkflowDefinition ──definition_problems──▶ all problems at once
                                                      ──compile_plan────────▶ Plan

Nothing here reads a database or loads an executor; the caller hands in the agents that its user may run.
"""

from collections.abc import Iterator, Mapping
from difflib import get_close_matches
from itertools import islice
from types import MappingProxyType
from typing import Any

from pydantic import BaseModel, ValidationError

from agents.errors import Problem
from agents.spec import AgentSpec
from flows.compiler.agent_rules import AgentFit
from flows.compiler.expressions import syntax_problems
from flows.compiler.graph import StepGraph
from flows.compiler.schemas import input_schema_problems, joined
from flows.compiler.scopes import KnownSecrets, WorkflowScope
from flows.errors import DefinitionInvalid
from flows.plan import Plan, PlanStep, PlanWorkflow
from flows.spec import RetryPolicy, StepSpec, StepType, WorkflowDefinition
from flows.states import OnError

MAX_STEPS = 2_000
MAX_PROBLEMS = 1_000
MAX_SHAPE_PROBLEMS = 200
_NO_SECRETS: KnownSecrets = MappingProxyType({})


def parse_definition(document: Any) -> WorkflowDefinition:
    """The definition in `document`; raises `DefinitionInvalid` with everything that is wrong with its shape."""
    try:
        return WorkflowDefinition.model_validate(document)
    except ValidationError as error:
        raise DefinitionInvalid(shape_problems(error)) from error


def shape_problems(error: ValidationError) -> list[Problem]:
    """Pydantic's findings as problems with JSON paths; values are never repeated."""
    found = error.errors(include_url=False, include_context=False, include_input=False)[:MAX_SHAPE_PROBLEMS]
    return [_shape_problem(item["type"], joined("", item["loc"]), item["msg"]) for item in found]


def _shape_problem(kind: str, path: str, message: str) -> Problem:
    if kind == "extra_forbidden":
        name = path.rpartition(".")[2]
        near = get_close_matches(name, _FIELDS, n=1)
        hint = f"did you mean `{near[0]}`?" if near else "remove it"
        return Problem(path=path, code="UNKNOWN_FIELD", message=f"`{name}` is not known here; {hint}")
    if kind == "missing":
        return Problem(path=path, code="MISSING_FIELD", message=f"`{path.rpartition('.')[2]}` is required")
    return Problem(path=path, code="BAD_VALUE", message=message)


def _aliases(*models: type[BaseModel]) -> list[str]:
    return sorted({field.alias or name for model in models for name, field in model.model_fields.items()})


_FIELDS = _aliases(WorkflowDefinition, StepSpec, RetryPolicy)


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
    if not definition.steps:
        return [Problem(path="steps", code="EMPTY_WORKFLOW", message="a workflow has at least one step")]
    if len(definition.steps) > MAX_STEPS:
        message = f"{len(definition.steps):,} steps; at most {MAX_STEPS:,}, use a LOOP or a nested workflow"
        return [Problem(path="steps", code="TOO_MANY_STEPS", message=message)]
    return list(islice(_meaning_problems(definition, agents, known_secrets, project_id), MAX_PROBLEMS))


def _meaning_problems(
    definition: WorkflowDefinition,
    agents: Mapping[str, AgentSpec],
    known_secrets: KnownSecrets,
    project_id: str | None,
) -> Iterator[Problem]:
    broken_schema = input_schema_problems(definition.input_schema, "inputSchema")
    graph = StepGraph(definition.steps)
    input_schema = None if broken_schema else definition.input_schema
    scope = WorkflowScope(graph, agents, input_schema, known_secrets.get(project_id, ()))
    fit = AgentFit(agents, known_secrets)
    yield from broken_schema
    yield from graph.problems()
    for position, step in enumerate(definition.steps):
        yield from _step_problems(position, step, scope, fit)
    yield from syntax_problems(definition.output, "output")
    yield from scope.output_problems(definition.output)


def _step_problems(position: int, step: StepSpec, scope: WorkflowScope, fit: AgentFit) -> Iterator[Problem]:
    path = f"steps[{position}]"
    if step.type is not StepType.AGENT:
        message = f"{step.type} steps cannot be run yet, only AGENT steps; they come with the next release"
        yield Problem(path=f"{path}.type", code="UNSUPPORTED_STEP_TYPE", message=message)
        return
    if step.on_error is not OnError.RETRY and step.retry is not None:
        message = "`retry` has an effect only with `onError: RETRY`; set it, or remove `retry`"
        yield Problem(path=f"{path}.retry", code="BAD_RETRY", message=message)
    yield from syntax_problems(step.inputs, f"{path}.inputs")
    yield from scope.step_problems(step.step_key, f"{path}.inputs", step.inputs)
    yield from fit.problems(position, step)


def compile_plan(
    definition: WorkflowDefinition,
    workflow: PlanWorkflow,
    agents: Mapping[str, AgentSpec],
    *,
    known_secrets: KnownSecrets = _NO_SECRETS,
) -> Plan:
    """The plan of a sound definition; raises `DefinitionInvalid` with every problem of any other."""
    project_id = workflow.project_id
    problems = definition_problems(definition, agents, known_secrets=known_secrets, project_id=project_id)
    if problems:
        raise DefinitionInvalid(problems)
    graph = StepGraph(definition.steps)
    used = [agents[step.agent_id] for step in definition.steps if step.agent_id is not None]
    return Plan(
        workflow=workflow,
        input_schema=definition.input_schema,
        limits=definition.limits,
        agents={agent.id: agent for agent in used},
        steps=tuple(_plan_step(graph.steps[key], graph.dependencies[key], agents) for key in graph.order),
        output=definition.output,
    )


def _plan_step(step: StepSpec, depends_on: tuple[str, ...], agents: Mapping[str, AgentSpec]) -> PlanStep:
    agent = agents[step.agent_id or ""]
    retries = step.on_error is OnError.RETRY
    return PlanStep(
        step_key=step.step_key,
        name=step.name or step.step_key,
        type=step.type,
        agent=agent.id,
        inputs=step.inputs,
        config=step.config,
        depends_on=depends_on,
        on_error=step.on_error,
        retry=(step.retry or RetryPolicy()) if retries else None,
        continue_on_failure=_continues(step),
        default=step.default,
        timeout_seconds=_tightest(step.timeout_seconds, agent.limits.timeout_seconds),
    )


def _continues(step: StepSpec) -> bool:
    if step.on_error is OnError.RETRY:
        return step.after_retries == "CONTINUE"
    return step.on_error is OnError.CONTINUE


def _tightest(*limits: float | None) -> float | None:
    return min((limit for limit in limits if limit is not None), default=None)
