"""The tree of an expression. Chains of `+`, `~`, `and`, `or`, `.` and `[]` are flat, so that long ones are not deep."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

Part = str | int


@dataclass(frozen=True, slots=True)
class Literal:
    """Null, a boolean, a number or a string."""

    value: bool | int | float | str | None


@dataclass(frozen=True, slots=True)
class Reference:
    """A path whose every part is written out: `load.output.rows[0]`. `optional` when `default` or `is defined` asks."""

    path: tuple[Part, ...]
    optional: bool = False


@dataclass(frozen=True, slots=True)
class Dig:
    """Members of a computed value, or members named by an expression: `(rows | first).name`, `rows[inputs.i]`."""

    base: "Node"
    keys: tuple["Node", ...]
    optional: bool = False


@dataclass(frozen=True, slots=True)
class Slice:
    """`base[start:stop]`; an end that is not written is None."""

    base: "Node"
    start: "Node | None"
    stop: "Node | None"


@dataclass(frozen=True, slots=True)
class ListOf:
    """`[a, b]`."""

    items: tuple["Node", ...]


@dataclass(frozen=True, slots=True)
class DictOf:
    """`{"a": b}`."""

    items: tuple[tuple["Node", "Node"], ...]


@dataclass(frozen=True, slots=True)
class Unary:
    """`not x` and `-x`."""

    operator: str
    operand: "Node"


@dataclass(frozen=True, slots=True)
class Chain:
    """One operator over two operands, or over more where it is one of `+ ~ and or`; read from the left."""

    operator: str
    operands: tuple["Node", ...]


@dataclass(frozen=True, slots=True)
class Filter:
    """`operand | name(arguments, key=argument)`."""

    name: str
    operand: "Node"
    arguments: tuple["Node", ...]
    named: tuple[tuple[str, "Node"], ...]
    optional: bool = False


@dataclass(frozen=True, slots=True)
class Test:
    """`operand is name`."""

    name: str
    operand: "Node"


@dataclass(frozen=True, slots=True)
class Ternary:
    """`then if condition else otherwise`."""

    condition: "Node"
    then: "Node"
    otherwise: "Node"


Node = Literal | Reference | Dig | Slice | ListOf | DictOf | Unary | Chain | Filter | Test | Ternary


def children(node: Node) -> Iterator[Node]:
    """The nodes directly below."""
    match node:
        case Dig(base=base, keys=keys):
            yield base
            yield from keys
        case Slice(base=base, start=start, stop=stop):
            yield from (part for part in (base, start, stop) if part is not None)
        case ListOf(items=items) | Chain(operands=items):
            yield from items
        case DictOf(items=pairs):
            for key, value in pairs:
                yield key
                yield value
        case Unary(operand=operand) | Test(operand=operand):
            yield operand
        case Filter(operand=operand, arguments=arguments, named=named):
            yield operand
            yield from arguments
            yield from (value for _, value in named)
        case Ternary(condition=condition, then=then, otherwise=otherwise):
            yield from (condition, then, otherwise)


def references_in(node: Node) -> Iterator[Reference]:
    """Every reference, each as often as it is written."""
    waiting = [node]
    while waiting:
        current = waiting.pop()
        if isinstance(current, Reference):
            yield current
        waiting.extend(children(current))


def path_text(path: tuple[Any, ...], *, first: bool = True) -> str:
    """`("load", "output", 0)` as people write it: `load.output[0]`; as the rest of a path when not `first`."""
    text = ""
    for part in path:
        if isinstance(part, int):
            text += f"[{part}]"
        elif part.isidentifier():
            text += f".{part}" if text or not first else part
        else:
            text += f"[{part!r}]"
    return text
