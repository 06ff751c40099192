"""Nodes and edges of a definition, each node with its place."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal

from flows.compiler.graph import StepGraph
from flows.compiler.nesting import body_of
from flows.spec import StepType, WorkflowDefinition
from flows.states import StepStatus
from platform_api.resources.workflows.graph.layout import HEIGHT, MARGIN, WIDTH, Point, layout


@dataclass(frozen=True, kw_only=True)
class Node:
    """One step; `position` is its upper left corner."""

    id: str
    type: StepType
    name: str
    position: Point
    status: StepStatus | None


@dataclass(frozen=True, kw_only=True)
class Edge:
    """`bends` are points that the line passes between the two nodes, so that it keeps clear of others."""

    source: str
    target: str
    kind: Literal["dependency"] = "dependency"
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
    dependencies = StepGraph(body_of(definition)).dependencies
    placed = layout(dependencies)
    nodes = tuple(
        Node(
            id=step.step_key,
            type=step.type,
            name=step.name or step.step_key,
            position=placed.nodes[step.step_key],
            status=statuses[step.step_key] if statuses else None,
        )
        for step in definition.steps
    )
    edges = tuple(
        Edge(source=source, target=target, bends=placed.bends.get((source, target), ()))
        for target, sources in dependencies.items()
        for source in sources
    )
    return Graph(name=name, nodes=nodes, edges=edges)
