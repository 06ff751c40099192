"""MiniJinja, behind the gate that `parser` is: a checked tree is written out again as source that only it can make.

Members, `+`, `*`, `~` and filters go through our own functions, because MiniJinja 3.0 by itself hands out the methods
of Python objects (`inputs.items`), calls them (`rows.append(1)`), turns missing data into null without a word inside
lists and branches, repeats lists without bound and overflows the native stack on long chains. What is left to it is
the order of evaluation, comparison and arithmetic. A whole number that arithmetic gives is an integer, `4 / 2` too.
"""

import json
import threading
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from minijinja import Environment, TemplateError

from flows.compiler.filters import FILTERS
from flows.compiler.nodes import (
    Chain,
    DictOf,
    Dig,
    Filter,
    ListOf,
    Literal,
    Node,
    Part,
    Reference,
    Slice,
    Ternary,
    Test,
    Unary,
    path_text,
)
from flows.compiler.operations import added, concatenated, member, multiplied, passes, sliced
from flows.compiler.values import within_limit
from flows.errors import ExpressionFailed, UnresolvedReference

_FUEL = 100_000
_MAX_WORK = 1_000_000
"""List items (or 64 characters each) that the functions of one evaluation may read together."""
_SHOWN_KEYS = 20


@dataclass(frozen=True, slots=True)
class Program:
    """An expression ready for `evaluate`. `labels` name what members are taken of, for messages."""

    text: str
    root: Node
    source: str
    references: tuple[Reference, ...]
    labels: tuple[str, ...]


def program(text: str, root: Node) -> Program:
    """`root`, which was read from `text`, as a program."""
    writer = _Writer()
    source = writer.write(root)
    return Program(text, root, source, tuple(writer.references), tuple(writer.labels))


def evaluate(compiled: Program, scope: Mapping[str, Any]) -> Any:
    """The value. A bare reference gives the very object that it names; all else is bounded by `values.MAX_OUTPUT`."""
    if isinstance(compiled.root, Reference):
        return lookup(scope, compiled.root.path)
    return _engine().run(compiled, scope)


def lookup(scope: Mapping[str, Any], path: tuple[Part, ...]) -> Any:
    """What `path` names in `scope`; raises `UnresolvedReference` with the part that is missing and what there is."""
    value: Any = scope
    for position, part in enumerate(path):
        try:
            value = member(value, (part,), lenient=False)
        except LookupError as error:
            raise missing_part(path_text(path[: position + 1]), path_text(path[:position]), value) from error
    return value


def missing_part(path: str, owner: str, value: Any) -> UnresolvedReference:
    """The error for `path`, when `value` (named `owner`) has no such part."""
    message = f"`{path}` is missing; {_contents(owner, value)}"
    return UnresolvedReference(message, path=path, hint="correct the reference or add `| default(…)`")


def _contents(owner: str, value: Any) -> str:
    subject = f"`{owner}`" if owner else "the scope"
    if value is None:
        return f"{subject} is null"
    if isinstance(value, Mapping):
        keys = ", ".join(str(key) for key in list(value)[:_SHOWN_KEYS])
        more = ", …" if len(value) > _SHOWN_KEYS else ""
        return f"{subject} has: {keys}{more}" if keys else f"{subject} is empty"
    if isinstance(value, list | tuple):
        return f"{subject} has {len(value)} item(s)"
    return f"{subject} is a single value without fields"


