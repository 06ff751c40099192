"""A graph as an SVG picture that stands by itself: no script, no style sheet, no font or image from elsewhere."""

import unicodedata
from collections.abc import Iterator, Sequence
from html import escape
from itertools import pairwise

from platform_api.resources.workflows.graph.colours import BY_STATUS, PLAIN, Colours
from platform_api.resources.workflows.graph.layout import HEIGHT, WIDTH, Point
from platform_api.resources.workflows.graph.model import Edge, Graph, Node

_LINE = "#94a3b8"
_FONT = "system-ui, -apple-system, 'Segoe UI', Roboto, 'DejaVu Sans', sans-serif"
_NAME_WIDTH = 21.5
"""Columns of a name that fit into a node, a column being as wide as most small letters."""
_ARROW = (
    '<defs><marker id="arrow" viewBox="0 0 8 8" refX="7" refY="4" markerWidth="8" markerHeight="8" orient="auto">'
    f'<path d="M0 0.5 L7.5 4 L0 7.5 Z" fill="{_LINE}"/></marker></defs>'
)


def svg(graph: Graph) -> str:
    """The picture, in UTF-8."""
    width, height = graph.size
    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" width="{width:g}" height="{height:g}" '
        f'viewBox="0 0 {width:g} {height:g}" role="img" font-family="{_FONT}">',
        f"<title>{_text(graph.name)}</title>",
        _ARROW,
        f'<rect width="{width:g}" height="{height:g}" fill="#ffffff"/>',
        *_lines(graph),
        *(_box(node) for node in graph.nodes),
        "</svg>",
    ]
    return "\n".join(parts) + "\n"


def _lines(graph: Graph) -> Iterator[str]:
    corners = {node.id: node.position for node in graph.nodes}
    yield f'<g fill="none" stroke="{_LINE}" stroke-width="1.5">'
    for edge in graph.edges:
        yield f'<path d="{_curve(edge, corners[edge.source], corners[edge.target])}" marker-end="url(#arrow)"/>'
    yield "</g>"
    for edge in graph.edges:
        if edge.label:
            end = corners[edge.target]
            yield (
                f'<text x="{end.x - 10:g}" y="{end.y + HEIGHT / 2 - 5:g}" font-size="11" text-anchor="end" '
                f'fill="{PLAIN.stroke}">{_text(edge.label)}</text>'
            )


def _curve(edge: Edge, source: Point, target: Point) -> str:
    """Horizontal at each end and each bend, with smooth curves between the columns."""
    points: Sequence[Point] = (
        Point(source.x + WIDTH, source.y + HEIGHT / 2),
        *edge.bends,
        Point(target.x - 2, target.y + HEIGHT / 2),
    )
    path = f"M{points[0].x:g} {points[0].y:g}"
    for start, end in pairwise(points):
        if start.y == end.y:
            path += f" L{end.x:g} {end.y:g}"
            continue
        half = (start.x + end.x) / 2
        path += f" C{half:g} {start.y:g} {half:g} {end.y:g} {end.x:g} {end.y:g}"
    return path


def _box(node: Node) -> str:
    colours = BY_STATUS[node.status] if node.status else PLAIN
    x, y = node.position.x, node.position.y
    below = " · ".join(_facts(node))
    dashes = ' stroke-dasharray="5 4"' if node.status == "SKIPPED" else ""
    return (
        f"<g><title>{_text(node.name)} ({_text(node.id)})</title>{_stack(node, colours)}"
        f'<rect x="{x:g}" y="{y:g}" width="{WIDTH:g}" height="{HEIGHT:g}" rx="8" fill="{colours.fill}" '
        f'stroke="{colours.stroke}" stroke-width="1.5"{dashes}/>'
        f'<text x="{x + 12:g}" y="{y + 24:g}" font-size="13.5" font-weight="600" fill="{colours.text}">'
        f"{_text(_shortened(node.name))}</text>"
        f'<text x="{x + 12:g}" y="{y + 43:g}" font-size="11" fill="{colours.text}">{_text(below)}</text></g>'
    )


def _facts(node: Node) -> Iterator[str]:
    yield node.type.value
    if node.nested:
        yield f"{node.nested} step{'s' if node.nested > 1 else ''}"
    if node.status is not None:
        yield node.status.value


def _stack(node: Node, colours: Colours) -> str:
    """A second sheet behind what holds steps of its own."""
    if not node.nested:
        return ""
    x, y = node.position.x + 5, node.position.y + 5
    return (
        f'<rect x="{x:g}" y="{y:g}" width="{WIDTH:g}" height="{HEIGHT:g}" rx="8" fill="{colours.fill}" '
        f'stroke="{colours.stroke}" stroke-width="1"/>'
    )


def _shortened(name: str) -> str:
    width, kept = 0.0, ""
    for character in name:
        width += _columns(character)
        if width > _NAME_WIDTH:
            return kept.rstrip() + "…"
        kept += character
    return kept


def _columns(character: str) -> float:
    if unicodedata.east_asian_width(character) in "WF":
        return 2
    if character in "mwMW":
        return 1.6
    return 1.3 if character.isupper() else 1


def _text(text: str) -> str:
    """Escaped, without what XML cannot hold and without characters that turn or hide text."""
    return escape("".join(each if unicodedata.category(each)[0] != "C" else " " for each in text))
