"""What each type of step needs and refuses, beyond the shape of its config."""

from collections.abc import Iterator, Mapping
from typing import Any

from agents.errors import Problem
from flows.compiler.expressions import Use, bare, expression_problems, expression_uses, syntax_problems, uses
from flows.compiler.graph import is_name
from flows.compiler.nesting import Placed
from flows.compiler.wait_rules import templated_fields, wait_problems
from flows.spec import ConditionConfig, LoopConfig, ParallelConfig, StepSpec, StepType, WaitConfig
from flows.states import OnError

MAX_BRANCH_NAME = 100


def step_problems(step: Placed) -> Iterator[Problem]:
    """Problems of one step by itself; what it names is left to the scopes."""
    yield from _retry_problems(step)
    yield from _foreign_problems(step)
    match step.config:
        case ConditionConfig() as condition:
            yield from _condition_problems(condition, f"{step.path}.config")
        case LoopConfig() as loop:
            yield from _loop_problems(loop, f"{step.path}.config")
        case ParallelConfig() as parallel:
            yield from _parallel_problems(parallel, f"{step.path}.config")
        case WaitConfig() as wait:
            yield from wait_problems(wait, f"{step.path}.config")


def _retry_problems(step: Placed) -> Iterator[Problem]:
    spec = step.spec
    if spec.on_error is not OnError.RETRY:
        if spec.retry is not None:
            message = "`retry` has an effect only with `onError: RETRY`; set it, or remove `retry`"
            yield _problem(f"{step.path}.retry", "BAD_RETRY", message)
    elif spec.type is not StepType.AGENT:
        hint = "put it on the steps inside" if step.bodies else "write FAIL or CONTINUE"
        yield _problem(f"{step.path}.onError", "BAD_RETRY", f"a {spec.type} step is not repeated; {hint}")


def _foreign_problems(step: Placed) -> Iterator[Problem]:
    """What only AGENT steps have."""
    spec = step.spec
    if spec.type is StepType.AGENT:
        return
    if spec.agent_id is not None:
        yield _unfit(f"{step.path}.agentId", spec, "runs no agent")
    if spec.inputs:
        yield _unfit(f"{step.path}.inputs", spec, "takes no inputs; its `config` says what it does")
    if spec.type is StepType.WAIT and spec.timeout_seconds is not None:
        yield _unfit(f"{step.path}.timeoutSeconds", spec, "has its timeout in `config.timeoutSeconds`")


def _condition_problems(config: ConditionConfig, path: str) -> Iterator[Problem]:
    with_cases = "cases" in config.model_fields_set
    if with_cases and config.expression is not None:
        message = "write either `expression` with `then` and `else`, or `cases` with `default`"
        yield _problem(f"{path}.expression", "BAD_CONFIG", message)
    elif with_cases and not config.cases:
        yield _problem(f"{path}.cases", "BAD_CONFIG", "there is at least one case")
    elif not with_cases and config.expression is None:
        yield _problem(f"{path}.expression", "MISSING_FIELD", "a CONDITION has an `expression`, or `cases`")
    for name in ("then", "otherwise") if with_cases else ("default",):
        if getattr(config, name):
            written = "else" if name == "otherwise" else name
            belongs = "`default`, beside `cases`" if with_cases else "`else`, beside `expression`"
            yield _problem(f"{path}.{written}", "BAD_CONFIG", f"has no effect here; what is meant may be {belongs}")
    for where, text in condition_expressions(config, path):
        yield from expression_problems(text, where)


def _loop_problems(config: LoopConfig, path: str) -> Iterator[Problem]:
    if config.while_ is not None and config.items is not None:
        yield _problem(f"{path}.while", "BAD_CONFIG", "write either `items` or `while`")
    elif config.while_ is None and config.items is None:
        yield _problem(f"{path}.items", "MISSING_FIELD", "a LOOP has `items`, or `while`")
    if config.while_ is not None:
        yield from expression_problems(config.while_, f"{path}.while")
        if config.batch_size > 1:
            yield _problem(f"{path}.batchSize", "BAD_CONFIG", "batches are made of `items`; a `while` loop has none")
    yield from _items_problems(config.items, f"{path}.items")
    yield from syntax_problems(config.collect, f"{path}.collect")
    if not config.steps:
        yield _problem(f"{path}.steps", "EMPTY_BODY", "a LOOP has at least one step inside")


def _items_problems(items: Any, path: str) -> Iterator[Problem]:
    if isinstance(items, str):
        yield from expression_problems(items, path)
    elif isinstance(items, list | tuple | Mapping):
        yield from syntax_problems(items, path)
    if items is not None and not isinstance(items, str | list | tuple | Mapping):
        yield _problem(path, "BAD_VALUE", "write an expression that gives a list or a dataset, or a list")


def _parallel_problems(config: ParallelConfig, path: str) -> Iterator[Problem]:
    if not config.branches:
        yield _problem(f"{path}.branches", "EMPTY_BODY", "a PARALLEL step has at least one branch")
    for name, branch in config.branches.items():
        where = f"{path}.branches.{name}"
        if not is_name(name) or len(name) > MAX_BRANCH_NAME:
            message = f"a branch's name has at most {MAX_BRANCH_NAME} letters, digits and `_` and starts with a letter"
            yield _problem(where, "BAD_BRANCH_NAME", message)
        if not branch.steps:
            yield _problem(f"{where}.steps", "EMPTY_BODY", "a branch has at least one step")


def condition_expressions(config: ConditionConfig, path: str) -> Iterator[tuple[str, str]]:
    """Each expression of a CONDITION with its path."""
    if config.expression is not None:
        yield f"{path}.expression", config.expression
    for index, case in enumerate(config.cases):
        yield f"{path}.cases[{index}].when", case.when


def config_uses(step: Placed) -> Iterator[Use]:
    """What the config of a step names when the step begins."""
    path = f"{step.path}.config"
    match step.config:
        case ConditionConfig() as condition:
            for where, text in condition_expressions(condition, path):
                yield from expression_uses(text, where)
        case LoopConfig(items=str() as items):
            yield from expression_uses(items, f"{path}.items")
        case LoopConfig(items=items):
            yield from uses(items, f"{path}.items")
        case WaitConfig() as wait:
            for name, value in templated_fields(wait):
                yield from uses(value, f"{path}.{name}")


def items_document(items: Any) -> Any:
    """`items` as a document to render: an expression stands in braces."""
    return f"{{{{ {bare(items)} }}}}" if isinstance(items, str) else items


def _unfit(path: str, spec: StepSpec, why: str) -> Problem:
    return _problem(path, "BAD_CONFIG", f"a {spec.type} step {why}")


def _problem(path: str, code: str, message: str) -> Problem:
    return Problem(path=path, code=code, message=message)
