"""What templates may name: checked against the definition when it is saved, before any value exists."""

from collections.abc import Collection, Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Self

from agents.errors import Problem
from agents.spec import AgentSpec, AgentType
from flows.compiler.expressions import Use
from flows.compiler.graph import StepGraph, listed, suggestion
from flows.compiler.nesting import Body, Placed
from flows.compiler.nodes import path_text
from flows.compiler.outputs import output_schema
from flows.compiler.schema_fields import SchemaFields, is_open
from flows.spec import LoopConfig

KnownSecrets = Mapping[str | None, Collection[str]]
"""The names that something in a project may use, by the project's id; None stands for what is in no project."""

NOT_FOR_WORKFLOWS = "a nested run's inputs are on record, so no secrets are among them; let the steps inside name them"

_ALWAYS = frozenset({"env", "execution", "workflow"})
_IN_LOOPS = frozenset({"item", "index", "previous"})
_SUGGESTIONS = 50
_IN_FILTERS = frozenset({"event", "inputs", "execution", "workflow"})


@dataclass(frozen=True, slots=True)
class LoopNames:
    """Which of `item` and `previous` a LOOP gives its body; `index` there always is."""

    item: bool
    previous: bool

    @classmethod
    def of(cls, loop: LoopConfig) -> Self:
        repeats = loop.while_ is not None
        return cls(item=not repeats, previous=repeats or loop.max_concurrency == 1)


class Surroundings:
    """What all bodies of one definition share."""

    def __init__(
        self,
        agents: Mapping[str, AgentSpec],
        input_schema: Mapping[str, Any] | None,
        known_secrets: Collection[str],
        places: Mapping[str, str],
    ) -> None:
        self.agents = agents
        self.input_schema = input_schema
        self.input_fields = SchemaFields(input_schema)
        self.secrets = known_secrets
        self.places = places
        """Where a key stands, for one that is looked for in the wrong body."""
        self._agent_fields: dict[str, SchemaFields] = {}
        self._suggested = 0

    def suggestion(self, name: str, known: list[str]) -> str:
        """What might have been meant; close names are looked for a few times only, since that takes long."""
        self._suggested += 1
        return suggestion(name, known) if self._suggested <= _SUGGESTIONS else listed(known)

    def fields_of(self, step: Placed) -> SchemaFields:
        """What is known of a step's output before it has run."""
        if step.config is not None:
            return SchemaFields(output_schema(step))
        key = step.spec.agent_id or ""
        if key not in self._agent_fields:
            agent = self.agents.get(key)
            self._agent_fields[key] = SchemaFields(agent.output_schema if agent else None)
        return self._agent_fields[key]


