"""A definition as a tree of bodies: each step where it stands, with its config in its own type."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any, Literal, NamedTuple

from flows.compiler.schemas import joined
from flows.compiler.shape import CONFIGS, Config, parse_definition
from flows.spec import ConditionConfig, LoopConfig, ParallelConfig, StepSpec, StepType, WorkflowDefinition
from flows.states import OnError

_INSIDE = {StepType.LOOP: "steps", StepType.PARALLEL: "branches"}


@dataclass(frozen=True, slots=True)
class Placed:
    """One step. `config` is None of an AGENT step; `bodies` are those of a LOOP (one) or a PARALLEL."""

    path: str
    """In the document: `steps[2].config.steps[0]`."""
    spec: StepSpec
    config: Config | None
    bodies: "tuple[Body, ...]"

    @property
    def key(self) -> str:
        return self.spec.step_key


@dataclass(frozen=True, slots=True)
class Body:
    """Steps that stand beside each other. `place` is what their record's paths begin with: `each`, `both.left`."""

    path: str
    steps: tuple[Placed, ...]
    place: str = ""
    branch: str | None = None

    def at(self, key: str) -> str:
        """The path, without indexes, of the step `key` of this body."""
        return f"{self.place}.{key}" if self.place else key


NamingKind = Literal["then", "else", "case", "default", "fallback"]


class Naming(NamedTuple):
    """`by` names `key` at `path`, so that `key` waits for it."""

    by: str
    key: str
    kind: NamingKind
    path: str


def body_of(definition: WorkflowDefinition) -> Body:
    """The outermost body; raises `DefinitionInvalid` where a step's config has not the shape of its type."""
    try:
        return _body(definition.steps, "steps")
    except ValueError:
        parse_definition(definition.model_dump(mode="json", by_alias=True))
        raise


def all_steps(body: Body) -> Iterator[Placed]:
    """Every step at any depth, each before those inside it."""
    for step in body.steps:
        yield step
        for inner in step.bodies:
            yield from all_steps(inner)


def all_bodies(body: Body) -> Iterator[Body]:
    """The body and every one inside."""
    yield body
    for step in body.steps:
        for inner in step.bodies:
            yield from all_bodies(inner)


def namings(step: Placed) -> Iterator[Naming]:
    """The steps that `step` names beside its `dependsOn`, in written order."""
    key, path = step.key, f"{step.path}.config"
    if isinstance(step.config, ConditionConfig):
        yield from _named(key, "then", f"{path}.then", step.config.then)
        yield from _named(key, "else", f"{path}.else", step.config.otherwise)
        for index, case in enumerate(step.config.cases):
            yield from _named(key, "case", f"{path}.cases[{index}].then", case.then)
        yield from _named(key, "default", f"{path}.default", step.config.default)
    if step.spec.fallback is not None:
        yield Naming(key, step.spec.fallback, "fallback", f"{step.path}.fallback")


def own_config(spec: StepSpec) -> dict[str, Any]:
    """The config of a step without the steps inside it."""
    inside = _INSIDE.get(spec.type)
    return {name: value for name, value in spec.config.items() if name != inside}


def continues(spec: StepSpec) -> bool:
    """Whether what waits for the step goes on when its last attempt has failed."""
    if spec.on_error is OnError.RETRY:
        return spec.after_retries == "CONTINUE"
    return spec.on_error is OnError.CONTINUE


def _named(by: str, kind: NamingKind, path: str, keys: Sequence[str]) -> Iterator[Naming]:
    for index, key in enumerate(keys):
        yield Naming(by, key, kind, f"{path}[{index}]")


def _body(steps: Sequence[StepSpec], path: str, place: str = "", branch: str | None = None) -> Body:
    placed = tuple(_placed(step, f"{path}[{index}]", place) for index, step in enumerate(steps))
    return Body(path=path, steps=placed, place=place, branch=branch)


def _placed(step: StepSpec, path: str, place: str) -> Placed:
    model = CONFIGS.get(step.type)
    config = model.model_validate(step.config) if model is not None else None
    at = f"{place}.{step.step_key}" if place else step.step_key
    return Placed(path=path, spec=step, config=config, bodies=_bodies(config, f"{path}.config", at))


def _bodies(config: Config | None, path: str, place: str) -> tuple[Body, ...]:
    if isinstance(config, LoopConfig):
        return (_body(config.steps, f"{path}.steps", place),)
    if not isinstance(config, ParallelConfig):
        return ()
    return tuple(
        _body(branch.steps, joined(f"{path}.branches", [name, "steps"]), f"{place}.{name}", name)
        for name, branch in config.branches.items()
    )
