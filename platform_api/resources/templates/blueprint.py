"""What a template makes: agents by keys of its own, and a workflow whose steps name those keys.

A template carries no ids. What a step names is an agent of the template itself or unknown, so that nothing of any
tenant, the maker's own included, can be reached through a template.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from pydantic import ValidationError

from agents.errors import Problem
from agents.spec import AgentSpec
from agents.validation import config_problems
from flows.compiler.agent_rules import config_template_problems
from flows.compiler.compile import definition_problems
from flows.compiler.schemas import schema_problems
from flows.compiler.shape import agent_of, parse_definition, shape_problems, written_steps
from flows.errors import DefinitionInvalid
from platform_api.db.enums import TemplateType
from platform_api.resources.templates.filling import TooLarge, filled, uses
from platform_api.resources.templates.schemas import TemplateAgent
from platform_api.resources.workflows.definition import read_head
from platform_api.resources.workflows.parts import PARTS
from platform_api.resources.workflows.schemas import WorkflowWhole

MAX_AGENTS = 100
ONLY = "agent"
"""The key of the agent that an AGENT template makes."""

_DESCRIBING = frozenset({"name", "description", "tags", "schedule"})
_FIELDS: Mapping[TemplateType, frozenset[str]] = {
    TemplateType.WORKFLOW: frozenset({"agents", "workflow"}),
    TemplateType.STEP: frozenset({"agents", "step"}),
}


@dataclass(frozen=True, kw_only=True)
class Blueprint:
    """`workflow` is None where a single agent is made; the paths say where each part stands in the definition."""

    agents: Mapping[str, Any]
    workflow: Mapping[str, Any] | None
    agents_path: str
    steps_path: str = "definition.workflow"

    @property
    def path_of(self) -> Mapping[str, str]:
        """Where each agent is written."""
        return {key: self.agents_path if key == ONLY else f"{self.agents_path}.{key}" for key in self.agents}


def read(kind: TemplateType, definition: Mapping[str, Any], name: str) -> tuple[Blueprint, list[Problem]]:
    """The parts of a definition, whatever is in them, and what is missing or not known; `name` is the fallback."""
    if kind is TemplateType.AGENT:
        agent = {"name": name, **definition}
        return Blueprint(agents={ONLY: agent}, workflow=None, agents_path="definition"), []
    problems = [_unknown(f"definition.{key}") for key in sorted(set(definition) - _FIELDS[kind])]
    agents = _object(definition, "agents", problems)
    if len(agents) > MAX_AGENTS:
        problems.append(_problem("definition.agents", "TOO_MANY_AGENTS", f"a template has at most {MAX_AGENTS} agents"))
    path = "definition.agents"
    if kind is TemplateType.STEP:
        step = _object(definition, "step", problems)
        workflow: dict[str, Any] = {"name": name, "steps": [step]}
        return Blueprint(agents=agents, workflow=workflow, agents_path=path, steps_path="definition.step"), problems
    workflow = {"name": name, **_object(definition, "workflow", problems)}
    known = PARTS | _DESCRIBING
    problems += [_unknown(f"definition.workflow.{key}") for key in sorted(set(workflow) - known)]
    return Blueprint(agents=agents, workflow=workflow, agents_path=path), problems


def template_problems(
    kind: TemplateType, definition: Mapping[str, Any], parameters: Mapping[str, Any] | None, name: str
) -> list[Problem]:
    """What is wrong with a template as it is saved. Where a value of each parameter is known (a default, an example)
    it is filled in with them and checked as if something were made of it now."""
    problems = [*_schema_problems(parameters), *_use_problems(definition, parameters)]
    blueprint, structural = read(kind, definition, name)
    problems += [*structural, *_reference_problems(blueprint)]
    if problems:
        return problems
    values = _samples(parameters)
    if any(used not in values for _, used in uses(definition, "definition")):
        return []
    try:
        ready, _ = read(kind, filled(definition, values), name)
    except TooLarge as error:
        return [_problem("definition", "TOO_LARGE", str(error))]
    return blueprint_problems(ready)


def blueprint_problems(blueprint: Blueprint) -> list[Problem]:
    """What would keep the agents and the workflow of a filled-in definition from being made."""
    bodies: dict[str, TemplateAgent] = {}
    problems: list[Problem] = []
    for key, written in blueprint.agents.items():
        path = blueprint.path_of[key]
        try:
            bodies[key] = TemplateAgent.model_validate(written)
        except ValidationError as error:
            problems += [each.under(path) for each in shape_problems(error)]
            continue
        problems += [each.under(path) for each in _agent_problems(bodies[key])]
    if problems or blueprint.workflow is None:
        return problems
    found = [*_reference_problems(blueprint), *_workflow_problems(blueprint.workflow, bodies)]
    return [each.model_copy(update={"path": _place(blueprint, each.path)}) for each in found]


def _place(blueprint: Blueprint, path: str) -> str:
    if path.startswith("definition."):
        return path
    single = blueprint.steps_path == "definition.step"
    return path.replace("steps[0]", "definition.step", 1) if single else f"{blueprint.steps_path}.{path}"


def _agent_problems(agent: TemplateAgent) -> Iterator[Problem]:
    found = [*config_problems(agent.type, agent.config), *config_template_problems(agent.type, agent.config)]
    for problem in found:
        if problem.code != "UNKNOWN_SECRET":  # whose secrets there are is known when something is made
            yield problem.under("config")
    yield from schema_problems(agent.input_schema, "inputSchema")
    yield from schema_problems(agent.output_schema, "outputSchema")


def _workflow_problems(workflow: Mapping[str, Any], agents: Mapping[str, TemplateAgent]) -> list[Problem]:
    head = read_head(WorkflowWhole, workflow)
    try:
        definition = parse_definition({key: value for key, value in workflow.items() if key in PARTS})
    except DefinitionInvalid as invalid:
        return [*head.problems, *invalid.problems]
    specs = {
        key: AgentSpec(id=key, version=1, **agent.model_dump(include=set(AgentSpec.model_fields), exclude={"id"}))
        for key, agent in agents.items()
    }
    meaning = definition_problems(definition, specs)
    return [*head.problems, *(each for each in meaning if each.code not in ("UNKNOWN_SECRET", "UNKNOWN_AGENT"))]


def _reference_problems(blueprint: Blueprint) -> list[Problem]:
    """Steps whose agent is not one of the template's."""
    found = []
    for step in written_steps((blueprint.workflow or {}).get("steps")):
        named = agent_of(step.step)
        if isinstance(named, str) and named not in blueprint.agents:
            path = _place(blueprint, f"{step.path}.agentId")
            message = "a template names its own agents only: put the agent under `agents` and write its key here"
            found.append(_problem(path, "UNKNOWN_AGENT", message))
    return found