class BodyScope:
    """The names that the steps of one body can use: their own body's, and what runs before the bodies around it."""

    def __init__(
        self, graph: StepGraph, shared: Surroundings, outer: "BodyScope | None" = None, container: Placed | None = None
    ) -> None:
        self.graph = graph
        self._shared = shared
        self._outer = outer
        self._container = container
        self._loop: LoopNames | None = outer._loop if outer is not None else None
        if container is not None and isinstance(container.config, LoopConfig):
            self._loop = LoopNames.of(container.config)
        self._fields: dict[str, SchemaFields] = {}

    def inside(self, container: Placed, body: Body) -> "BodyScope":
        """The scope of a body of `container`, which is one of this body's steps."""
        return BodyScope(StepGraph(body), self._shared, self, container)

    def input_problems(self, step: Placed, uses: Iterable[Use]) -> Iterator[Problem]:
        """Problems of what the inputs of a step name."""
        agent = self._shared.agents.get(step.spec.agent_id or "")
        for use in uses:
            if use.path[0] != "secrets":
                yield from self._problems(use, step.key, self._loop)
            elif agent is not None and agent.type is AgentType.WORKFLOW:
                yield _problem(use, "UNKNOWN_REFERENCE", NOT_FOR_WORKFLOWS)
            else:
                yield from secret_problems(use, self._shared.secrets)

    def config_problems(self, key: str, uses: Iterable[Use], loop: LoopConfig | None = None) -> Iterator[Problem]:
        """Problems of what the config of step `key` names; `loop` is the step's own where its names exist already."""
        names = LoopNames(item=False, previous=True) if loop is not None else self._loop
        for use in uses:
            if use.path[0] == "secrets":
                yield _problem(use, "UNKNOWN_REFERENCE", "secrets are handed to agents only, in the `inputs` of a step")
            else:
                yield from self._problems(use, key, names)

    def end_problems(self, uses: Iterable[Use]) -> Iterator[Problem]:
        """Problems of what is named where every step of the body has ended: the run's `output`, a LOOP's `collect`."""
        for use in uses:
            if use.path[0] == "secrets":
                whose = "an iteration's result" if self._outer is not None else "a run's output"
                yield _problem(use, "UNKNOWN_REFERENCE", f"secrets cannot be part of {whose}")
            else:
                yield from self._problems(use, None, self._loop)

    def shadow_problems(self) -> Iterator[Problem]:
        """Keys that hide a step that could be named here."""
        for key, step in self.graph.steps.items():
            found = self._outer_step(key)
            if found is not None and found[1]:
                message = f"`{key}` would hide the step {found[0].path}, which can be named here; choose another key"
                yield Problem(path=f"{step.path}.stepKey", code="DUPLICATE_STEP_KEY", message=message)

    def _problems(self, use: Use, key: str | None, loop: LoopNames | None) -> Iterator[Problem]:
        root = use.path[0]
        if root == "inputs":
            yield from self._workflow_input_problems(use)
        elif root == "steps" or self._holds(root):
            yield from self._step_problems(use, key)
        elif root in _IN_LOOPS:
            yield from _loop_problems(use, loop)
        elif root not in _ALWAYS:
            yield self._unknown_root(use)

    def _holds(self, key: Any) -> bool:
        return key in self.graph.steps or (self._outer is not None and self._outer._holds(key))

    def _unknown_root(self, use: Use) -> Problem:
        root = str(use.path[0])
        if root in self._shared.places:
            return _problem(use, "UNKNOWN_REFERENCE", self._elsewhere(root))
        names = [*self._visible(), "inputs", "secrets", *sorted(_ALWAYS)]
        message = f"`{root}` is neither a step nor another name; {self._shared.suggestion(root, names)}"
        return _problem(use, "UNKNOWN_REFERENCE", message)

    def _visible(self) -> list[str]:
        outer = self._outer._visible() if self._outer is not None else []
        return [*self.graph.steps, *outer]

    def _elsewhere(self, key: str) -> str:
        place = self._shared.places[key]
        outside = place.partition(".")[0]
        return f"step `{key}` is inside `{outside}` ({place}); outside of it only the output of `{outside}` can be read"

    def _step_problems(self, use: Use, key: str | None) -> Iterator[Problem]:
        named, rest = (use.path[1:2], use.path[2:]) if use.path[0] == "steps" else (use.path[:1], use.path[1:])
        step = named[0] if named else None
        if not isinstance(step, str):
            yield _problem(use, "UNKNOWN_REFERENCE", "name one step, as in `steps.<stepKey>.output`")
            return
        found = self._step(step, key)
        if found is None:
            yield _problem(use, "UNKNOWN_REFERENCE", self._not_there(step))
        elif not found[1]:
            yield _problem(use, "NOT_AN_ANCESTOR", self._not_before(step, key))
        elif not rest or rest[0] != "output":
            yield _problem(use, "UNKNOWN_REFERENCE", f"a step has only `output`; write `{step}.output`")
        else:
            yield from self._output_field_problems(use, found[0], rest[1:])

    def _step(self, name: str, key: str | None) -> tuple[Placed, bool] | None:
        """The step that `name` means for step `key` (for what comes last: None), and whether it has run by then."""
        if name in self.graph.steps:
            return self.graph.steps[name], key is None or self.graph.runs_before(name, key)
        return self._outer_step(name)

    def _outer_step(self, name: str) -> tuple[Placed, bool] | None:
        if self._outer is None or self._container is None:
            return None
        return self._outer._step(name, self._container.key)

    def _not_there(self, step: str) -> str:
        if step in self._shared.places:
            return self._elsewhere(step)
        return f"there is no step `{step}`; {self.graph.suggestion(step)}"

    def _not_before(self, step: str, key: str | None) -> str:
        if step in self.graph.steps and key is not None:
            return _not_before(step, key)
        around = self._around(step)
        if step == around:
            return f"step `{step}` has no output before the steps inside it have ended"
        return f"step `{step}` need not have run before `{around}`; add it to the `dependsOn` of `{around}`"

    def _around(self, step: str) -> str:
        """The container around this body that stands beside `step`."""
        assert self._outer is not None
        assert self._container is not None
        return self._container.key if step in self._outer.graph.steps else self._outer._around(step)

    def _output_field_problems(self, use: Use, step: Placed, fields: tuple[str | int, ...]) -> Iterator[Problem]:
        known_fields = self._fields.get(step.path) or self._fields.setdefault(step.path, self._shared.fields_of(step))
        excluded = known_fields.excluded(fields)
        if excluded is not None:
            position, known = excluded
            what = "outputSchema" if step.config is None else "output"
            message = f"the {what} of `{step.key}` has no `{fields[position]}` there; "
            yield _problem(use, "UNKNOWN_FIELD", message + suggestion(str(fields[position]), known))

    def _workflow_input_problems(self, use: Use) -> Iterator[Problem]:
        """Inputs that the schema has no place for. Under an optional use only what it forbids outright is a problem."""
        schema, fields = self._shared.input_schema, use.path[1:]
        if schema is None or not fields:
            return
        excluded = self._shared.input_fields.excluded(fields)
        first_unknown = not use.optional and not is_open(schema) and fields[0] not in schema["properties"]
        if excluded is None and not first_unknown:
            return
        position, known = excluded if excluded is not None else (0, list(schema["properties"]))
        message = f"the inputSchema has no `{fields[position]}` there; {suggestion(str(fields[position]), known)}"
        yield _problem(use, "UNKNOWN_INPUT", message)


