"""Nodes and edges of a definition, each node with its place."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Literal

from flows.compiler.graph import StepGraph
from flows.compiler.nesting import Naming, Placed, all_steps, body_of
from flows.spec import StepType, WorkflowDefinition
from flows.states import StepStatus
from platform_api.resources.workflows.graph.layout import HEIGHT, MARGIN, WIDTH, Point, layout

EdgeKind = Literal["dependency", "then", "else", "case", "default", "fallback"]


@dataclass(frozen=True, kw_only=True)
class Node:
    """One step; `position` is its upper left corner, `nested` how many steps are inside it, at whatever depth."""

    id: str
    type: StepType
    name: str
    position: Point
    status: StepStatus | None
    nested: int = 0


@dataclass(frozen=True, kw_only=True)
class Edge:
    """`bends` are points that the line passes between the two nodes, so that it keeps clear of others.

    `label` says where the source names the target: `then`, `case 0`; None of a plain dependency.
    """

    source: str
    target: str
    kind: EdgeKind = "dependency"
    label: str | None = None
    bends: tuple[Point, ...] = field(default=())


@dataclass(frozen=True, kw_only=True)
class Graph:
    """A workflow, laid out."""

    name: str
    nodes: tuple[Node, ...]
    edges: tuple[Edge, ...]

    @property
    def size(self) -> tuple[float, float]:
        """Width and height of all, with a margin around it."""
        right = max((node.position.x for node in self.nodes), default=0) + WIDTH
        bottom = max((node.position.y for node in self.nodes), default=0) + HEIGHT
        return right + MARGIN, bottom + MARGIN


def graph_of(name: str, definition: WorkflowDefinition, statuses: Mapping[str, StepStatus] | None) -> Graph:
    """The definition's steps in their order; without `statuses` no node has one."""
    steps = StepGraph(body_of(definition))
    placed = layout(steps.dependencies)
    nodes = tuple(
        Node(
            id=step.key,
            type=step.spec.type,
            name=step.spec.name or step.key,
            position=placed.nodes[step.key],
            status=statuses[step.key] if statuses else None,
            nested=_inside(step),
        )
        for step in steps.body.steps
    )
    edges = tuple(
        _edge(source, target, steps.namings[target], placed.bends.get((source, target), ()))
        for target, sources in steps.dependencies.items()
        for source in sources
    )
    return Graph(name=name, nodes=nodes, edges=edges)


def _inside(step: Placed) -> int:
    return sum(1 for body in step.bodies for _ in all_steps(body))


def _edge(source: str, target: str, namings: Sequence[Naming], bends: tuple[Point, ...]) -> Edge:
    mine = [naming for naming in namings if naming.by == source]
    if not mine:
        return Edge(source=source, target=target, bends=bends)
    label = ", ".join(dict.fromkeys(map(_label, mine)))
    return Edge(source=source, target=target, bends=bends, kind=mine[0].kind, label=label)


def _label(naming: Naming) -> str:
    if naming.kind != "case":
        return naming.kind
    return f"case {naming.path.rpartition('.cases[')[2].partition(']')[0]}"