class _Writer:
    """Writes a tree as MiniJinja source, every operation in parentheses."""

    def __init__(self) -> None:
        self.references: list[Reference] = []
        self.labels: list[str] = []

    def write(self, node: Node) -> str:
        match node:
            case Literal(value=value):
                return _literal(value)
            case Reference(optional=optional):
                self.references.append(node)
                return f"{'maybe' if optional else 'ref'}({len(self.references) - 1})"
            case Dig(base=base, keys=keys, optional=optional):
                self.labels.append(path_text(base.path) if isinstance(base, Reference) else "(…)")
                label = len(self.labels) - 1
                return self._call("find" if optional else "dig", base, *keys, before=f"{label}, ")
            case Slice(base=base, start=start, stop=stop):
                nothing = Literal(None)
                return self._call("slice", base, start or nothing, stop or nothing)
            case Test(name=name, operand=operand):
                return self._call("test", operand, Literal(name))
            case Filter():
                return self._filter(node)
        return self._structure(node)

    def _structure(self, node: Node) -> str:
        match node:
            case ListOf(items=items):
                return f"[{', '.join(map(self.write, items))}]"
            case DictOf(items=pairs):
                written = (f"{self._call('cat', key)}: {self.write(value)}" for key, value in pairs)
                return f"{{{', '.join(written)}}}"
            case Unary(operator=operator, operand=operand):
                return f"({operator} {self.write(operand)})"
            case Chain(operator=operator, operands=operands):
                return self._chain(operator, operands)
            case Ternary(condition=condition, then=then, otherwise=otherwise):
                return f"({self.write(then)} if {self.write(condition)} else {self.write(otherwise)})"
        raise AssertionError(node)

    def _chain(self, operator: str, operands: tuple[Node, ...]) -> str:
        function = {"+": "add", "*": "mul", "~": "cat"}.get(operator)
        if function is not None:
            return self._call(function, *operands)
        return f"({f' {operator} '.join(map(self.write, operands))})"

    def _filter(self, node: Filter) -> str:
        named = [f"{name}={self.write(value)}" for name, value in node.named]
        if node.optional:
            named.append("lenient=true")
        return self._call(f"filter_{node.name}", node.operand, *node.arguments, after=named)

    def _call(self, function: str, *arguments: Node, before: str = "", after: list[str] | None = None) -> str:
        return f"{function}({before}{', '.join([*map(self.write, arguments), *(after or [])])})"


def _literal(value: bool | int | float | str | None) -> str:
    if value is None:
        return "none"
    return json.dumps(value, ensure_ascii=False)


class _Engine:
    """One MiniJinja environment; belongs to one thread, because it counts the work of the evaluation under way."""

    def __init__(self) -> None:
        self._work = 0
        self._environment = Environment(undefined_behavior="strict", fuel=_FUEL, debug=False)
        for name, rule in FILTERS.items():
            self._add(f"filter_{name}", rule.function)
        for name, function in (("add", added), ("mul", multiplied), ("cat", concatenated)):
            self._add(name, function)
        self._add("slice", sliced)
        self._add("test", passes)

    def run(self, compiled: Program, scope: Mapping[str, Any]) -> Any:
        self._work = 0
        try:
            result = self._environment.eval_expr(compiled.source, **_access(compiled, scope))
            return within_limit(result)
        except UnresolvedReference:
            raise
        except ExpressionFailed as error:
            raise ExpressionFailed(f"`{_shortened(compiled.text)}`: {error.message}") from error
        except (TemplateError, ArithmeticError, ValueError, TypeError) as error:
            raise ExpressionFailed(_unfit(compiled.text)) from error

    def _add(self, name: str, function: Callable[..., Any]) -> None:
        def charged(*arguments: Any, **named: Any) -> Any:
            self._work += sum(map(_work, arguments))
            if self._work > _MAX_WORK:
                raise ExpressionFailed("it reads too much data; use a data step")
            return function(*arguments, **named)

        self._environment.add_function(name, charged)  # type: ignore[attr-defined] # its stub leaves it out


def _access(compiled: Program, scope: Mapping[str, Any]) -> dict[str, Callable[..., Any]]:
    """The functions by which a program reaches data; evaluated only where the expression really goes."""

    def ref(index: int) -> Any:
        return lookup(scope, compiled.references[index].path)

    def maybe(index: int) -> Any:
        return member(scope, compiled.references[index].path, lenient=True)

    def dig(label: int, base: Any, *keys: Any) -> Any:
        try:
            return member(base, keys, lenient=False)
        except LookupError as error:
            key, owner = error.args
            part = key if isinstance(key, str | int) else "…"
            name = compiled.labels[label]
            raise missing_part(f"{name}{path_text((part,), first=False)}", name, owner) from error

    def find(_label: int, base: Any, *keys: Any) -> Any:
        return member(base, keys, lenient=True)

    return {"ref": ref, "maybe": maybe, "dig": dig, "find": find}


def _work(value: Any) -> int:
    if isinstance(value, str):
        return len(value) // 64
    return len(value) if isinstance(value, list | tuple | Mapping) else 0


def _shortened(text: str) -> str:
    return text if len(text) <= 200 else f"{text[:200]}…"


def _unfit(text: str) -> str:
    return f"`{_shortened(text)}` cannot be computed from the values that it met (their types or sizes do not fit)"


class _Local(threading.local):
    def __init__(self) -> None:
        self.engine = _Engine()


_LOCAL = _Local()


def _engine() -> _Engine:
    return _LOCAL.engine
