"""Which DATA steps give the plan of their result instead of the result: those that one DATA step alone reads.

The steps of such a group run as one query when the last of them runs. Each keeps its record; a step with
`materialize: true`, one that writes, checks or draws its result, and one whose output is read in part, runs by itself.
Only the outermost body is looked at: in loops and branches, records are what people look for.
"""

import re
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from agents.spec import AgentSpec, AgentType
from flows.compiler.expressions import bare, uses
from flows.plan import PlanStep
from flows.spec import StepSpec, StepType, WorkflowDefinition
from flows.states import OnError

_PURE_FIELDS = frozenset({"source", "operations", "schema"})
"""A config with others does more than compute a table."""
_LOCAL_SOURCES = frozenset({"rows", "input", "path"})
_SOURCE_KEYS = frozenset({"rows", "input", "path", "url", "database"})
_LOOSE_SCHEMA = frozenset({"type", "title", "description"})
_WORD = re.compile(r"[A-Za-z][A-Za-z0-9_]*")


def with_fusions(
    steps: Sequence[PlanStep], definition: WorkflowDefinition, agents: Mapping[str, AgentSpec]
) -> tuple[PlanStep, ...]:
    """The steps of the outermost body, those that fuse told into which; `agents` are keyed as in the steps."""
    if sum(_is_data(step, agents) for step in steps) < 2:
        return tuple(steps)
    written = {spec.step_key: spec for spec in definition.steps}
    mentions = _Mentions(definition)
    readers: dict[str, list[PlanStep]] = {step.step_key: [] for step in steps}
    for step in steps:
        for key in step.depends_on:
            readers[key].append(step)
    fused_into: dict[str, str] = {}
    lazy_inputs: dict[str, list[str]] = {}
    for step in steps:
        if len(readers[step.step_key]) != 1 or not _may_wait(step, written[step.step_key], agents):
            continue
        reader = readers[step.step_key][0]
        name = _whole_input(reader, step.step_key, agents)
        if name is not None and mentions.only_in(step.step_key, reader.step_key):
            fused_into[step.step_key] = reader.step_key
            lazy_inputs.setdefault(reader.step_key, []).append(name)
    return tuple(_told(step, fused_into, lazy_inputs) for step in steps)


def _told(step: PlanStep, fused_into: Mapping[str, str], lazy_inputs: Mapping[str, list[str]]) -> PlanStep:
    into, lazy = fused_into.get(step.step_key), tuple(lazy_inputs.get(step.step_key, ()))
    return step.model_copy(update={"fused_into": into, "lazy_inputs": lazy}) if into or lazy else step


def _is_data(step: PlanStep, agents: Mapping[str, AgentSpec]) -> bool:
    return step.type is StepType.AGENT and agents[step.agent or ""].type is AgentType.DATA


def _may_wait(step: PlanStep, spec: StepSpec, agents: Mapping[str, AgentSpec]) -> bool:
    """Whether nothing but its table comes of the step, and nothing secret or far away goes into it."""
    if spec.materialize or not _is_data(step, agents) or step.on_error is not OnError.FAIL:
        return False
    if step.fallback or step.fallback_of or step.gates or step.timeout_seconds is not None:
        return False
    agent = agents[step.agent or ""]
    documents = (agent.config, step.inputs)
    return (
        agent.output_schema is None
        and _PURE_FIELDS.issuperset(agent.config)
        and all(_is_local(source) for source in _sources(agent.config))
        and not any(use.path[0] == "secrets" for document in documents for use in uses(document, ""))
    )


def _sources(document: Any) -> Iterator[Mapping[str, Any]]:
    """All objects in a config that say where rows come from."""
    if isinstance(document, Mapping):
        if _SOURCE_KEYS.intersection(document) and "op" not in document:
            yield document
        for value in document.values():
            yield from _sources(value)
    elif isinstance(document, list):
        for value in document:
            yield from _sources(value)


def _is_local(source: Mapping[str, Any]) -> bool:
    return _LOCAL_SOURCES.issuperset(_SOURCE_KEYS.intersection(source))


def _whole_input(reader: PlanStep, key: str, agents: Mapping[str, AgentSpec]) -> str | None:
    """The one input of `reader` that is the output of the step `key`, as a whole and as nothing but a table."""
    if not _is_data(reader, agents) or reader.gates or reader.fallback_of:
        return None
    whole = [name for name, value in reader.inputs.items() if isinstance(value, str) and bare(value) == f"{key}.output"]
    if len(whole) != 1:
        return None
    agent = agents[reader.agent or ""]
    schema = ((agent.input_schema or {}).get("properties") or {}).get(whole[0], {})
    is_loose = isinstance(schema, dict) and _LOOSE_SCHEMA.issuperset(schema)
    reads_parts = any(use.path[0] == "inputs" and use.path[1:2] in ((), (whole[0],)) for use in uses(agent.config, ""))
    return whole[0] if is_loose and not reads_parts else None


class _Mentions:
    """Where a definition's texts name steps; `steps` alone names them all."""

    def __init__(self, definition: WorkflowDefinition) -> None:
        self._by_step = {spec.step_key: _words(spec.inputs, spec.config, spec.default) for spec in definition.steps}
        self._outside = set(_words(definition.output))

    def only_in(self, key: str, reader: str) -> bool:
        """Whether no text but one of the step `reader` names the step `key`."""
        if {key, "steps"} & self._outside or self._by_step[reader].count(key) > 1 or "steps" in self._by_step[reader]:
            return False
        return not any({key, "steps"} & set(words) for step, words in self._by_step.items() if step != reader)


def _words(*documents: Any) -> list[str]:
    return [word for text in _texts(documents) for word in _WORD.findall(text)]


def _texts(value: Any) -> Iterator[str]:
    if isinstance(value, str):
        yield value
    elif isinstance(value, Mapping):
        for each in value.values():
            yield from _texts(each)
    elif isinstance(value, list | tuple):
        for each in value:
            yield from _texts(each)