def filter_problems(uses: Iterable[Use]) -> Iterator[Problem]:
    """Problems of what an event's `filter` names: it is looked at wherever the event arrives, without the run."""
    for use in uses:
        root = use.path[0]
        if root not in _IN_FILTERS:
            names = ", ".join(f"`{name}`" for name in sorted(_IN_FILTERS))
            yield _problem(use, "UNKNOWN_REFERENCE", f"a filter knows only {names}")
        elif root == "event" and len(use.path) > 1 and use.path[1] not in ("type", "data"):
            yield _problem(use, "UNKNOWN_REFERENCE", "an event has `type` and `data`")


def secret_problems(use: Use, known: Collection[str]) -> Iterator[Problem]:
    """A secret that there is not. Its name is shown as written; which others there are is not for everybody to know who
    may check a definition."""
    name = use.path[1] if len(use.path) > 1 else None
    if not isinstance(name, str):
        yield _problem(use, "UNKNOWN_REFERENCE", "name one secret, as in `secrets.NAME`")
    elif name not in known:
        yield _problem(use, "UNKNOWN_SECRET", f"there is no secret `{name}`; store it first")


def _loop_problems(use: Use, loop: LoopNames | None) -> Iterator[Problem]:
    root = use.path[0]
    if loop is None:
        yield _problem(use, "UNKNOWN_REFERENCE", f"`{root}` exists only inside a LOOP")
    elif root == "item" and not loop.item:
        yield _problem(use, "UNKNOWN_REFERENCE", "a LOOP with `while` has no `item`; read `index` or `previous.output`")
    elif root == "previous" and not loop.previous:
        message = "exists only where iterations follow each other: set the LOOP's `maxConcurrency` to 1"
        yield _problem(use, "UNKNOWN_REFERENCE", message)
    elif root == "previous" and len(use.path) > 1 and use.path[1] != "output":
        yield _problem(use, "UNKNOWN_REFERENCE", "the iteration before has only `output`; write `previous.output`")


def _not_before(step: str, key: str) -> str:
    if step == key:
        return f"step `{key}` cannot read its own output"
    return f"step `{step}` need not have run before `{key}`; add it to `dependsOn`"


def _problem(use: Use, code: str, message: str) -> Problem:
    return Problem(path=use.where, code=code, message=f"`{path_text(use.path)}`: {message}")
