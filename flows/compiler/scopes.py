"""What templates may name: checked against the definition when it is saved, before any value exists."""

from collections.abc import Collection, Iterator, Mapping
from typing import Any

from agents.errors import Problem
from agents.spec import AgentSpec
from flows.compiler.expressions import Use, uses
from flows.compiler.graph import StepGraph, suggestion
from flows.compiler.nodes import path_text
from flows.compiler.schema_fields import SchemaFields, is_open

KnownSecrets = Mapping[str | None, Collection[str]]
"""The names that something in a project may use, by the project's id; None stands for what is in no project."""

_ALWAYS = frozenset({"env", "execution", "workflow"})
_IN_LOOPS = frozenset({"item", "index", "previous"})


class WorkflowScope:
    """The names that inputs of steps, and the output, can use."""

    def __init__(
        self,
        graph: StepGraph,
        agents: Mapping[str, AgentSpec],
        input_schema: Mapping[str, Any] | None,
        known_secrets: Collection[str],
    ) -> None:
        self._graph = graph
        self._agents = agents
        self._input_schema = input_schema
        self._input_fields = SchemaFields(input_schema)
        self._output_fields: dict[str, SchemaFields] = {}
        self._secrets = known_secrets

    def step_problems(self, key: str, path: str, inputs: Mapping[str, Any]) -> Iterator[Problem]:
        """Problems of the references in the `inputs` of step `key`, which stand at `path`."""
        for use in uses(inputs, path):
            yield from self._use_problems(use, key)

    def output_problems(self, output: Any) -> Iterator[Problem]:
        """Problems of the references in the run's `output`, where every step has ended."""
        for use in uses(output, "output"):
            if use.path[0] == "secrets":
                yield _problem(use, "UNKNOWN_REFERENCE", "secrets cannot be part of a run's output")
            else:
                yield from self._use_problems(use, None)

    def _use_problems(self, use: Use, key: str | None) -> Iterator[Problem]:
        root = use.path[0]
        if root == "inputs":
            yield from self._input_problems(use)
        elif root == "secrets":
            yield from secret_problems(use, self._secrets)
        elif root == "steps" or root in self._graph.steps:
            yield from self._step_use_problems(use, key)
        elif root in _IN_LOOPS:
            yield _problem(use, "UNKNOWN_REFERENCE", f"`{root}` exists only inside a LOOP")
        elif root not in _ALWAYS:
            names = [*self._graph.steps, "inputs", "secrets", *sorted(_ALWAYS)]
            message = f"`{root}` is neither a step nor another name; {suggestion(str(root), names)}"
            yield _problem(use, "UNKNOWN_REFERENCE", message)

    def _step_use_problems(self, use: Use, key: str | None) -> Iterator[Problem]:
        named, rest = (use.path[1:2], use.path[2:]) if use.path[0] == "steps" else (use.path[:1], use.path[1:])
        step = named[0] if named else None
        if not isinstance(step, str):
            yield _problem(use, "UNKNOWN_REFERENCE", "name one step, as in `steps.<stepKey>.output`")
        elif step not in self._graph.steps:
            message = f"there is no step `{step}`; {self._graph.suggestion(step)}"
            yield _problem(use, "UNKNOWN_REFERENCE", message)
        elif key is not None and not self._graph.runs_before(step, key):
            yield _problem(use, "NOT_AN_ANCESTOR", _not_before(step, key))
        elif not rest or rest[0] != "output":
            yield _problem(use, "UNKNOWN_REFERENCE", f"a step has only `output`; write `{step}.output`")
        else:
            yield from self._output_field_problems(use, step, rest[1:])

    def _output_field_problems(self, use: Use, step: str, fields: tuple[str | int, ...]) -> Iterator[Problem]:
        excluded = self._fields_of(self._graph.steps[step].agent_id or "").excluded(fields)
        if excluded is not None:
            position, known = excluded
            message = f"the outputSchema of `{step}` has no `{fields[position]}` there; "
            yield _problem(use, "UNKNOWN_FIELD", message + suggestion(str(fields[position]), known))

    def _fields_of(self, agent_id: str) -> SchemaFields:
        if agent_id not in self._output_fields:
            agent = self._agents.get(agent_id)
            self._output_fields[agent_id] = SchemaFields(agent.output_schema if agent else None)
        return self._output_fields[agent_id]

    def _input_problems(self, use: Use) -> Iterator[Problem]:
        """Inputs that the schema has no place for. Under an optional use only what it forbids outright is a problem."""
        schema, fields = self._input_schema, use.path[1:]
        if schema is None or not fields:
            return
        excluded = self._input_fields.excluded(fields)
        first_unknown = not use.optional and not is_open(schema) and fields[0] not in schema["properties"]
        if excluded is None and not first_unknown:
            return
        position, known = excluded if excluded is not None else (0, list(schema["properties"]))
        message = f"the inputSchema has no `{fields[position]}` there; {suggestion(str(fields[position]), known)}"
        yield _problem(use, "UNKNOWN_INPUT", message)


def secret_problems(use: Use, known: Collection[str]) -> Iterator[Problem]:
    """A secret that there is not. Names are shown as written, never values."""
    name = use.path[1] if len(use.path) > 1 else None
    if not isinstance(name, str):
        yield _problem(use, "UNKNOWN_REFERENCE", "name one secret, as in `secrets.NAME`")
    elif name not in known:
        yield _problem(use, "UNKNOWN_SECRET", f"there is no secret `{name}`; {suggestion(name, sorted(known))}")


def _not_before(step: str, key: str) -> str:
    if step == key:
        return f"step `{key}` cannot read its own output"
    return f"step `{step}` need not have run before `{key}`; add it to `dependsOn`"


def _problem(use: Use, code: str, message: str) -> Problem:
    return Problem(path=use.where, code=code, message=f"`{path_text(use.path)}`: {message}")
