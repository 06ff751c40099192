"""A graph as a Mermaid flowchart. Names become letters, digits and entity codes: nothing in them is syntax."""

import unicodedata

from flows.spec import StepType
from platform_api.resources.workflows.graph.colours import BY_STATUS
from platform_api.resources.workflows.graph.model import Edge, Graph, Node

_SHAPES = {
    StepType.AGENT: ("[", "]"),
    StepType.CONDITION: ("{", "}"),
    StepType.LOOP: ("[[", "]]"),
    StepType.PARALLEL: ("[[", "]]"),
    StepType.WAIT: ("([", "])"),
}
_HARMLESS = frozenset(" -_.,")


def mermaid(graph: Graph) -> str:
    """The text of the diagram; nodes are called n0, n1, … whatever their steps are called."""
    ids = {node.id: f"n{number}" for number, node in enumerate(graph.nodes)}
    lines = ["flowchart LR"]
    lines += [f"  {ids[node.id]}{_box(node)}" for node in graph.nodes]
    lines += [f"  {ids[edge.source]} --{_arrow(edge)} {ids[edge.target]}" for edge in graph.edges]
    by_status: dict[str, list[str]] = {}
    for node in graph.nodes:
        if node.status is not None:
            by_status.setdefault(node.status, []).append(ids[node.id])
    for status, colours in BY_STATUS.items():
        if status in by_status:
            style = f"fill:{colours.fill},stroke:{colours.stroke},color:{colours.text}"
            lines.append(f"  classDef {status.lower()} {style}")
            lines.append(f"  class {','.join(by_status[status])} {status.lower()}")
    return "\n".join(lines) + "\n"


def _box(node: Node) -> str:
    left, right = _SHAPES[node.type]
    inside = f" ({node.nested} steps)" if node.nested > 1 else " (1 step)" if node.nested else ""
    return f'{left}"{_label(node.name)}{inside}"{right}'


def _arrow(edge: Edge) -> str:
    return f">|{edge.label}|" if edge.label else ">"


def _label(name: str) -> str:
    return "".join(_shown(character) for character in name)


def _shown(character: str) -> str:
    if character.isalnum() or character in _HARMLESS:
        return character
    if unicodedata.category(character).startswith(("C", "Z")):
        return " "
    return f"#{ord(character)};"