def _schema_problems(parameters: Mapping[str, Any] | None) -> list[Problem]:
    problems = schema_problems(parameters, "parameters")
    if problems or parameters is None or parameters.get("type", "object") == "object":
        return problems
    return [_problem("parameters.type", "BAD_SCHEMA", "parameters are an object; write `object`")]


def _use_problems(definition: Mapping[str, Any], parameters: Mapping[str, Any] | None) -> Iterator[Problem]:
    known = properties(parameters)
    for path, name in uses(definition, "definition"):
        if name is None:
            message = "a parameter is written as `{{ parameters.name }}` and nothing else stands between the braces"
            yield _problem(path, "BAD_EXPRESSION", message)
        elif name not in known:
            message = f"`parameters` has no `{name}`; there are: {', '.join(sorted(known)) or 'none'}"
            yield _problem(path, "UNKNOWN_PARAMETER", message)


def properties(parameters: Mapping[str, Any] | None) -> Mapping[str, Any]:
    """What may be given a value, by name."""
    found = (parameters or {}).get("properties", {})
    return found if isinstance(found, Mapping) else {}


def _samples(parameters: Mapping[str, Any] | None) -> dict[str, Any]:
    """A value of each parameter that tells one."""
    samples = {}
    for name, schema in properties(parameters).items():
        if isinstance(schema, Mapping) and "default" in schema:
            samples[name] = schema["default"]
        elif isinstance(schema, Mapping) and (shown := schema.get("examples") or schema.get("enum")):
            samples[name] = shown[0]
    return samples


def _object(definition: Mapping[str, Any], key: str, problems: list[Problem]) -> dict[str, Any]:
    value = definition.get(key, {})
    if isinstance(value, Mapping) and (value or key == "agents"):
        return dict(value)
    problems.append(_problem(f"definition.{key}", "MISSING_FIELD", f"`{key}` is an object and required"))
    return {}


def _unknown(path: str) -> Problem:
    return _problem(path, "UNKNOWN_FIELD", "is not known here; remove it")


def _problem(path: str, code: str, message: str) -> Problem:
    return Problem(path=path, code=code, message=message)
