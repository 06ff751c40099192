"""How a step and its agent fit together, and what an agent's own config may name.

Inside a config `inputs` are the agent's: what the step hands over, with the defaults of the agent's `inputSchema`.
"""

from collections.abc import Collection, Iterator, Mapping
from typing import Any

from agents.errors import Problem
from agents.llm.config import LITERAL_FIELDS as LLM_LITERALS
from agents.spec import AgentSpec, AgentType
from flows.compiler.defaults import DefaultsEndless, with_defaults
from flows.compiler.expressions import Use, syntax_problems, uses
from flows.compiler.graph import suggestion
from flows.compiler.nodes import path_text
from flows.compiler.schema_fields import SchemaFields
from flows.compiler.scopes import NOT_FOR_WORKFLOWS, KnownSecrets, secret_problems
from flows.compiler.tools import all_tools, tool_problems
from flows.spec import StepSpec

LITERAL_FIELDS: Mapping[AgentType, frozenset[str]] = {
    AgentType.CODE: frozenset({"code"}),
    AgentType.LLM: frozenset(LLM_LITERALS),
    AgentType.WORKFLOW: frozenset({"workflowId", "version"}),
}
"""Config fields that are never templates, whatever they hold."""
_ROOTS = frozenset({"inputs", "secrets", "env", "execution", "workflow"})


def templated_config(kind: AgentType, config: Mapping[str, Any]) -> dict[str, Any]:
    """The part of a config in which `{{ … }}` is filled in."""
    literal = LITERAL_FIELDS.get(kind, frozenset())
    return {name: value for name, value in config.items() if name not in literal}


def config_template_problems(
    kind: AgentType, config: Mapping[str, Any], *, known_secrets: Collection[str] = ()
) -> list[Problem]:
    """What is wrong with a config's templates by themselves; paths are relative to the config."""
    templated = templated_config(kind, config)
    problems = syntax_problems(templated, "")
    for use in uses(templated, "") if not problems else []:
        if use.path[0] == "secrets" and kind is AgentType.WORKFLOW:
            message = f"`{path_text(use.path)}`: {NOT_FOR_WORKFLOWS}"
            problems.append(Problem(path=use.where, code="UNKNOWN_REFERENCE", message=message))
        elif use.path[0] == "secrets":
            problems += secret_problems(use, known_secrets)
        elif use.path[0] not in _ROOTS:
            message = f"`{path_text(use.path)}`: an agent's config knows only {', '.join(sorted(_ROOTS))}"
            problems.append(Problem(path=use.where, code="UNKNOWN_REFERENCE", message=message))
    return problems


class _Agent:
    """What is found out once about an agent, however many steps run it."""

    def __init__(self, spec: AgentSpec) -> None:
        self.spec = spec
        self.takes = SchemaFields(spec.input_schema)
        self.required = _required(spec.input_schema)
        self.defaults = _defaulted(spec.input_schema)
        self.uses: dict[str, Use] = {}
        for use in uses(templated_config(spec.type, spec.config), ""):
            if use.path[0] == "inputs" and len(use.path) > 1 and not use.optional:
                self.uses.setdefault(str(use.path[1]), use)


class AgentFit:
    """Checks steps against their agents; an agent's own problems are told once, at the first step that runs it."""

    def __init__(self, agents: Mapping[str, AgentSpec], known_secrets: KnownSecrets) -> None:
        self._agents = agents
        self._secrets = known_secrets
        self._known: dict[str, _Agent] = {}

    def problems(self, path: str, step: StepSpec) -> Iterator[Problem]:
        """Problems of one AGENT step, which stands at `path`, with its agent."""
        if not step.agent_id:
            yield Problem(path=f"{path}.agentId", code="MISSING_AGENT", message="an AGENT step names its `agentId`")
            return
        spec = self._agents.get(step.agent_id)
        if spec is None:
            message = f"there is no agent `{step.agent_id}` that you may use"
            yield Problem(path=f"{path}.agentId", code="UNKNOWN_AGENT", message=message)
            return
        if spec.id not in self._known:
            self._known[spec.id] = _Agent(spec)
            yield from self._config_problems(spec, f"{path}.agentId")
        yield from _input_problems(self._known[spec.id], step, f"{path}.inputs")

    def _config_problems(self, spec: AgentSpec, path: str) -> Iterator[Problem]:
        """Its own, and those of the agents that its model calls."""
        for each in (spec, *all_tools([spec], self._agents).values()):
            known = self._secrets.get(each.project_id, ())
            found = config_template_problems(each.type, each.config, known_secrets=known)
            for problem in (*found, *tool_problems(each, self._agents)):
                message = f"agent `{each.name}`, config.{problem.path}: {problem.message}"
                yield Problem(path=path, code=problem.code, message=message)


def handed_over_problems(
    label: str, schema: Mapping[str, Any] | None, inputs: Mapping[str, Any], path: str
) -> Iterator[Problem]:
    """Names among `inputs` that `schema`, which is of what `label` says, has no place for, and those that it misses."""
    return _fit_problems(label, SchemaFields(schema), _required(schema), _defaulted(schema), inputs, path)


def _fit_problems(
    label: str,
    takes: SchemaFields,
    required: Collection[str],
    defaults: Collection[str] | None,
    inputs: Mapping[str, Any],
    path: str,
) -> Iterator[Problem]:
    for name in inputs:
        excluded = takes.excluded((name,))
        if excluded is not None:
            message = f"{label} takes no `{name}`; {suggestion(name, excluded[1])}"
            yield Problem(path=f"{path}.{name}", code="UNKNOWN_INPUT", message=message)
    for name in required if defaults is not None else ():
        if name not in inputs and name not in (defaults or ()):
            yield Problem(path=f"{path}.{name}", code="MISSING_INPUT", message=f"{label} requires `{name}`")


def _input_problems(agent: _Agent, step: StepSpec, path: str) -> Iterator[Problem]:
    label = f"agent `{agent.spec.name}`"
    yield from _fit_problems(label, agent.takes, agent.required, agent.defaults, step.inputs, path)
    for name, use in agent.uses.items() if agent.defaults is not None else ():
        if name not in step.inputs and name not in (agent.defaults or ()) and name not in agent.required:
            message = f"{label} uses it in config.{use.where}; hand it over or give it a default"
            yield Problem(path=f"{path}.{name}", code="MISSING_INPUT", message=message)


def _required(schema: Mapping[str, Any] | None) -> tuple[str, ...]:
    return tuple((schema or {}).get("required", ()))


def _defaulted(schema: Mapping[str, Any] | None) -> Collection[str] | None:
    """Names of the inputs that the schema itself provides; None when that cannot be told."""
    try:
        filled = with_defaults(schema or {}, {})
    except DefaultsEndless:
        return None
    return filled if isinstance(filled, dict) else None
