"""The shape of a definition: which keys there are and what kind of value each takes, at every depth.

The configs of steps are typed by the step's type (`CONFIGS`); those of LOOP and PARALLEL hold steps of their own. They
are read level by level, so that each finding bears its exact path and no document is too deep to be looked at.
"""

from collections.abc import Callable, Iterator, Mapping
from difflib import get_close_matches
from itertools import islice
from typing import Any, NamedTuple

from pydantic import BaseModel, ValidationError
from pydantic_core import ErrorDetails

from agents.errors import Problem
from flows.compiler.schemas import joined
from flows.errors import DefinitionInvalid
from flows.spec import (
    Branch,
    ConditionCase,
    ConditionConfig,
    LoopConfig,
    ParallelConfig,
    RetryPolicy,
    Schedule,
    StepSpec,
    StepType,
    WaitConfig,
    WorkflowDefinition,
    WorkflowLimits,
)

MAX_DEPTH = 8
"""Bodies inside bodies."""
MAX_SHAPE_PROBLEMS = 200

Config = ConditionConfig | LoopConfig | ParallelConfig | WaitConfig
Change = Callable[[dict[str, Any]], dict[str, Any]]
CONFIGS: Mapping[StepType, type[Config]] = {
    StepType.CONDITION: ConditionConfig,
    StepType.LOOP: LoopConfig,
    StepType.PARALLEL: ParallelConfig,
    StepType.WAIT: WaitConfig,
}
_HELD: Mapping[str, type[BaseModel]] = {
    "steps": StepSpec,
    "retry": RetryPolicy,
    "limits": WorkflowLimits,
    "schedule": Schedule,
    "cases": ConditionCase,
    "branches": Branch,
}
"""What stands under a key that holds objects of ours."""


def parse_definition(document: Any) -> WorkflowDefinition:
    """The definition in `document`; raises `DefinitionInvalid` with everything that is wrong with its shape."""
    steps = document.get("steps") if isinstance(document, Mapping) else None
    inner = list(islice(_config_problems(steps), MAX_SHAPE_PROBLEMS))
    try:
        definition = WorkflowDefinition.model_validate(document)
    except ValidationError as error:
        raise DefinitionInvalid([*shape_problems(error), *inner][:MAX_SHAPE_PROBLEMS]) from error
    if inner:
        raise DefinitionInvalid(inner)
    return definition


def shape_problems(error: ValidationError, root: type[BaseModel] = WorkflowDefinition, path: str = "") -> list[Problem]:
    """Pydantic's findings about a `root` at `path`, as problems with JSON paths; values are never repeated."""
    found = error.errors(include_url=False, include_context=False, include_input=False)[:MAX_SHAPE_PROBLEMS]
    return [_shape_problem(item, root, path) for item in found]


class Written(NamedTuple):
    """An object that stands where a step may, and in how many bodies."""

    path: str
    step: dict[str, Any]
    depth: int


def written_steps(steps: Any, path: str = "steps") -> Iterator[Written]:
    """Every step of a document, read or not, down to the deepest body that is allowed."""
    waiting = [(path, steps, 0)]
    while waiting:
        where, body, depth = waiting.pop()
        for position, step in enumerate(body if isinstance(body, list | tuple) else ()):
            if not isinstance(step, dict):
                continue
            at = f"{where}[{position}]"
            yield Written(at, step, depth)
            if depth < MAX_DEPTH:
                waiting.extend((inner, steps, depth + 1) for inner, steps in written_bodies(at, step))


def written_bodies(path: str, step: Mapping[str, Any]) -> list[tuple[str, Any]]:
    """The lists of steps in the config of a step at `path`, whatever is in them."""
    config = step.get("config")
    if not isinstance(config, Mapping):
        return []
    if step.get("type") == StepType.LOOP:
        return [(f"{path}.config.steps", config.get("steps"))]
    branches = config.get("branches")
    if step.get("type") != StepType.PARALLEL or not isinstance(branches, Mapping):
        return []
    return [
        (joined(f"{path}.config.branches", [str(name), "steps"]), branch.get("steps"))
        for name, branch in branches.items()
        if isinstance(branch, Mapping)
    ]


def agent_of(step: Mapping[str, Any]) -> Any:
    """What a written step names as its agent."""
    return step.get("agentId", step.get("agent_id"))


def rewritten(steps: Any, change: Change, depth: int = 0) -> Any:
    """A copy of a list of written steps with `change` made to each of them, those inside others too."""
    if not isinstance(steps, list | tuple) or depth > MAX_DEPTH:
        return steps
    return [_rewritten(step, change, depth) if isinstance(step, dict) else step for step in steps]


def rewritten_config(kind: Any, config: Any, change: Change, depth: int = 0) -> Any:
    """The same for what is inside the config of one step of the type `kind`."""
    if not isinstance(config, Mapping):
        return config
    if kind == StepType.LOOP and "steps" in config:
        return {**config, "steps": rewritten(config["steps"], change, depth + 1)}
    branches = config.get("branches")
    if kind != StepType.PARALLEL or not isinstance(branches, Mapping):
        return config
    inner = {
        name: {**branch, "steps": rewritten(branch.get("steps"), change, depth + 1)}
        if isinstance(branch, Mapping) and "steps" in branch
        else branch
        for name, branch in branches.items()
    }
    return {**config, "branches": inner}


def _rewritten(step: dict[str, Any], change: Change, depth: int) -> dict[str, Any]:
    changed = change(step)
    if "config" not in changed:
        return changed
    return {**changed, "config": rewritten_config(step.get("type"), changed["config"], change, depth)}


def _config_problems(steps: Any) -> Iterator[Problem]:
    for path, step, depth in written_steps(steps):
        kind, config = step.get("type"), step.get("config", {})
        model = CONFIGS.get(StepType(kind)) if isinstance(kind, str) and kind in CONFIGS else None
        if model is None or not isinstance(config, Mapping):
            continue
        try:
            model.model_validate(config)
        except ValidationError as error:
            yield from shape_problems(error, model, f"{path}.config")
        if depth >= MAX_DEPTH and written_bodies(path, step):
            message = f"steps are nested at most {MAX_DEPTH} deep; move the inner ones into a workflow of their own"
            yield Problem(path=f"{path}.config", code="TOO_DEEP", message=message)


def _shape_problem(item: ErrorDetails, root: type[BaseModel], above: str) -> Problem:
    path = joined(above, item["loc"])
    if item["type"] == "extra_forbidden":
        name = str(item["loc"][-1])
        near = get_close_matches(name, _fields(_model_at(item["loc"], root)), n=1) if len(name) <= _LONGEST else []
        hint = f"did you mean `{near[0]}`?" if near else "remove it"
        return Problem(path=path, code="UNKNOWN_FIELD", message=f"`{_shown(name)}` is not known here; {hint}")
    if item["type"] == "missing":
        return Problem(path=path, code="MISSING_FIELD", message=f"`{item['loc'][-1]}` is required")
    return Problem(path=path, code="BAD_VALUE", message=item["msg"].removeprefix("Value error, "))


_LONGEST = 100


def _shown(name: str) -> str:
    return name if len(name) <= _LONGEST else f"{name[:_LONGEST]}…"


def _model_at(location: tuple[int | str, ...], root: type[BaseModel]) -> type[BaseModel]:
    """The model whose unknown field stands at `location`."""
    held = [_HELD[part] for part in location[:-1] if isinstance(part, str) and part in _HELD]
    return held[-1] if held else root


def _fields(model: type[BaseModel]) -> list[str]:
    return [field.alias or name for name, field in model.model_fields.items()]
